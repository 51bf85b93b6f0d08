"""
The kubeconfig with which an API server finds the audit webhook.

Source: the kubeconfig format v1; ``--audit-webhook-config-file`` of kube-apiserver reads one.
"""

import base64
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import yaml

from lanner.errors import UserError

DEFAULT_PORT = 9765
DEFAULT_PATH = "/k8s-audit"


@dataclass(frozen=True, slots=True)
class Webhook:
    """
    Where the webhook is and how the API server shows who it is; paths are those on the API server's machine.

    Attributes:
        server: URL; without port and path the default ones are added.
        ca: File with the authorities of the webhook's certificate; "" for those of the machine.
        embed_ca: Whether ``ca`` is a file here, whose content goes into the kubeconfig.
        client_cert, client_key: Files of the client certificate; "" for none.
        token_file: File of a bearer token; "" for none.
        tls_server_name: Name that the webhook's certificate is checked for; "" for the host of the URL.
    """

    server: str
    ca: str = ""
    embed_ca: bool = False
    client_cert: str = ""
    client_key: str = ""
    token_file: str = ""
    tls_server_name: str = ""


def kubeconfig(webhook: Webhook) -> str:
    """
    Return the kubeconfig as YAML.

    Raises:
        UserError: The settings contradict each other, or the file to embed cannot be read.
    """
    _check(webhook)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lanner", "cluster": _cluster(webhook)}],
        "users": [{"name": "kube-apiserver", "user": _user(webhook)}],
        "contexts": [{"name": "lanner", "context": {"cluster": "lanner", "user": "kube-apiserver"}}],
        "current-context": "lanner",
    }
    return str(yaml.safe_dump(config, sort_keys=False, width=10_000))


def _check(webhook: Webhook) -> None:
    url = urlsplit(webhook.server)
    if url.scheme not in ("http", "https") or not url.hostname or not _has_good_port(url):
        raise UserError(
            f"--server {webhook.server}: give a URL such as https://10.96.0.200:{DEFAULT_PORT}{DEFAULT_PATH}"
        )
    if url.query or url.fragment or url.username:
        raise UserError(f"--server {webhook.server}: give scheme, host, port and path only")
    if bool(webhook.client_cert) != bool(webhook.client_key):
        raise UserError("--client-cert and --client-key belong together; give both or neither")
    if webhook.client_cert and webhook.token_file:
        raise UserError("give either a client certificate or a token file; an API server would show both")
    if url.scheme == "http":
        secret = next((word for word, given in _needing_tls(webhook) if given), "")
        if secret:
            raise UserError(f"--server {webhook.server} is plain HTTP, where {secret} has no meaning; use https://")
    if url.hostname.endswith((".svc", ".cluster.local")):
        raise UserError(
            f"--server {webhook.server}: an API server resolves names as its machine does, so {url.hostname} does not"
            f" exist for it; give the clusterIP or a node's address, and --tls-server-name {url.hostname}"
        )


def _has_good_port(url: SplitResult) -> bool:
    try:
        return url.port != 0
    except ValueError:
        return False


def _needing_tls(webhook: Webhook) -> tuple[tuple[str, str], ...]:
    return (
        ("--ca", webhook.ca),
        ("--client-cert", webhook.client_cert),
        ("--token-file", webhook.token_file),
        ("--tls-server-name", webhook.tls_server_name),
    )


def _cluster(webhook: Webhook) -> dict[str, str]:
    found = {"server": _url(webhook.server)}
    if webhook.ca and webhook.embed_ca:
        found["certificate-authority-data"] = base64.b64encode(_read(webhook.ca)).decode()
    elif webhook.ca:
        found["certificate-authority"] = webhook.ca
    if webhook.tls_server_name:
        found["tls-server-name"] = webhook.tls_server_name
    return found


def _url(server: str) -> str:
    url = urlsplit(server)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    path = url.path if url.path not in ("", "/") else DEFAULT_PATH
    return f"{url.scheme}://{host}:{url.port or DEFAULT_PORT}{path}"


def _user(webhook: Webhook) -> dict[str, str]:
    if webhook.client_cert:
        return {"client-certificate": webhook.client_cert, "client-key": webhook.client_key}
    return {"tokenFile": webhook.token_file} if webhook.token_file else {}


def _read(path: str) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"--ca {path}: cannot read the file to embed: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise UserError(f"--ca {path}: no PEM certificate in this file")
    return content
