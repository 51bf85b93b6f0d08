"""Diagnostics for machines: the result that ``falco -V`` prints with JSON output, and SARIF 2.1.0."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from engine.diagnostics import ERROR, Diagnostic, Report, Span
from engine.render import in_order, merged, printable, source_excerpt
from engine.rulefile import RuleFile
from engine.sourcefile import SourceFile

_SNIPPET_WIDTH = 160
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

CODES: Mapping[str, str] = {
    "LOAD_ERR_FILE_READ": "The file cannot be read",
    "LOAD_ERR_YAML_PARSE": "The file is not YAML",
    "LOAD_ERR_YAML_VALIDATE": "The YAML has not the structure of a rule file",
    "LOAD_ERR_VALIDATE": "A list, macro, rule or exception does not fit the others",
    "LOAD_ERR_COMPILE_CONDITION": "A condition cannot be compiled",
    "LOAD_ERR_COMPILE_OUTPUT": "An output cannot be compiled",
    "LOAD_UNKNOWN_SOURCE": "The event source is unknown",
    "LOAD_UNSAFE_NA_CHECK": "A comparison with the text <NA>",
    "LOAD_NO_EVTTYPE": "The condition is tested on too many event types",
    "LOAD_WARNING_EXTENSION": "Something that only Lanner knows",
    "LOAD_UNKNOWN_FILTER": "An unknown field or event type, the rule is left out",
    "LOAD_UNUSED_MACRO": "The macro is not used",
    "LOAD_UNUSED_LIST": "The list is not used",
    "LOAD_UNKNOWN_ITEM": "The item is of no known kind",
    "LOAD_UNKNOWN_KEY": "The key has no meaning here",
    "LOAD_DEPRECATED_ITEM": "Something deprecated",
    "LOAD_APPEND_NO_VALUES": "Nothing is appended to an exception",
    "LOAD_EXCEPTION_NAME_NOT_UNIQUE": "Two exceptions have one name",
    "LOAD_INVALID_MACRO_NAME": "The macro cannot be referred to by this name",
    "LOAD_INVALID_LIST_NAME": "The list cannot be referred to by this name",
    "LOAD_COMPILE_CONDITION": "The condition may not mean what it seems to",
}
"""What each code stands for, in a few words."""


def render_falco_json(files: Sequence[RuleFile], report: Report) -> dict[str, Any]:
    """
    Return ``{"falco_load_results": [...]}``, one result a file, in the order of the files.

    Lines, columns and offsets count from 0, as Falco's do. What is wrong outside of any file (in ``append_output``) is
    told with the last one. Falco's JSON schema is not applied, so its keys are not there.
    """
    texts = {file.name: file.text for file in files}
    sources = {name: SourceFile.of(name, text) for name, text in texts.items()}
    found = in_order(report.diagnostics, texts)
    outside = [diagnostic for diagnostic in found if diagnostic.span.file not in texts]
    results = []
    for file in files:
        here = [diagnostic for diagnostic in found if diagnostic.span.file == file.name]
        results.append(_result(file.name, [*here, *(outside if file is files[-1] else ())], sources))
    return {"falco_load_results": results}


def _result(name: str, found: Sequence[Diagnostic], sources: Mapping[str, SourceFile]) -> dict[str, Any]:
    errors = [_finding(diagnostic, sources) for diagnostic in found if diagnostic.severity == ERROR]
    warnings = [_finding(diagnostic, sources) for diagnostic in found if diagnostic.severity != ERROR]
    return {"name": name, "successful": not errors, "errors": errors, "warnings": warnings}


def _finding(diagnostic: Diagnostic, sources: Mapping[str, SourceFile]) -> dict[str, Any]:
    file = sources.get(diagnostic.span.file)
    return {
        "code": diagnostic.code,
        "codedesc": CODES.get(diagnostic.code, ""),
        "message": _message(diagnostic),
        "context": {"locations": _locations(diagnostic, file), "snippet": _snippet(diagnostic.span, file)},
    }


def _message(diagnostic: Diagnostic) -> str:
    return f"{diagnostic.message}; {diagnostic.hint}" if diagnostic.hint else diagnostic.message


def _locations(diagnostic: Diagnostic, file: SourceFile | None) -> list[dict[str, Any]]:
    """Tell where it is, outermost first: the file, then the item; of what is in no item the place in the file."""
    span = diagnostic.span
    kind, name = diagnostic.item
    offset = file.starts[span.line - 1] + span.col - 1 if file and 1 <= span.line <= len(file.starts) else 0
    here = (span.line - 1, span.col - 1, offset)
    places = [("rules content", "", 0, 0, 0), (kind, name, *here)] if kind else [("rules content", "", *here)]
    return [
        {
            "item_type": item_type,
            "item_name": item_name,
            "position": {"name": span.file, "line": line, "column": column, "offset": at},
        }
        for item_type, item_name, line, column, at in places
    ]


def _snippet(span: Span, file: SourceFile | None) -> str:
    excerpt = source_excerpt(span, file, _SNIPPET_WIDTH)
    return "" if excerpt is None else f"{excerpt[0]}\n{excerpt[1]}^\n"


def render_sarif(diagnostics: Iterable[Diagnostic], texts: Mapping[str, str], version: str) -> dict[str, Any]:
    """
    Return a SARIF 2.1.0 log with one run.

    Args:
        diagnostics: The findings.
        texts: Texts of the files by name, in order of loading.
        version: Version of the program, for the description of the tool.
    """
    found = merged(in_order(diagnostics, texts))
    kinds = {diagnostic.slug: _sarif_rule(diagnostic) for diagnostic in reversed(found)}
    numbers = {slug: number for number, slug in enumerate(kinds)}
    driver = {"name": "Lanner", "version": version, "rules": list(kinds.values())}
    results = [_sarif_result(diagnostic, numbers[diagnostic.slug]) for diagnostic in found]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_rule(diagnostic: Diagnostic) -> dict[str, Any]:
    return {"id": diagnostic.slug, "shortDescription": {"text": CODES.get(diagnostic.code, diagnostic.slug)}}


def _sarif_result(diagnostic: Diagnostic, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.slug,
        "ruleIndex": index,
        "level": diagnostic.severity,
        "message": {"text": printable(_message(diagnostic))},
        "locations": [_sarif_location(diagnostic.span)],
        "properties": {"code": diagnostic.code, "item": {"kind": diagnostic.item[0], "name": diagnostic.item[1]}},
    }
    if diagnostic.via:
        result["relatedLocations"] = [
            {**_sarif_location(at), "message": {"text": f"used by {printable(who)}"}} for who, at in diagnostic.via
        ]
    return result


def _sarif_location(span: Span) -> dict[str, Any]:
    region = {
        "startLine": span.line,
        "startColumn": span.col,
        "endLine": span.end_line,
        "endColumn": span.end_col,
    }
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(span.file)}, "region": region}}


def _uri(name: str) -> str:
    path = quote(name.replace("\\", "/"), errors="replace")
    return f"file://{path}" if path.startswith("/") else path
