"""Bearer tokens of the webhook: only their hashes are kept, and comparing takes the same time whatever the token."""

import hmac
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Token:
    """
    A token that a sender may show.

    Attributes:
        name: For logs.
        sha256: Hex digits of the token's SHA-256.
        cluster: Name of the sender's cluster, given to its events that name none; "" for none.
    """

    name: str
    sha256: str
    cluster: str = ""


def token_of(header: str | None, tokens: tuple[Token, ...]) -> Token | None:
    """Return the known token in an ``Authorization`` header, None for any other header."""
    scheme, _, shown = (header or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    digest = sha256(shown.strip().encode("utf-8", "surrogateescape")).hexdigest()
    matches = [token for token in tokens if hmac.compare_digest(digest, token.sha256.lower())]
    return matches[0] if matches else None
