import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.diagnostics import WARNING, Diagnostic, Report, Span
from engine.render import SHOWN, WIDTH, printable, render_github, render_text, source_excerpt
from engine.render_json import CODES, render_falco_json, render_sarif
from engine.rulefile import RuleFile
from engine.sourcefile import SourceFile
from tests.engine.reading import read

FIELD = Diagnostic(
    "unknown-field",
    "LOAD_ERR_COMPILE_CONDITION",
    "source aws_cloudtrail has no field 'ct.usr'",
    Span("rules/aws/iam.yaml", 2, 14, 2, 20),
    hint="did you mean 'ct.user'?",
    via=(("rule 'Root creates a user'", Span("rules/aws/iam.yaml", 3, 9, 3, 13)),),
    item=("macro", "root"),
)
TEXTS = {"rules/aws/iam.yaml": "- macro: root\n  condition: ct.usr = root\n- rule: Root creates a user\n"}


def test_text_shows_place_message_line_hint_and_users():
    assert (
        render_text([FIELD], TEXTS)
        == """\
rules/aws/iam.yaml:2:14: error[unknown-field] source aws_cloudtrail has no field 'ct.usr' (LOAD_ERR_COMPILE_CONDITION)
  2 |   condition: ct.usr = root
    |              ^^^^^^
  = hint: did you mean 'ct.user'?
  = used by rule 'Root creates a user' at rules/aws/iam.yaml:3:9"""
    )


def shown(text: str, start: int, end: int, line: int = 1, end_line: int | None = None, width: int = WIDTH) -> list[str]:
    """A source line and the carets below it."""
    span = Span("f", line, start, end_line or line, end)
    excerpt = source_excerpt(span, SourceFile.of("f", text), width)
    assert excerpt is not None
    return [excerpt[0], excerpt[1] + excerpt[2]]


CARETS = {
    "plain": (("abc def", 5, 8), ["abc def", "    ^^^"]),
    "wide characters before": (("你好 x", 4, 5), ["你好 x", "     ^"]),
    "wide characters": (("a 你好 b", 3, 5), ["a 你好 b", "  ^^^^"]),
    "combining characters before": (("e\u0301e\u0301 x", 6, 7), ["e\u0301e\u0301 x", "   ^"]),
    "tabs": (("\ta\tb", 4, 5), [" a b", "   ^"]),
    "past the end of the line": (("ab", 3, 4), ["ab", "  ^"]),
    "far past the end": (("ab", 30, 40), ["ab", "  ^"]),
    "up to another line": (("ab cd\nef", 4, 2, 1, 2), ["ab cd", "   ^^"]),
    "a line that ends in CR LF": (("ab\r\ncd\r\n", 1, 3, 2), ["cd", "^^"]),
    "an empty line": (("\n\n", 1, 2, 2), ["", "^"]),
    "escapes": (("a\x1b[31mb", 7, 8), ["a\ufffd[31mb", "      ^"]),
    "text turned around": (("a\u202eb\u2066c", 5, 6), ["a\ufffdb\ufffdc", "    ^"]),
    "emoji of several characters": (("👩\u200d🚀 x", 5, 6), ["👩\u200d🚀 x", "     ^"]),
}


@pytest.mark.parametrize(("given", "want"), CARETS.values(), ids=CARETS)
def test_carets_stand_below_their_characters(given, want):
    assert shown(*given) == want


CUT = {
    "at the start": (("x" * 10 + "y" * 90, 1, 4), ["x" * 10 + "y" * 24 + "...", "^^^"]),
    "at the end": (("y" * 90 + "x" * 10, 98, 101), ["..." + "y" * 24 + "x" * 10, " " * 34 + "^^^"]),
    "in the middle": (
        ("y" * 50 + "xxx" + "z" * 50, 51, 54),
        ["..." + "y" * 11 + "xxx" + "z" * 20 + "...", " " * 14 + "^^^"],
    ),
    "longer than the width": (("a" * 100, 21, 90), ["..." + "a" * 34 + "...", " " * 14 + "^" * 23]),
    "not when it fits": (("a" * 40, 1, 2), ["a" * 40, "^"]),
    "wide characters": (("你" * 50, 26, 27), ["..." + "你" * 17 + "...", " " * 13 + "^^"]),
}


@pytest.mark.parametrize(("given", "want"), CUT.values(), ids=CUT)
def test_long_lines_are_cut_around_the_carets(given, want):
    assert shown(*given, width=40) == want


def test_a_line_of_megabytes_is_cut_without_reading_it_all():
    text = "x" * 5_000_000 + "HERE" + "x" * 5_000_000
    line, carets = shown(text, 5_000_001, 5_000_005)

    assert len(line) == WIDTH
    assert line[carets.index("^") : len(carets)] == "HERE"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), st.data())
def test_carets_stand_below_the_first_character_of_any_line(text, data):
    start = data.draw(st.integers(1, len(text) + 1))
    line, carets = shown(text, start, start + 1, width=10_000)

    assert len(line) == len(text)
    assert printable(line) == line
    assert carets.lstrip(" ") in ("^", "^^")
    assert text[:start].isascii() is False or carets.index("^") == start - 1


MISSING = [
    Span("gone.yaml", 1, 1, 1, 2),
    Span("rules/aws/iam.yaml", 99, 1, 99, 2),
    Span("rules/aws/iam.yaml", 0, 1, 0, 2),
]


@pytest.mark.parametrize("span", MISSING)
def test_without_its_line_a_finding_is_told_all_the_same(span):
    assert render_text([replace(FIELD, span=span, hint="", via=())], TEXTS).count("\n") == 0


def test_findings_are_sorted_by_file_and_place():
    texts = {"b": "x\ny\n", "a": "x\n"}
    places = [Span("a", 1, 1, 1, 2), Span("b", 2, 1, 2, 2), Span("other", 1, 1, 1, 2), Span("b", 1, 1, 1, 2)]
    text = render_text([Diagnostic("s", "C", "m", span) for span in places], texts)

    heads = [line.split(": ")[0] for line in text.split("\n") if "[s]" in line]
    assert heads == ["b:1:1", "b:2:1", "a:1:1", "other:1:1"]


def test_of_very_many_findings_the_first_are_shown():
    text = render_text(
        [replace(FIELD, message=f"number {number}", via=(), hint="") for number in range(SHOWN + 7)], TEXTS
    )

    assert text.count("error[unknown-field]") == SHOWN
    assert text.endswith("\n\n... and 7 more")


def test_one_finding_with_many_users_is_told_once_with_the_first_of_them():
    users = [(f"rule 'r{number}'", Span("f", number, 1, number, 2)) for number in range(2, 14)]
    found = [replace(FIELD, via=(user,), item=("rule", user[0])) for user in users]
    lines = render_text(found, {}).splitlines()

    assert [line for line in lines if "used by" in line] == [
        *(f"  = used by rule 'r{number}' at f:{number}:1" for number in range(2, 10)),
        "  = used by 4 more",
    ]
    assert len([line for line in lines if "error[" in line]) == 1
    assert len(render_github(found, {}).splitlines()) == 1
    (result,) = render_sarif(found, {}, "1")["runs"][0]["results"]
    assert len(result["relatedLocations"]) == len(users)


def test_no_finding_is_no_text():
    assert render_text([], TEXTS) == ""
    assert render_github([], TEXTS) == ""


def test_colour_is_only_added():
    plain, coloured = render_text([FIELD], TEXTS), render_text([FIELD], TEXTS, color=True)

    assert "\033[31m" in coloured
    for code in ("\033[0m", "\033[1m", "\033[31m", "\033[34m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_warnings_have_a_colour_of_their_own():
    text = render_text([replace(FIELD, severity=WARNING)], TEXTS, color=True)

    assert "\033[33mwarning[unknown-field]" in text
    assert "\033[31m" not in text


EVIL = "a\x1b]0;owned\x07\nb\u202ec\x9bd\x7f\ud800"


def test_control_characters_never_reach_the_terminal():
    diagnostic = Diagnostic(
        "slug",
        "CODE",
        EVIL,
        Span(EVIL, 1, 1, 1, 2),
        hint=EVIL,
        via=((EVIL, Span(EVIL, 1, 1, 1, 2)),),
        item=("rule", EVIL),
    )
    text = render_text([diagnostic], {EVIL: EVIL})

    assert printable(text.replace("\n", "")) == text.replace("\n", "")
    assert len(text.split("\n")) == 5
    assert r"a\x1b]0;owned\x07\nb\u202ec\x9bd\x7f\ud800" in text


PRINTABLE = {
    "plain": "plain",
    "naïve 你 😀": "naïve 你 😀",
    "a\tb\n": r"a\tb\n",
    "\u2028\u200b": r"\u2028\u200b",
    "\\n": "\\n",
}


@pytest.mark.parametrize(("text", "want"), PRINTABLE.items())
def test_control_characters_in_messages_are_written_out(text, want):
    assert printable(text) == want


def test_github_shows_a_finding_beside_its_line():
    assert render_github([FIELD], TEXTS) == (
        "::error file=rules/aws/iam.yaml,line=2,endLine=2,col=14,endColumn=19,title=unknown-field"
        "::source aws_cloudtrail has no field 'ct.usr' (LOAD_ERR_COMPILE_CONDITION)"
        "%0Ahint: did you mean 'ct.user'?%0Aused by rule 'Root creates a user' at rules/aws/iam.yaml:3:9"
    )


def test_github_leaves_the_end_out_when_it_is_on_another_line():
    text = render_github([replace(FIELD, span=Span("f", 2, 14, 3, 4), severity=WARNING)], TEXTS)

    assert text.startswith("::warning file=f,line=2,endLine=3,col=14,title=unknown-field::")


def test_github_commands_cannot_be_forged():
    evil = "100%,a:b\r\n::error file=x::y\x1b"
    diagnostic = Diagnostic("slug", "CODE", evil, Span(evil, 1, 1, 1, 2))

    assert render_github([diagnostic], {}) == (
        "::error file=100%25%2Ca%3Ab%0D%0A%3A%3Aerror file=x%3A%3Ay\\x1b,line=1,endLine=1,col=1,endColumn=1,title=slug"
        "::100%25,a:b%0D%0A::error file=x::y\\x1b (CODE)"
    )


BAD = "- list: l\n\n- rule: r\n  desc: d\n  condition: a.b = c\n  output: o\n  priority: hint\n  enable: true\n"
LEVELS = "Emergency, Alert, Critical, Error, Warning, Notice, Informational, Debug"


def test_falcos_json_tells_all_files_with_positions_from_zero():
    files = [RuleFile("good.yaml", ""), RuleFile("a.yaml", BAD)]
    result = render_falco_json(files, read(BAD)[1])

    good, bad = result["falco_load_results"]
    assert good == {"name": "good.yaml", "successful": True, "errors": [], "warnings": []}
    assert (bad["name"], bad["successful"], len(bad["errors"]), len(bad["warnings"])) == ("a.yaml", False, 2, 1)
    assert bad["errors"][1] == {
        "code": "LOAD_ERR_YAML_VALIDATE",
        "codedesc": "The YAML has not the structure of a rule file",
        "message": f"'hint' is no priority; one of {LEVELS}",
        "context": {
            "locations": [
                {
                    "item_type": "rules content",
                    "item_name": "",
                    "position": {"name": "a.yaml", "line": 0, "column": 0, "offset": 0},
                },
                {
                    "item_type": "rule",
                    "item_name": "r",
                    "position": {"name": "a.yaml", "line": 6, "column": 12, "offset": BAD.index("hint")},
                },
            ],
            "snippet": "  priority: hint\n            ^\n",
        },
    }
    assert bad["warnings"][0]["code"] == "LOAD_UNKNOWN_KEY"
    assert json.loads(json.dumps(result)) == result


def test_falcos_json_cuts_snippets():
    text = "- macro: m\n  condition: " + "x" * 500 + "\n"
    finding = Diagnostic("s", "C", "m", Span("f", 2, 200, 2, 203), item=("macro", "m"))
    (result,) = render_falco_json([RuleFile("f", text)], Report([finding]))["falco_load_results"]

    line, caret, end = result["errors"][0]["context"]["snippet"].split("\n")
    assert (len(line), line[:3], line[-3:], caret.strip(" "), end) == (160, "...", "...", "^", "")


def test_falcos_json_keeps_findings_outside_of_files():
    finding = Diagnostic("s", "LOAD_ERR_COMPILE_OUTPUT", "m", Span("append_output", 1, 1, 1, 2), item=("rule", "r"))
    first, last = render_falco_json([RuleFile("a", ""), RuleFile("b", "")], Report([finding]))["falco_load_results"]

    assert (first["successful"], last["successful"]) == (True, False)
    assert last["errors"][0]["context"]["snippet"] == ""


def test_falcos_json_tells_the_place_of_what_is_in_no_item():
    text = "- list: l\n  items: [a\n"
    (result,) = render_falco_json([RuleFile("a.yaml", text)], read(text)[1])["falco_load_results"]
    context = result["errors"][0]["context"]

    assert [(one["item_type"], one["position"]["line"], one["position"]["column"]) for one in context["locations"]] == [
        ("rules content", 1, 9)
    ]
    assert context["snippet"] == "  items: [a\n         ^\n"


def test_warnings_alone_are_successful_in_falcos_json():
    (result,) = render_falco_json([RuleFile("a.yaml", "- marco: m\n")], read("- marco: m\n")[1])["falco_load_results"]

    assert (result["successful"], result["errors"], len(result["warnings"])) == (True, [], 1)


def test_sarif_tells_findings_with_places_and_kinds():
    warning = replace(FIELD, slug="other", severity=WARNING, span=Span("/abs/ä b%.yaml", 1, 2, 3, 4), via=(), hint="")
    log = render_sarif([FIELD, warning, replace(FIELD, message="again")], TEXTS, "1.2.3")

    (run,) = log["runs"]
    assert (log["version"], log["$schema"]) == ("2.1.0", "https://json.schemastore.org/sarif-2.1.0.json")
    assert run["columnKind"] == "unicodeCodePoints"
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("Lanner", "1.2.3")
    assert {rule["id"]: rule["shortDescription"]["text"] for rule in driver["rules"]} == {
        "unknown-field": "A condition cannot be compiled",
        "other": "A condition cannot be compiled",
    }
    assert [driver["rules"][result["ruleIndex"]]["id"] for result in run["results"]] == [
        r["ruleId"] for r in run["results"]
    ]
    first, _, last = run["results"]
    assert first["level"] == "error"
    assert first["message"]["text"] == "source aws_cloudtrail has no field 'ct.usr'; did you mean 'ct.user'?"
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "rules/aws/iam.yaml"},
        "region": {"startLine": 2, "startColumn": 14, "endLine": 2, "endColumn": 20},
    }
    assert first["relatedLocations"][0]["message"]["text"] == "used by rule 'Root creates a user'"
    assert first["properties"] == {"code": "LOAD_ERR_COMPILE_CONDITION", "item": {"kind": "macro", "name": "root"}}
    assert (last["level"], "relatedLocations" in last) == ("warning", False)
    assert last["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///abs/%C3%A4%20b%25.yaml"
    assert json.loads(json.dumps(log)) == log


def test_sarif_without_findings_is_a_run_without_results():
    (run,) = render_sarif([], {}, "1")["runs"]

    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_every_code_that_the_engine_gives_has_a_description():
    sources = [
        path.read_text("utf-8") for path in Path(engine.__path__[0]).glob("*.py") if path.name != "render_json.py"
    ]
    codes = {code for source in sources for code in re.findall(r'"(LOAD_[A-Z_]+)"', source)}

    assert len(codes) > 15
    assert codes <= set(CODES)
