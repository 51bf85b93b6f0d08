"""Users that stand for all who may make a request: who could make a rule fire, and the groups they have."""

from collections.abc import Iterator

from engine.typed import FALSE
from lanner.k8s.needs import USER, Analysis, Need, named

_AUTHENTICATED = "system:authenticated"
_NODE = "system:node:"
_ACCOUNT = "system:serviceaccount:"

STAND_INS = ("somebody", f"{_NODE}any", f"{_ACCOUNT}any:any", "system:anonymous", "system:apiserver")
"""A person, a kubelet, a pod, a stranger, the API server itself."""


def groups_of(user: str) -> tuple[str, ...]:
    """Return the groups that an API server gives a user of this name."""
    if user == "system:anonymous":
        return ("system:unauthenticated",)
    if user.startswith(_NODE):
        return ("system:nodes", _AUTHENTICATED)
    if user.startswith(_ACCOUNT):
        namespace = user.removeprefix(_ACCOUNT).partition(":")[0]
        return (f"{_ACCOUNT.rstrip(':')}s", f"{_ACCOUNT.rstrip(':')}s:{namespace}", _AUTHENTICATED)
    return ("system:masters", _AUTHENTICATED) if user == "system:apiserver" else (_AUTHENTICATED,)


def callers(need: Need, analysis: Analysis) -> Iterator[str]:
    """Yield users for whom a rule could fire: the ones it names, beginnings it names made whole, and the stand-ins."""
    exact = named(need.users)
    if exact is not None:
        yield from exact
        return
    constants = sorted(analysis.constants(need.condition, USER))
    for user in dict.fromkeys((*STAND_INS, *constants, *(f"{constant}any" for constant in constants))):
        if user in need.users and analysis.under(need.condition, user=user) is not FALSE:
            yield user
