"""Every operator with every type (spec: rule-language 2.2): what loads, and what is refused."""

from collections.abc import Iterator

import pytest

from engine.condition import BadCondition, check_condition
from engine.diagnostics import SourceText
from engine.fields import Field, FieldCatalog, Type, table

NUMERIC = {Type.INT, Type.UINT, Type.PORT, Type.DOUBLE, Type.ABSTIME, Type.RELTIME}
KINDS: dict[str, set[Type]] = {
    "numeric": NUMERIC,
    "bool": {Type.BOOL},
    "string": {Type.STRING},
    "bytes": {Type.BYTES},
    "address": {Type.IPADDR, Type.IPNET},
}
LISTED = {Type.STRING, Type.UINT, Type.ABSTIME, Type.RELTIME, Type.BOOL, Type.IPADDR, Type.IPNET}

# Operators; the kinds of scalars they go with; whether they go with lists.
TABLE = """
exists                             numeric bool string bytes address   lists
= == !=                            numeric bool string bytes address
< <= > >=                          numeric string
contains startswith endswith       string bytes
icontains glob iglob regex pmatch  string
bcontains bstartswith              bytes
in intersects                      numeric bool string bytes address   lists
"""
WITHOUT_MODIFIERS = {"exists", "<", "<=", ">", ">=", "in", "intersects", "pmatch"}
MODIFIERS = ("oneof", "anyof", "allof")

CONSTANTS = {Type.BOOL: "true", Type.STRING: "5", Type.BYTES: "caFE", Type.IPADDR: "::1", Type.IPNET: "10.0.0.0/8"}
SCALARS = {kind: f"x.{kind.name.lower()}" for kind in Type}
LISTS = {kind: f"x.list_{kind.name.lower()}" for kind in Type}
CATALOG = FieldCatalog(
    {
        "x": table(
            "x",
            [Field(name, kind, "A value.", lambda _event: None) for kind, name in SCALARS.items()],
            [Field(name, kind, "Values.", lambda _event: None, is_list=True) for kind, name in LISTS.items()],
        )
    }
)


def rows() -> Iterator[tuple[str, set[Type], bool]]:
    words = {*KINDS, "lists"}
    for line in TABLE.strip().splitlines():
        operators = [word for word in line.split() if word not in words]
        kinds = {kind for word in line.split() if word in KINDS for kind in KINDS[word]}
        for operator in operators:
            yield operator, kinds, "lists" in line.split()


def condition(field: str, operator: str, kind: Type, modifier: str = "") -> str:
    constant = CONSTANTS.get(kind, "5")
    if operator == "exists":
        return f"{field} exists"
    if modifier or operator in ("in", "intersects", "pmatch"):
        constant = f"({constant})"
    return " ".join(filter(None, (field, operator, modifier, constant)))


def cells() -> Iterator[tuple[str, bool]]:
    """Conditions, and whether they load."""
    for operator, kinds, with_lists in rows():
        for kind in Type:
            if operator in ("<", "<=", ">", ">=") and kind not in kinds:
                yield f"{SCALARS[kind]} {operator} 5", False
                yield f"{LISTS[kind]} {operator} 5", False
                continue
            yield condition(SCALARS[kind], operator, kind), kind in kinds
            takes_list = with_lists and (kind in LISTED or operator == "exists")
            # Rules of old engine versions have 'contains' on lists of texts; Lanner takes it, with a warning.
            old = operator == "contains" and kind is Type.STRING
            yield condition(LISTS[kind], operator, kind), takes_list or old


def modified_cells() -> Iterator[tuple[str, bool]]:
    for operator, kinds, _ in rows():
        if operator in WITHOUT_MODIFIERS:
            continue
        for modifier in MODIFIERS:
            for kind in Type:
                yield condition(SCALARS[kind], operator, kind, modifier), kind in kinds
                yield condition(LISTS[kind], operator, kind, modifier), False


LOADS: set[tuple[str, str]] = set()
REFUSED = {("operator-type", "LOAD_ERR_COMPILE_CONDITION")}


def findings(text: str) -> set[tuple[str, str]]:
    try:
        check_condition(SourceText(text), "x", CATALOG)
    except BadCondition as problem:
        return {(found.slug, found.code) for found in problem.report.errors}
    return LOADS


@pytest.mark.parametrize(("text", "ok"), [*cells(), *modified_cells()])
def test_an_operator_goes_with_the_types_of_its_row(text: str, ok: bool) -> None:
    assert findings(text) == (LOADS if ok else REFUSED)


@pytest.mark.parametrize("operator", sorted(WITHOUT_MODIFIERS - {"exists"}))
@pytest.mark.parametrize("modifier", MODIFIERS)
def test_orders_and_lists_take_no_modifier(operator: str, modifier: str) -> None:
    with pytest.raises(BadCondition) as caught:
        check_condition(SourceText(f"x.string {operator} {modifier} (5)"), "x", CATALOG)
    assert caught.value.diagnostic.code == "LOAD_ERR_COMPILE_CONDITION"
    assert caught.value.diagnostic.slug in ("expected-number", "leftover")


# The type that counts is the one behind the transformers.
TRANSFORMED = {
    "len(x.string) > 3": True,
    "len(x.string) contains 3": False,
    "len(x.list_string) = 2": True,
    "len(x.list_string) intersects (2)": True,
    "tolower(x.string) startswith a": True,
    "tolower(x.list_string) intersects (a)": True,
    "tolower(x.list_string) = a": False,
    "join('-', x.list_string) glob a*": True,
    "b64(x.bytes) bcontains CAFE": True,
    "b64(x.bytes) icontains a": False,
    "b64(x.string) bcontains CAFE": False,
    "getopt(x.list_string, 'a') in (a)": True,
    "getopt(x.list_string, 'a') = a": False,
    "getopt(x.list_string, 'a:')[a] = b": True,
}


@pytest.mark.parametrize(("text", "ok"), TRANSFORMED.items())
def test_the_type_behind_transformers_counts(text: str, ok: bool) -> None:
    assert findings(text) == (LOADS if ok else REFUSED)
