import pytest

from engine.fields import Arg, Field, Type, table

LABEL = Field("pod.label", Type.STRING, "A label.", arg=Arg.KEY, dotted=True)
NAME = Field("pod.name", Type.STRING, "The name.")


def test_a_field_is_found_by_its_name() -> None:
    assert table("test", [LABEL, NAME]).find("pod.name") == (NAME, None)
    assert table("test", [LABEL, NAME]).find("pod.label") == (LABEL, None)


def test_more_words_are_the_argument_of_a_dotted_field_only() -> None:
    fields = table("test", [LABEL, NAME])
    assert fields.find("pod.label.app") == (LABEL, "app")
    assert fields.find("pod.label.io.example") == (LABEL, "io.example")
    assert fields.find("pod.name.app") is None
    assert fields.find("pod") is None


def test_the_longest_start_wins() -> None:
    longer = Field("pod.label.app", Type.STRING, "More telling.", arg=Arg.KEY, dotted=True)
    fields = table("test", [LABEL, longer])
    assert fields.find("pod.label.app") == (longer, None)
    assert fields.find("pod.label.app.tier") == (longer, "tier")
    assert fields.find("pod.label.apple") == (LABEL, "apple")


def test_a_name_can_be_listed_once() -> None:
    with pytest.raises(ValueError, match=r"pod\.name is listed twice"):
        table("test", [NAME], [NAME])


def test_a_discriminator_is_a_plain_string_field() -> None:
    with pytest.raises(ValueError, match=r"pod\.label cannot be a discriminator"):
        table("test", [LABEL], discriminators=("pod.label",))


def test_a_mistyped_name_is_near_to_the_right_one() -> None:
    assert table("test", [NAME]).near("pod.nmae") == "pod.name"
    assert table("test", [NAME]).near("something.else") is None
