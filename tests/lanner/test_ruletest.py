"""``lanner rules test``: what passes and fails, how a failure is told, and that a bad test file is a sentence."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from lanner.cli.app import status_of
from lanner.ruletest import merged

RULES = """
- list: friends
  items: []
- rule: Trail stopped
  desc: d
  condition: ct.name = StopLogging and not ct.error exists and not ct.user in (friends)
  output: Trail stopped | actor=%ct.user.arn
  priority: ERROR
  source: aws_cloudtrail
- rule: Trail deleted
  desc: d
  condition: ct.name = DeleteTrail
  output: Trail deleted
  priority: ERROR
  source: aws_cloudtrail
  enabled: false
"""
HEAD = """
source: aws_cloudtrail
events:
  stop:
    eventName: StopLogging
    eventTime: "2026-01-02T09:00:00Z"
    userIdentity: {type: IAMUser, userName: eve, arn: "arn:aws:iam::111122223333:user/eve"}
tests:
"""
GOOD = """
  - rule: Trail stopped
    event: {like: stop}
    output: user/eve
    fires:
      - stopped: {}
    quiet:
      - refused: {errorCode: AccessDenied}
"""
OFF = """
  - rule: Trail deleted
    event: {like: stop, eventName: DeleteTrail}
    fires: [{deleted: {}}]
    quiet: [{stopped: {eventName: StopLogging}}]
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "trail.yaml").write_text(RULES)
    return tmp_path


def write(pack: Path, tests: str, head: str = HEAD) -> str:
    (pack / "tests" / "trail.yaml").write_text(head + tests)
    return str(pack)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = status_of(["rules", "test", *arguments])
    told = capsys.readouterr()
    return status, told.out + told.err


def test_a_file_in_a_folder_tests_is_about_the_rules_above_it(pack, capsys):
    status, told = run(capsys, write(pack, GOOD))

    assert (status, told) == (0, "1 rules, 2 cases in 1 files: none failed\n")


def test_a_rule_that_keeps_quiet_where_it_must_fire_is_told_with_the_comparison_that_decided(pack, capsys):
    wrong = GOOD.replace("stopped: {}", "stopped: {errorCode: Throttled}")

    status, told = run(capsys, write(pack, wrong))

    assert status == 1
    assert "tests/trail.yaml:14: Trail stopped: stopped" in told
    assert "expected  fires" in told
    assert "actual    quiet" in told
    assert "decided   ct.error exists is true, the field is 'Throttled'" in told


def test_a_rule_that_fires_where_it_must_keep_quiet_is_told(pack, capsys):
    status, told = run(capsys, write(pack, GOOD.replace("errorCode: AccessDenied", "awsRegion: us-east-1")))

    assert status == 1
    assert "expected  quiet" in told
    assert "actual    fires" in told


def test_a_message_that_lacks_a_text_fails(pack, capsys):
    status, told = run(capsys, write(pack, GOOD.replace("user/eve", "user/adam")))

    assert status == 1
    assert "the message lacks 'user/adam': Trail stopped | actor=arn:aws:iam::111122223333:user/eve" in told


def test_rules_that_are_off_are_tested_too(pack, capsys):
    assert run(capsys, write(pack, OFF))[0] == 0


def test_items_given_are_loaded_after_the_rules(pack, capsys):
    given = """
  - rule: Trail stopped
    given:
      - {list: friends, items: [eve], override: {items: replace}}
    event: {like: stop}
    fires:
      - a stranger: {userIdentity: {userName: adam}}
    quiet:
      - a friend: {}
"""
    assert run(capsys, write(pack, GOOD + given))[0] == 0


def test_events_of_another_file_can_be_used(pack, capsys):
    (pack / "tests" / "shared").mkdir()
    (pack / "tests" / "shared" / "events.yaml").write_text(HEAD[HEAD.index("events") : HEAD.index("tests:")])
    head = "source: aws_cloudtrail\ninclude: shared/events.yaml\ntests:\n"

    assert run(capsys, write(pack, GOOD, head))[0] == 0


def test_a_file_elsewhere_says_which_rules_it_is_about(pack, tmp_path_factory, capsys):
    folder = tmp_path_factory.mktemp("elsewhere")
    test = folder / "mine.yaml"

    test.write_text(HEAD + GOOD)
    assert run(capsys, str(test), "-r", str(pack / "trail.yaml"))[0] == 0
    status, told = run(capsys, str(test))
    assert status == 2
    assert "say which rules it is about" in told
    test.write_text(f"rules: {pack}/trail.yaml" + HEAD + GOOD)
    assert run(capsys, str(test))[0] == 0


def test_a_rule_without_a_test_is_refused_only_on_demand(pack, capsys):
    write(pack, GOOD)

    assert run(capsys, str(pack))[0] == 0
    status, told = run(capsys, str(pack), "--require-tests")
    assert status == 1
    assert "FAIL  no firing or no quiet case: Trail deleted" in told
    write(pack, GOOD + OFF)
    assert run(capsys, str(pack), "--require-tests")[0] == 0


def test_a_test_of_an_unknown_rule_fails(pack, capsys):
    status, told = run(capsys, write(pack, GOOD.replace("rule: Trail stopped", "rule: Trail stoped")))

    assert status == 1
    assert "no rule 'Trail stoped' for source aws_cloudtrail" in told


def test_coverage_names_comparisons_that_no_case_makes_true_or_false(pack, capsys):
    _, told = run(capsys, write(pack, GOOD), "--coverage")

    assert "1 fire   1 quiet  Trail stopped" in told
    assert "always true: ct.name = StopLogging" in told
    assert "always false: ct.user in (friends)" in told
    assert "ct.error exists" not in told
    assert "0 fire   0 quiet  Trail deleted" in told


def test_results_are_written_as_junit(pack, tmp_path, capsys):
    file = tmp_path / "junit.xml"
    run(capsys, write(pack, GOOD.replace("stopped: {}", "stopped: {errorCode: x}")), "--junit", str(file))

    suite = ElementTree.parse(file).getroot().find("testsuite")

    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "decided" in (failure.text or "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("- rule: x", "a mapping is wanted here"),
        ("source: [", "not YAML"),
        ("source: okta\ntests: []", "source is okta; one of aws_cloudtrail, k8s_audit, syscall is wanted"),
        ("source: k8s_audit", "tests is missing or no list"),
        ("source: k8s_audit\ntest: []", "unknown key 'test'"),
        ("source: k8s_audit\nevents: [a]\ntests: []", "events is a mapping of names to records"),
        ("source: k8s_audit\ninclude: {a: b}\ntests: []", "include is a text or a list of texts"),
        ("source: k8s_audit\ninclude: nowhere.yaml\ntests: []", "cannot read the test file"),
        (HEAD + "  - fires: [{a: {}}]", "rule is missing"),
        (HEAD + "  - rule: Trail stopped", "neither fires nor quiet has a case"),
        (HEAD + "  - {rule: Trail stopped, fires: {a: {}}}", "a list of cases is wanted"),
        (HEAD + "  - {rule: Trail stopped, fires: [{a: {}, b: {}}]}", "a case is one 'name: differences'"),
        (HEAD + "  - {rule: Trail stopped, fires: [{a: [1]}]}", "the differences of an event are a mapping"),
        (HEAD + "  - {rule: Trail stopped, event: {like: start}, fires: [{a: {}}]}", "no event 'start' in events"),
        (HEAD + "  - {rule: Trail stopped, output: {a: b}, fires: [{a: {}}]}", "output is a text or a list of texts"),
        (HEAD + "  - {rule: Trail stopped, fires: [{a: {}}], fires: [{b: {}}]}", "fires is given twice"),
    ],
)
def test_a_bad_test_file_is_told_in_a_sentence(pack, capsys, text, told):
    status, said = run(capsys, write(pack, text, ""))

    assert status == 2
    assert "lanner: " in said
    assert told in said


def test_an_event_cannot_be_like_itself(pack, capsys):
    status, told = run(capsys, write(pack, GOOD, HEAD.replace("  stop:\n", "  stop:\n    like: stop\n")))

    assert status == 2
    assert "no event 'stop' in events" in told


def test_a_record_that_is_no_event_fails_its_case_alone(pack, capsys):
    status, told = run(capsys, write(pack, GOOD.replace("stopped: {}", "stopped: {eventTime: noon}")))

    assert status == 1
    assert "the record is no event of aws_cloudtrail" in told
    assert "2 cases in 1 files: 1 failed" in told


def test_rules_that_do_not_load_end_the_run_with_their_errors(pack, capsys):
    (pack / "trail.yaml").write_text(RULES.replace("ct.name", "ct.nam"))

    status, told = run(capsys, write(pack, GOOD))

    assert status == 3
    assert "ct.nam" in told


def test_a_path_without_tests_is_told(tmp_path, capsys):
    assert run(capsys, str(tmp_path / "nowhere"))[0] == 2
    status, told = run(capsys, str(tmp_path))
    assert status == 2
    assert "no test file here" in told


def test_objects_are_merged_key_by_key_and_other_values_replaced():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": "x"}

    assert merged(base, {"a": {"c": [3], "e": None}, "d": {"f": 1}}) == {
        "a": {"b": 1, "c": [3], "e": None},
        "d": {"f": 1},
    }
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": "x"}
