"""TLS of the webhook: the server's context, names in client certificates, and files that change while it runs."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.base import SourceError


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """
    Files of the server's TLS.

    Attributes:
        cert: PEM file of the certificate chain; may hold the key as well.
        key: PEM file of the key, not encrypted; "" when it is in ``cert``.
        client_ca: PEM file of the authorities whose client certificates are demanded; "" demands none.
        allowed_names: Common or DNS names of clients that may send; empty allows every certificate of ``client_ca``.
    """

    cert: str
    key: str = ""
    client_ca: str = ""
    allowed_names: tuple[str, ...] = ()


def server_context(options: TlsOptions) -> ssl.SSLContext:
    """
    Return a context for TLS 1.2 and later.

    Raises:
        SourceError: A file is missing, unreadable or does not fit; the text names it.
    """
    if options.allowed_names and not options.client_ca:
        raise SourceError("client certificate names are given, but no client_ca to check certificates against")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_files(context, options)
    return context


def load_files(context: ssl.SSLContext, options: TlsOptions) -> None:
    """
    Load the files into a context; new connections of a running server use them.

    A client authority that is no longer in its file stays trusted until the server is started anew.

    Raises:
        SourceError: As ``server_context``.
    """
    try:
        context.load_cert_chain(options.cert, options.key or None, password=_no_password)
    except (OSError, ValueError) as error:
        raise SourceError(f"TLS certificate {options.cert} and its key: {_reason(error)}") from None
    if options.client_ca:
        try:
            context.load_verify_locations(options.client_ca)
        except (OSError, ValueError) as error:
            raise SourceError(f"TLS client_ca {options.client_ca}: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED


def file_state(options: TlsOptions) -> tuple[object, ...]:
    """Return something that differs once one of the files has changed, whether written to or replaced."""
    found: list[object] = []
    for name in filter(None, (options.cert, options.key, options.client_ca)):
        try:
            stat = Path(name).stat()
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        except OSError as error:
            found.append(error.errno)
    return tuple(found)


def client_names(certificate: Mapping[str, Any] | None) -> set[str]:
    """Return the common names and DNS names in a client certificate, as ``SSLObject.getpeercert`` gives it."""
    if not certificate:
        return set()
    names = {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
    return names | {value for key, value in certificate.get("subjectAltName", ()) if key == "DNS"}


def _no_password() -> str:
    """Answer for an encrypted key, which would be asked for on the terminal otherwise."""
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no usable PEM").replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
