"""The languages: English is that of the sources, Chinese is complete, none has texts that are
gone.
"""

import re

import pytest

import locales

pytestmark = pytest.mark.host

LANGUAGES = sorted(folder.name for folder in locales.FOLDER.iterdir())
FRONTEND = {"ar", "en", "es", "fa", "fr", "he", "ja", "ko", "pt-BR", "ru", "tr", "zh", "zh-TW"}
SPECIAL = re.compile(r"[@{}|]")  # the page's message format gives them a meaning
MARK = re.compile(r"<\w+>")
CHINESE = re.compile(r"[\u201c\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")  # or its punctuation
SAME = {"IPAdapter", "X", "Y", "SD1.5", "SDXL"}  # names that stay as they are


def texts_by_place(language, file):
    """The keys that lead to a text -> the text."""

    def text_at(place):
        content = texts
        for key in place:
            content = content[key]
        return content

    texts = locales.read(language, file)
    return {place: text_at(place) for place in locales.places(texts)}


def test_english_is_that_of_the_nodes(pack):
    infos = [node.GET_NODE_INFO_V1() for node in pack.nodes.NODES]
    assert locales.read("en", "nodeDefs") == locales.node_texts(infos), "run scripts/locales.py"


def test_english_has_every_text_of_the_page_and_of_messages():
    texts = locales.read("en", "main")["ipadapter"]
    assert all(key == text for key, text in texts.items())
    assert locales.english() == set(texts), "run scripts/locales.py"


def test_every_message_has_a_template_that_can_be_translated():
    assert len(locales.message_templates()) > 60
    assert locales.without_template() == []


def test_templates_are_read_out_of_calls_of_messages_and_what_derives_from_them(tmp_path):
    source = tmp_path / "source.py"
    source.write_text(
        'KEPT = "as <1> is"\n'
        "class Refusal(Predicate): ...\n"
        "def refuse(name, text):\n"
        '    Message(KEPT, name), messages.Message("in two " "parts"), Message(text)\n'
        '    raise Refusal("has <1>", name) from ValueError("not this")\n'
    )
    templates = locales.templates_by_call([source])
    assert [(line, template) for (_, line), template in templates] == [
        (4, "as <1> is"),
        (4, "in two parts"),
        (4, None),
        (5, "has <1>"),
    ]


def test_the_menu_has_the_doctor_by_its_english_name_and_in_every_language():
    code = (locales.comfy_host.PACK / "web" / "doctor.js").read_text("utf-8")
    name, tooltip = re.search(r"label: '(.+?)'.*\n\s+tooltip: '(.+?)'", code).groups()
    command = locales.read("en", "commands")["ipadapternodes_Doctor_Open"]
    assert command == {"label": name, "tooltip": tooltip}
    for language in LANGUAGES:
        label = locales.read(language, "commands")["ipadapternodes_Doctor_Open"]["label"]
        assert locales.read(language, "main")["menuLabels"] == {name: label}


@pytest.mark.parametrize("file", locales.FILES)
def test_chinese_has_every_text_in_chinese(file):
    english, chinese = texts_by_place("en", file), texts_by_place("zh", file)
    assert set(english) == set(chinese)
    copied = {place for place, text in chinese.items() if not CHINESE.search(text)}
    assert {chinese[place] for place in copied} <= SAME


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("file", locales.FILES)
def test_a_language_is_known_to_the_page_and_has_no_texts_that_are_gone(language, file):
    assert language in FRONTEND
    english, translated = texts_by_place("en", file), texts_by_place(language, file)
    assert translated and set(translated) <= set(english)
    for place, text in translated.items():
        assert text and text == text.strip() and not SPECIAL.search(text), place
        assert sorted(MARK.findall(text)) == sorted(MARK.findall(english[place])), place


@pytest.mark.parametrize(
    ("words", "node_id"),
    [
        ("ipadapter advanced", "ApplyIPAdapter"),
        ("unified loader", "LoadIPAdapter"),
        ("composition", "IPAdapterWeightMap"),
    ],
)
def test_nodes_are_found_by_the_words_of_other_packs(nodes_by_id, words, node_id):
    aliases = nodes_by_id[node_id].GET_NODE_INFO_V1()["search_aliases"]
    assert any(words in alias for alias in aliases)


def test_every_node_is_found_by_other_names_too(pack):
    assert len(pack.nodes.NODES) > 15
    for node in pack.nodes.NODES:
        info = node.GET_NODE_INFO_V1()
        if not info["deprecated"]:
            assert len(info["search_aliases"]) >= 2, info["name"]
            assert info["category"].split("/")[0] == "ipadapter"
            assert info["description"].endswith(".")
