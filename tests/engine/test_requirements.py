import pytest

from engine.requirements import parse_version, serves
from tests.engine.reading import read

VERSIONS = {
    "1.2.3": (1, 2, 3),
    "0.0.0": (0, 0, 0),
    "0.31.0-rc1": (0, 31, 0),
    "10.20.30+build.5": (10, 20, 30),
    "1.2": None,
    "1.2.3.4": None,
    "1.2.x": None,
    "01.2.3": None,
    "-1.2.3": None,
    "": None,
    "1.2.3\n": None,
    "9" * 10 + ".0.0": None,
}


@pytest.mark.parametrize(("text", "version"), VERSIONS.items())
def test_versions(text, version):
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("offered", "wanted", "served"),
    [
        ((0, 63, 0), (0, 63, 0), True),
        ((0, 63, 0), (0, 62, 9), True),
        ((0, 63, 1), (0, 63, 2), False),
        ((1, 0, 0), (0, 9, 0), False),
        ((0, 9, 0), (1, 0, 0), False),
        ((0, 10, 0), (0, 9, 0), True),
    ],
)
def test_a_version_serves_older_ones_of_the_same_major_version(offered, wanted, served):
    assert serves(offered, wanted) is served


def test_the_highest_required_engine_version_is_kept():
    found, report = read(
        "- required_engine_version: 26\n- required_engine_version: 0.31.0\n", "- required_engine_version: '0.30.9'\n"
    )

    assert report.diagnostics == []
    assert found.required_engine_version == "0.31.0"


PLUGINS = {"json": "0.7.4", "k8saudit": "0.18.0"}
MET = {
    "exactly": "{name: json, version: 0.7.4}",
    "older": "{name: k8saudit, version: 0.7.0}",
    "by an alternative": "{name: k8saudit-eks, version: 0.4.0, alternatives: [{name: k8saudit, version: 0.7.0}]}",
    "by the first that there is": "{name: x, version: 1.0.0, alternatives: "
    "[{name: json, version: 0.1.0}, {name: k8saudit, version: 9.0.0}]}",
}


@pytest.mark.parametrize("entry", MET.values(), ids=MET)
def test_plugin_requirements_are_met(entry):
    found, report = read(f"- required_plugin_versions: [{entry}]\n", plugins=PLUGINS)

    assert report.diagnostics == []
    assert len(found.plugin_needs) == 1


def test_a_requirement_keeps_its_choices_and_its_place():
    found, _ = read(f"- required_plugin_versions:\n    - {MET['by an alternative']}\n", plugins=PLUGINS)

    (need,) = found.plugin_needs
    assert need.choices == (("k8saudit-eks", "0.4.0"), ("k8saudit", "0.7.0"))
    assert (need.at.span.line, need.at.span.col) == (2, 14)


def test_requirements_of_all_files_are_checked():
    wanted = "- required_plugin_versions: [{name: %s, version: 0.1.0}]\n"
    _, report = read(wanted % "x", wanted % "json", wanted % "y", plugins=PLUGINS)

    assert [(d.slug, d.item[1], d.span.file) for d in report.errors] == [
        ("plugin-version", "x", "a.yaml"),
        ("plugin-version", "y", "c.yaml"),
    ]
