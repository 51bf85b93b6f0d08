"""Falco's own sections for outputs, as the outputs that do the same (spec: surface CK32-CK35)."""

from dataclasses import dataclass
from typing import Any

from lanner.outputs.forms import FormName


@dataclass(frozen=True, slots=True)
class SyslogSection:
    """
    Alerts in this machine's syslog.

    Attributes:
        enabled: Whether they are written there.
    """

    enabled: bool = False


@dataclass(frozen=True, slots=True)
class ProgramSection:
    """
    Alerts to a program's standard input.

    Attributes:
        enabled: Whether they are written there.
        keep_alive: Whether one process takes all alerts instead of one for each.
        program: Command that a shell reads.
    """

    enabled: bool = False
    keep_alive: bool = False
    program: str = ""


@dataclass(frozen=True, slots=True)
class HttpSection:
    """
    Alerts by HTTP, one a request.

    Attributes:
        enabled: Whether they are sent there.
        url: Where they are posted.
        user_agent: Sent as the header of this name.
        insecure: Whether any certificate of the server will do.
        ca_cert: Certificates to trust instead of the system's, PEM.
        ca_bundle: The same.
        ca_path: Has no effect: the system's certificates are found.
        mtls: Whether a certificate is shown to the server.
        client_cert: That certificate, PEM.
        client_key: Its key, PEM.
        echo: Has no effect.
        compress_uploads: Whether bodies are sent with gzip.
        keep_alive: Has no effect: connections are always kept.
        max_consecutive_timeouts: Has no effect: what was not taken is sent again until it is.
    """

    enabled: bool = False
    url: str = ""
    user_agent: str = ""
    insecure: bool = False
    ca_cert: str = ""
    ca_bundle: str = ""
    ca_path: str = ""
    mtls: bool = False
    client_cert: str = "/etc/ssl/certs/client.crt"
    client_key: str = "/etc/ssl/certs/client.key"
    echo: bool = False
    compress_uploads: bool = False
    keep_alive: bool = False
    max_consecutive_timeouts: int = 5


def options_of(syslog: SyslogSection, program: ProgramSection, http: HttpSection, form: FormName) -> dict[str, Any]:
    """Return the options of those that are enabled, by the type of output, which is its name too."""
    found: dict[str, Any] = {}
    if syslog.enabled:
        from lanner.outputs.syslog import SyslogOptions

        found["syslog"] = SyslogOptions(format=form)
    if program.enabled:
        from lanner.outputs.program import ProgramOptions

        given: dict[str, Any] = {"shell": True, "keep_alive": program.keep_alive, "format": form}
        found["program"] = ProgramOptions(command=(program.program,), **given)
    if http.enabled:
        found["http"] = _http(http, form)
    return found


def _http(section: HttpSection, form: FormName) -> object:
    from lanner.outputs.http import TlsClientOptions
    from lanner.outputs.webhook import WebhookOptions

    cert, key = (section.client_cert, section.client_key) if section.mtls else ("", "")
    tls = TlsClientOptions(section.ca_cert or section.ca_bundle, cert, key, section.insecure)
    headers = {"User-Agent": section.user_agent} if section.user_agent else {}
    return WebhookOptions(url=section.url, headers=headers, compress=section.compress_uploads, tls=tls, format=form)
