"""A message keeps its template and values; a predicate becomes a sentence about a subject."""

import copy
import json
import pickle

import pytest

from ipadapter_core.messages import Message, Predicate, for_page, joined, message_of, printable


def test_a_message_is_its_english_text():
    message = Message("'<1>' is <2> too <1>", "long", 3)
    assert message == "'long' is 3 too long" and isinstance(message, str)
    assert (message.template, message.values) == ("'<1>' is <2> too <1>", ("long", 3))


def test_a_page_gets_templates_with_their_values_all_the_way_down():
    inner = Message("has no block <1>", 7)
    assert for_page(Message("The map <1>.", inner)) == {
        "text": "The map <1>.",
        "values": [{"text": "has no block <1>", "values": ["7"]}],
    }
    assert for_page("plain") == "plain"


def test_a_page_gets_the_messages_in_lists_and_dictionaries():
    report = {"files": [{"text": Message("<1> tokens", 16), "usable": True}], "names": ("a", 2)}
    assert for_page(report) == {
        "files": [{"text": {"text": "<1> tokens", "values": ["16"]}, "usable": True}],
        "names": ["a", 2],
    }
    assert json.loads(json.dumps(report))["files"][0]["text"] == "16 tokens"


def test_several_messages_are_one_of_which_each_is_translated():
    notes = joined("; ", [Message("<1> tokens", 16), "x <1>"])
    assert notes == "16 tokens; x <1>"
    assert for_page(notes)["values"] == [{"text": "<1> tokens", "values": ["16"]}, "x <1>"]
    assert joined("; ", []) == ""


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_of_a_message_is_the_same_message(copied):
    message = Message("'<1>' needs <2>", "<3>", Message("<1> tokens", 16))
    assert copied(message) == message == "'<3>' needs 16 tokens"
    assert for_page(copied(message)) == for_page(message)


def test_a_value_with_a_mark_in_it_is_not_filled_in_again():
    assert Message("<1> and <2>", "<2>", "x") == "<2> and x"


def test_a_predicate_becomes_a_sentence_about_its_subject():
    with pytest.raises(Predicate) as caught:
        raise Predicate("is empty (<1> bytes)", 0)
    assert str(caught.value) == "is empty (0 bytes)"
    sentence = caught.value.about("The file 'x'")
    assert type(sentence) is ValueError and str(sentence) == "The file 'x' is empty (0 bytes)."
    assert for_page(sentence.args[0])["values"][1] == {
        "text": "is empty (<1> bytes)",
        "values": ["0"],
    }


def test_copies_keep_the_template():
    message = Message("'<1>' is <2>", "<2>", 3)
    duplicate = copy.deepcopy(message)
    assert duplicate == message and duplicate.values == ("<2>", 3)


def test_texts_in_a_message_can_be_changed_at_every_depth():
    message = Message("<1> has <2>: <3>", "/a/b", 2, Message("no <1>", "/a/b"))
    changed = message.with_values(lambda text: text.replace("/a/b", "x"))
    assert changed == "x has 2: no x" and changed.values[2].template == "no <1>"


@pytest.mark.parametrize("error", [Predicate("has <1>", 7), ValueError(Message("has <1>", 7))])
def test_the_text_of_an_error_keeps_its_template(error):
    assert message_of(error) == "has 7" and message_of(error).template == "has <1>"


def test_the_text_of_a_foreign_error_is_plain():
    assert message_of(KeyError("a")) == "'a'" and message_of(OSError(2, "gone")) == "[Errno 2] gone"


def test_printable_text_is_short_and_has_no_control_characters():
    assert printable("a\nb\x1b") == "a?b?"
    assert len(printable("x" * 500)) == 160 and printable("x" * 500).endswith("...")
