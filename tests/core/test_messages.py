"""A message keeps its template and values; a predicate becomes a sentence about a subject."""

import pytest

from ipadapter_core.messages import Message, Predicate, for_page


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
