"""``append_output``: what the configuration adds to the outputs of rules (spec: rule-language 5.4)."""

from dataclasses import dataclass, field

import yaml

from engine.load import AppendOutput
from lanner.settings import Reader


@dataclass(frozen=True, slots=True)
class Matching:
    """
    Which rules an addition is for; all that is given must hold.

    Attributes:
        source: Their event source.
        tags: Tags that they all have.
        rule: Their name.
    """

    source: str = ""
    tags: tuple[str, ...] = ()
    rule: str = ""


@dataclass(frozen=True, slots=True)
class ExtraField:
    """A field added to ``output_fields``: its name and its template."""

    name: str
    template: str

    @classmethod
    def from_node(cls, reader: Reader, node: yaml.Node, path: str) -> "ExtraField | None":
        """Read ``ct.id``, or ``name: text with %fields``."""
        if isinstance(node, yaml.ScalarNode):
            return cls(node.value, f"%{node.value}")
        if isinstance(node, yaml.MappingNode) and len(node.value) == 1:
            name, template = node.value[0]
            if isinstance(name, yaml.ScalarNode) and isinstance(template, yaml.ScalarNode):
                return cls(name.value, template.value)
        reader.wrong(node, path, "an extra field is the name of a field, or one name with its text")
        return None


@dataclass(frozen=True, slots=True)
class Addition:
    """
    Something added to the outputs of rules.

    Attributes:
        match: Which rules; all of them when it is not given.
        extra_output: Text appended to the message, with %fields.
        extra_fields: Fields added to output_fields, a list of field names or of "name: text with %fields".
        suggested_output: Whether the fields that a source suggests are appended to the message.
    """

    match: Matching = field(default_factory=Matching)
    extra_output: str = ""
    extra_fields: tuple[ExtraField, ...] = ()
    suggested_output: bool = False

    def entry(self) -> AppendOutput:
        """Return the addition as the engine takes it."""
        return AppendOutput(
            self.match.source,
            frozenset(self.match.tags),
            self.match.rule,
            self.extra_output,
            tuple((extra.name, extra.template) for extra in self.extra_fields),
            self.suggested_output,
        )
