"""
The configuration: its keys, and how a file and the command line become one.

Keys that Falco has too have its names and meaning. The classes below are the table of keys: the reader, the sample
file and the reference page are made from them.
"""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import yaml

from engine.priority import Priority
from engine.selection import Selection
from ingest.kubernetes.options import EnrichmentOptions
from lanner.additions import Addition
from lanner.configfiles import Include, main_file, merged
from lanner.enginekeys import EngineKeys, source_of
from lanner.errors import ConfigError
from lanner.expansion import expand
from lanner.falcokeys import NOWHERE
from lanner.falcooutputs import HttpSection, ProgramSection, SyslogSection, options_of
from lanner.logs import Level, LogForm
from lanner.outputs.forms import FormName
from lanner.outputs.kinds import OutputConfig
from lanner.plugins import PluginConfig, sources_of
from lanner.routes import Route, unknown_outputs
from lanner.settings import Reader
from lanner.sources import SOURCE_TYPES, SourceConfig

NO_OUTBOX = ":none"


@dataclass(frozen=True, slots=True)
class Which:
    """
    Rules to enable or disable.

    Attributes:
        rule: Name of the rules; "*" stands for any text.
        tag: A tag the rules have.
    """

    rule: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class SelectionStep:
    """
    One step of the selection of rules.

    Attributes:
        enable: Rules to enable.
        disable: Rules to disable.
    """

    enable: Which | None = None
    disable: Which | None = None

    def entries(self) -> list[Selection]:
        """Return the step as the engine takes it."""
        return [
            Selection(enable, which.rule or None, which.tag or None)
            for enable, which in ((True, self.enable), (False, self.disable))
            if which
        ]


@dataclass(frozen=True, slots=True)
class StdoutOutput:
    """
    Alerts on standard output.

    Attributes:
        enabled: Whether they are written there.
    """

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class FileOutput:
    """
    Alerts in a file, one per line; reopened when it was moved away.

    Attributes:
        enabled: Whether they are written there.
        filename: Path of the file; appended to.
    """

    enabled: bool = False
    filename: str = "./events.txt"


@dataclass(frozen=True, slots=True)
class WebserverConfig:
    """
    Health, versions and metrics by HTTP.

    Attributes:
        enabled: Whether they are served.
        listen_address: Address to listen on; 0.0.0.0 for all.
        listen_port: Port to listen on; with workers the second one has the port after it, and so on.
        k8s_healthz_endpoint: Path that answers as long as the process lives.
        prometheus_metrics_enabled: Whether /metrics is served.
        ssl_enabled: Whether TLS is spoken.
        ssl_certificate: Certificate and key in one file, PEM; read again when it changes.
        token: What clients must send as "Authorization: Bearer" for /metrics and /versions; "" asks for none.
        threadiness: Has no effect.
    """

    enabled: bool = False
    listen_address: str = "127.0.0.1"
    listen_port: int = 8765
    k8s_healthz_endpoint: str = "/healthz"
    prometheus_metrics_enabled: bool = True
    ssl_enabled: bool = False
    ssl_certificate: str = "/etc/lanner/lanner.pem"
    token: str = ""
    threadiness: int = 0


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """
    What metrics tell.

    Attributes:
        falco_compat: Whether metrics have Falco's names too, for dashboards that exist.
    """

    falco_compat: bool = False


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """
    Where alerts are kept until every output has taken them.

    Attributes:
        path: Path of the SQLite file; "" for one in the state directory, ":none" to keep none: then a batch is given
            back to its source when an output fails.
        max_alerts: Alerts held beyond which batches are given back to their sources.
    """

    path: str = ""
    max_alerts: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Config:
    """
    The whole configuration.

    Attributes:
        config_files: More files or folders of configuration, merged after this one, a list of paths or of mappings with
            "path" and "strategy".
        rules_files: Rule files and folders, in order; "bundled" stands for the shipped ones, "bundled/aws" for one
            folder of them. Empty means the shipped ones.
        rules: Which rules are enabled, steps applied in order after all files are loaded.
        priority: Less severe rules are left out.
        append_output: What is added to the outputs of rules, a list; every entry that is for a rule applies.
        rule_matching: Whether all rules that an event matches are reported, or only the first.
        collapse_repeats: Whether alerts of k8s_audit that say nothing new are left out: of an event that came again
            within 15 minutes, or of a request whose other stage raised the same rule within 5.
        json_output: Alerts as JSON instead of text.
        json_include_output_property: Whether alerts as JSON have "output", the message with time and priority.
        json_include_message_property: Whether they have "message", the message alone.
        json_include_output_fields_property: Whether they have "output_fields".
        json_include_tags_property: Whether they have "tags".
        alert_uid: Whether alerts as JSON have "lanner":{"uid":...}, the same for every repeat of an alert.
        time_format_iso_8601: Times in text in UTC as ISO 8601 instead of the local time of day.
        static_fields: Texts by name, which rules and their messages can use as "static.NAME", a mapping.
        stdout_output: Alerts on standard output.
        file_output: Alerts in a file.
        syslog_output: Alerts in this machine's syslog.
        program_output: Alerts to a program's standard input.
        http_output: Alerts by HTTP, one a request.
        outputs: More outputs, of any type and number, a list.
        routes: Which alerts go to which outputs, a list; an output that no route names gets all of them.
        outbox: Where alerts are kept until every output has taken them.
        workers: Processes that work side by side, for sources of type cloudtrail and k8saudit; each has an outbox.
        sources: Where events come from, a list.
        enrichment: Labels and owners from a Kubernetes API server, for the fields k8smeta.* and for alerts.
        plugins: Falco's list of plugins: cloudtrail and k8saudit become the sources that do the same.
        load_plugins: Names of the plugins to load, in order; without it all are.
        engine: Falco's choice of where events of this host come from; the source syscall does the same.
        on_source_failure: Whether a source that fails is started again, later each time, or ends the service.
        log_format: Form of the program's own log, lines of text or a JSON object on each.
        log_level: Less severe lines of the program's own log are left out.
        watch_config_files: Whether rules and configuration are loaded anew when their files change, as on SIGHUP.
        webserver: Health, versions and metrics by HTTP.
        metrics: What metrics tell.
        shutdown_grace: Seconds that sources and outputs have for what is begun when the service stops.
    """

    config_files: tuple[Include, ...] = ()
    rules_files: tuple[str, ...] = ()
    rules: tuple[SelectionStep, ...] = ()
    priority: Priority = Priority.DEBUG
    append_output: tuple[Addition, ...] = ()
    rule_matching: Literal["all", "first"] = "all"
    collapse_repeats: bool = True
    json_output: bool = False
    json_include_output_property: bool = True
    json_include_message_property: bool = False
    json_include_output_fields_property: bool = True
    json_include_tags_property: bool = True
    alert_uid: bool = False
    time_format_iso_8601: bool = False
    static_fields: Mapping[str, str] = field(default_factory=dict)
    stdout_output: StdoutOutput = field(default_factory=StdoutOutput)
    file_output: FileOutput = field(default_factory=FileOutput)
    syslog_output: SyslogSection = field(default_factory=SyslogSection)
    program_output: ProgramSection = field(default_factory=ProgramSection)
    http_output: HttpSection = field(default_factory=HttpSection)
    outputs: tuple[OutputConfig, ...] = ()
    routes: tuple[Route, ...] = ()
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    workers: int = 1
    sources: tuple[SourceConfig, ...] = ()
    enrichment: EnrichmentOptions = field(default_factory=EnrichmentOptions)
    plugins: tuple[PluginConfig, ...] = ()
    load_plugins: tuple[str, ...] | None = None
    engine: EngineKeys = field(default_factory=EngineKeys)
    on_source_failure: Literal["restart", "exit"] = "restart"
    log_format: LogForm = "text"
    log_level: Level = "info"
    watch_config_files: bool = True
    webserver: WebserverConfig = field(default_factory=WebserverConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    shutdown_grace: float = 25.0

    @property
    def all_outputs(self) -> tuple[OutputConfig, ...]:
        """The outputs of ``outputs``, and those that Falco's sections stand for."""
        form: FormName = "falco-json" if self.json_output else "text"
        sections = options_of(self.syslog_output, self.program_output, self.http_output, form)
        falcos = tuple(OutputConfig(kind, kind, Priority.DEBUG, options) for kind, options in sections.items())
        return (*falcos, *self.outputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of all that is on, as routes use them."""
        own = (("stdout", self.stdout_output.enabled), ("file", self.file_output.enabled))
        return (*(name for name, on in own if on), *(output.name for output in self.all_outputs))


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    A configuration that was read.

    Attributes:
        config: It.
        notes: What has no effect or may not be meant, one line each, for the log.
        tree: The merged mapping as written, before values were put in the place of ``${...}``.
        files: Name and content of each file read.
    """

    config: Config
    notes: tuple[str, ...]
    tree: yaml.MappingNode
    files: tuple[tuple[str, bytes], ...]


def load(path: str | None, overrides: Sequence[str] = (), needs_sources: bool = True) -> Config:
    """
    Read the configuration.

    Args:
        path: Of the file; None for that of ``LANNER_CONFIG``, else the default one, else none if that is not there.
        overrides: ``key=value`` each, set over the file in order.
        needs_sources: Whether it is wrong when there are none; the agent brings its own.

    Raises:
        ConfigError: It cannot be read, or something in it is wrong; all findings, one per line.
    """
    return load_all(path, overrides, needs_sources).config


def load_all(path: str | None, overrides: Sequence[str] = (), needs_sources: bool = True) -> Loaded:
    """Read the configuration as ``load`` does, and tell of it. Raises ConfigError."""
    return read_all(*main_file(path), overrides, needs_sources)


def read(text: str, name: str, overrides: Sequence[str] = ()) -> Config:
    """
    Read a configuration from text; ``name`` is the file's, for messages.

    Raises:
        ConfigError: As ``load``.
    """
    return read_all(text, name, overrides).config


def read_all(text: str, name: str, overrides: Sequence[str] = (), needs_sources: bool = True) -> Loaded:
    """Read a configuration from text and tell of it. Raises ConfigError."""
    reader = Reader(NOWHERE)
    tree = merged(text, name, overrides, reader)
    root = copy.deepcopy(tree.root)
    _rename(root, reader)
    expand(
        root,
        os.environ,
        lambda node, what: reader.wrong(node, "", what),
        lambda node, what: reader.note(node, "", what),
    )
    config = reader.section(root, Config)
    if isinstance(config, Config):
        plugged = config.sources + sources_of(config.plugins, config.load_plugins, reader, root)
        config = replace(config, sources=plugged + tuple(source_of(config.engine, plugged, reader, root)))
        if needs_sources and not config.sources and not reader.findings:
            reader.wrong(root, "sources", f"no source is configured; a list of {', '.join(SOURCE_TYPES)}")
        _check(config, reader, root)
    if reader.findings:
        raise ConfigError("the configuration is wrong\n" + "\n".join(reader.findings))
    assert isinstance(config, Config)
    return Loaded(config, tuple(reader.notes), tree.root, tree.files)


def _rename(root: yaml.MappingNode, reader: Reader) -> None:
    """Take Falco's old spelling of a key for the new one (spec: surface CF08)."""
    new = any(key.value == "rules_files" for key, _ in root.value)
    for key, _ in root.value:
        if key.value == "rules_file" and not new:
            reader.note(key, key.value, "is now called rules_files")
            key.value = "rules_files"
        elif key.value == "rules_file":
            reader.wrong(key, key.value, "is the old name of rules_files, which is given too; keep that")


def _check(config: Config, reader: Reader, root: yaml.Node) -> None:
    """Find what is wrong between keys."""
    _check_outputs(config, reader, root)
    if not 1 <= config.workers <= 64:
        reader.wrong(root, "workers", f"1 to 64 processes make sense, not {config.workers}")
    if len({source.name for source in config.sources}) < len(config.sources):
        reader.wrong(root, "sources", "two sources have one name; give each its own with 'name'")
    for step in config.rules:
        if not any(which and (which.rule or which.tag) for which in (step.enable, step.disable)):
            reader.wrong(root, "rules", "an entry enables or disables a 'rule' or a 'tag'")


def _check_outputs(config: Config, reader: Reader, root: yaml.Node) -> None:
    if not config.output_names:
        reader.wrong(root, "outputs", "no output is enabled; enable stdout_output or list some in 'outputs'")
    for output in config.all_outputs:
        try:
            output.open()
        except ValueError as error:
            reader.wrong(root, f"output {output.name}", str(error))
    twice = sorted({name for name in config.output_names if config.output_names.count(name) > 1})
    for name in twice:
        reader.wrong(root, "outputs", f"two outputs have the name {name}; give each its own with 'name'")
    for name in unknown_outputs(config.routes, config.output_names):
        reader.wrong(root, "routes", f"no output is called {name}; there are {', '.join(config.output_names)}")
