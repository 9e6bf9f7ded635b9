"""The pack's languages: English is what the nodes and the editors say, Chinese is whole, none says what is no more."""

import re

import pytest

import locales

pytestmark = pytest.mark.host

LANGUAGES = sorted(folder.name for folder in locales.FOLDER.iterdir())
FRONTEND = {"ar", "en", "es", "fa", "fr", "he", "ja", "ko", "pt-BR", "ru", "tr", "zh", "zh-TW"}
FILES = ("nodeDefs", "main", "commands")
SPECIAL = re.compile(r"[@{}|]")  # the page's message format gives them a meaning
MARK = re.compile(r"<\w+>")
CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")  # characters or punctuation
SAME = {"IPAdapter", "X", "Y", "SD1.5", "SDXL"}  # names that stay as they are


def flat(texts, at=()):
    for name, one in texts.items():
        if isinstance(one, dict):
            yield from flat(one, (*at, name))
        else:
            yield (*at, name), one


def test_english_is_what_the_nodes_say(pack):
    infos = [node.GET_NODE_INFO_V1() for node in pack.nodes.NODES]
    assert locales.read("en", "nodeDefs") == locales.node_texts(infos), "run scripts/locales.py"


def test_english_has_every_word_of_the_editors_and_no_other():
    words = locales.read("en", "main")["ipadapter"]
    assert all(key == text for key, text in words.items())
    assert set(words) == locales.said() | locales.listed() | locales.spoken(), (
        "run scripts/locales.py"
    )


def test_the_menu_has_the_doctor_by_its_english_name_and_in_every_language():
    code = (locales.comfy_host.PACK / "web" / "doctor.js").read_text("utf-8")
    name, tooltip = re.search(r"label: '(.+?)'.*\n\s+tooltip: '(.+?)'", code).groups()
    command = locales.read("en", "commands")["ipadapternodes_Doctor_Open"]
    assert command == {"label": name, "tooltip": tooltip}
    for language in LANGUAGES:
        label = locales.read(language, "commands")["ipadapternodes_Doctor_Open"]["label"]
        assert locales.read(language, "main")["menuLabels"] == {name: label}


@pytest.mark.parametrize("file", FILES)
def test_chinese_has_every_text_in_chinese(file):
    english, chinese = (dict(flat(locales.read(language, file))) for language in ("en", "zh"))
    assert set(english) == set(chinese)
    copied = {place for place, text in chinese.items() if not CHINESE.search(text)}
    assert {chinese[place] for place in copied} <= SAME


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_known_to_the_page_and_says_nothing_that_is_no_more(language):
    assert language in FRONTEND
    for file in FILES:
        english, there = (dict(flat(locales.read(one, file))) for one in ("en", language))
        assert set(there) <= set(english)
        for place, text in there.items():
            assert text and text == text.strip() and not SPECIAL.search(text), place
            assert sorted(MARK.findall(text)) == sorted(MARK.findall(english[place])), place


def test_every_node_is_found_by_other_names_too(pack):
    for node in pack.nodes.NODES:
        info = node.GET_NODE_INFO_V1()
        if not info["deprecated"]:
            assert len(info["search_aliases"]) >= 2, info["name"]
            assert info["category"].split("/")[0] == "ipadapter"
            assert info["description"].endswith(".")
