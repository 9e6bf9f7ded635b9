"""Each help page of a node has a Chinese one, and may have others, of the same structure and with
the names of the node texts in that language.

The host's page asks for `docs/<id>/<locale>.md` and then for `docs/<id>.md`, and takes relative
pictures of both from `docs/`:
https://github.com/Comfy-Org/ComfyUI_frontend/blob/v1.47.12/src/services/nodeHelpService.ts
https://github.com/Comfy-Org/ComfyUI_frontend/blob/v1.47.12/src/utils/markdownRendererUtil.ts
"""

import functools
import json
import re
from pathlib import Path

import pytest

PACK = Path(__file__).parent.parent
DOCS = PACK / "web" / "docs"
IDS = sorted(page.stem for page in DOCS.glob("*.md"))
LANGUAGES = sorted({folder.name for folder in (PACK / "locales").iterdir()} - {"en"})
TRANSLATED = sorted((page.parent.name, page.stem) for page in DOCS.glob("*/*.md"))
PICTURE = re.compile(r"!\[.+?\]\((\S+?)\)")
SPAN = re.compile(r"`([^`]+)`")
CHINESE = r"[\u3000-\u303f\u4e00-\u9fff]"  # or its punctuation
SCRIPTS = {
    "zh": CHINESE,
    "zh-TW": CHINESE,
    "ja": r"[\u3000-\u30ff\u4e00-\u9fff]",
    "ko": r"[\uac00-\ud7a3]",
    "ru": r"[\u0400-\u04ff]",
}
SIMPLIFIED = re.compile(r"[\u56fe\u8fd9\u4e3a\u4e2a\u4eec\u53c2\u8282\u6743]")
OTHER_NAMES = {
    # an input of the host's ImageFromBatch
    ("zh", "batch_index"): "\u6279\u6b21\u7d22\u5f15",
    ("zh", "x, y, width, height"): "x, y, \u5bbd, \u9ad8",
}


def lines_of(page: Path) -> list[str]:
    return page.read_text("utf-8").splitlines()


def form(line: str) -> tuple[str, int]:
    """What a line is: heading, list item, picture, row of a table, text; and how many cells."""
    mark = re.match(r"#+ |- |\d+\. |!\[|\||", line)
    assert mark is not None
    return (mark.group() or ("text" if line else ""), line.count("|"))


@functools.cache
def node_texts(language: str) -> dict[str, dict]:
    return json.loads((PACK / "locales" / language / "nodeDefs.json").read_text("utf-8"))


@functools.cache
def names(node_id: str, language: str) -> dict[str, str]:
    """The id of each input and output of a node -> its name in a language that has one."""
    english, texts = (node_texts(known).get(node_id, {}) for known in ("en", language))
    inputs = {name: entry["name"] for name, entry in texts.get("inputs", {}).items()}
    outputs = texts.get("outputs", {})
    return inputs | {
        entry["name"]: outputs[number]["name"]
        for number, entry in english.get("outputs", {}).items()
        if number in outputs
    }


@functools.cache
def options(node_id: str) -> set[str]:
    recorded = json.loads((PACK / "tests" / "data" / "object_info.json").read_text("utf-8"))
    groups = recorded[node_id]["input"].values()
    entries = [entry[1] for group in groups for entry in group.values() if len(entry) > 1]
    return {option for entry in entries for option in entry.get("options", [])}


def translations(node_id: str, span: str, language: str) -> set[str]:
    """What an English page's code may be in another language: names of the node are translated,
    names that another node has may be, and anything else, an option above all, is typed as it is.
    """
    own = names(node_id, language)
    if (language, span) in OTHER_NAMES:
        return {OTHER_NAMES[language, span]}
    if span in own:
        return {own[span]} | ({span} & options(node_id))
    others = [names(other, language) for other in node_texts("en")]
    return {span} | {other[span] for other in others if span in other}


def has_words(line: str) -> bool:
    """Whether a line has more words than names of nodes have."""
    return len(re.findall(r"[a-z]{2,}", re.sub(r"`[^`]+`|\(\S+\)", "", line))) > 5


def test_every_page_has_a_chinese_page_and_others_only_in_known_languages():
    assert len(IDS) >= 20
    assert sorted(node_id for node_id, language in TRANSLATED if language == "zh") == IDS
    assert {*TRANSLATED} <= {(node_id, language) for node_id in IDS for language in LANGUAGES}
    files = [path for path in DOCS.glob("*/*") if path.suffix != ".md"]
    assert files == []


@pytest.mark.parametrize(("node_id", "language"), TRANSLATED)
def test_a_translated_page_has_the_lines_of_the_english_one(node_id, language):
    english, translated = (
        lines_of(page) for page in (DOCS / f"{node_id}.md", DOCS / node_id / f"{language}.md")
    )
    assert [form(line) for line in translated] == [form(line) for line in english]
    texts = node_texts(language).get(node_id, node_texts("en")[node_id])
    assert translated[0] == f"# {texts['display_name']}"
    script = SCRIPTS.get(language, "[a-z]")
    for line, other in zip(english, translated, strict=True):
        assert other != line or not has_words(line), line
        assert other == line or re.search(script, other) or not re.search("[a-z]", line), other


def test_no_traditional_page_has_simplified_characters():
    pages = [DOCS / node_id / "zh-TW.md" for node_id, language in TRANSLATED if language == "zh-TW"]
    assert [page for page in pages if SIMPLIFIED.search(page.read_text("utf-8"))] == []


@pytest.mark.parametrize(("node_id", "language"), TRANSLATED)
def test_a_translated_page_has_the_pictures_of_the_english_one(node_id, language):
    english, translated = (
        PICTURE.findall(page.read_text("utf-8"))
        for page in (DOCS / f"{node_id}.md", DOCS / node_id / f"{language}.md")
    )
    assert english and translated == english
    assert all((DOCS / picture).is_file() for picture in translated)


@pytest.mark.parametrize(("node_id", "language"), TRANSLATED)
def test_a_translated_page_has_the_code_of_the_english_one_line_by_line(node_id, language):
    pages = DOCS / f"{node_id}.md", DOCS / node_id / f"{language}.md"
    for english, translated in zip(*(lines_of(page) for page in pages), strict=True):
        remaining = SPAN.findall(translated)
        for span in SPAN.findall(english):
            (match, *_) = [*(translations(node_id, span, language) & {*remaining}), None]
            assert match is not None, (span, translated)
            remaining.remove(match)
        assert remaining == [], translated
