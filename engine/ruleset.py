"""A loaded rule set: rules that are resolved, checked and ready to be compiled. Immutable; a reload makes a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.definitions import Collection, RuleDef
from engine.fields import FieldCatalog
from engine.output import Template
from engine.priority import Priority
from engine.tree import Node
from engine.typed import Checked


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """
    A rule for one event source; a rule for several sources is several of these with one name.

    Attributes:
        name, source, priority, desc, tags: As the rule files say.
        enabled: Whether it runs, after selection and the priority threshold.
        position: Rank among all rules; decides order.
        tree: The resolved syntax tree, for people.
        condition: The checked condition.
        output: The message template.
        extra_fields: Names and templates added to ``output_fields`` by ``append_output``.
        definition: As it was defined.
    """

    name: str
    source: str
    priority: Priority
    desc: str
    tags: tuple[str, ...]
    enabled: bool
    position: int
    tree: Node
    condition: Checked
    output: Template
    extra_fields: tuple[tuple[str, Template], ...]
    definition: RuleDef


@dataclass(frozen=True, slots=True, eq=False)
class RuleSet:
    """
    Rules in order of evaluation.

    Attributes:
        rules: All rules that compile, also disabled ones.
        collection: The definitions they come from.
        catalog: The fields they were checked against.
        event_types: For each source whose first discriminator has a closed domain, the values that some enabled rule
            could match.
    """

    rules: Sequence[Rule]
    collection: Collection
    catalog: FieldCatalog
    event_types: Mapping[str, frozenset[str]]

    @property
    def enabled(self) -> list[Rule]:
        """The rules that run."""
        return [rule for rule in self.rules if rule.enabled]
