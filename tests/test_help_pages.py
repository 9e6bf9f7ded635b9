"""Each help page of a node has a Chinese one of the same structure, with the names of the Chinese
node texts.

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
PICTURE = re.compile(r"!\[.+?\]\((\S+?)\)")
SPAN = re.compile(r"`([^`]+)`")
CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff]")  # or its punctuation
OTHER_NAMES = {
    "batch_index": "\u6279\u6b21\u7d22\u5f15",  # an input of the host's ImageFromBatch
    "x, y, width, height": "x, y, \u5bbd, \u9ad8",
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
def names(node_id: str) -> dict[str, str]:
    """The id of each input and output of a node -> its Chinese name."""
    english, chinese = (node_texts(language)[node_id] for language in ("en", "zh"))
    inputs = {name: entry["name"] for name, entry in chinese["inputs"].items()}
    return inputs | {
        entry["name"]: chinese["outputs"][number]["name"]
        for number, entry in english.get("outputs", {}).items()
    }


@functools.cache
def options(node_id: str) -> set[str]:
    recorded = json.loads((PACK / "tests" / "data" / "object_info.json").read_text("utf-8"))
    groups = recorded[node_id]["input"].values()
    entries = [entry[1] for group in groups for entry in group.values() if len(entry) > 1]
    return {option for entry in entries for option in entry.get("options", [])}


def translations(node_id: str, span: str) -> set[str]:
    """What an English page's code may be in Chinese: names of the node are translated, names that
    another node has may be, and anything else, an option above all, is typed as it is.
    """
    own = names(node_id)
    if span in OTHER_NAMES:
        return {OTHER_NAMES[span]}
    if span in own:
        return {own[span]} | ({span} & options(node_id))
    others = [names(other) for other in node_texts("en")]
    return {span} | {other[span] for other in others if span in other}


def test_every_page_has_a_chinese_page_and_nothing_else_has():
    assert len(IDS) >= 20
    assert sorted(page.parent.name for page in DOCS.glob("*/*.md")) == IDS
    assert {page.name for page in DOCS.glob("*/*")} == {"zh.md"}


@pytest.mark.parametrize("node_id", IDS)
def test_a_chinese_page_has_the_lines_of_the_english_one(node_id):
    english, chinese = lines_of(DOCS / f"{node_id}.md"), lines_of(DOCS / node_id / "zh.md")
    assert [form(line) for line in chinese] == [form(line) for line in english]
    assert chinese[0] == f"# {node_texts('zh')[node_id]['display_name']}"
    for line, translated in zip(english, chinese, strict=True):
        assert CHINESE.search(translated) or translated == line or not re.search("[a-z]", line)


@pytest.mark.parametrize("node_id", IDS)
def test_a_chinese_page_has_the_pictures_of_the_english_one(node_id):
    english, chinese = (
        PICTURE.findall(page.read_text("utf-8"))
        for page in (DOCS / f"{node_id}.md", DOCS / node_id / "zh.md")
    )
    assert english and chinese == english
    assert all((DOCS / picture).is_file() for picture in chinese)


@pytest.mark.parametrize("node_id", IDS)
def test_a_chinese_page_has_the_code_of_the_english_one_line_by_line(node_id):
    pages = DOCS / f"{node_id}.md", DOCS / node_id / "zh.md"
    for english, chinese in zip(*(lines_of(page) for page in pages), strict=True):
        remaining = SPAN.findall(chinese)
        for span in SPAN.findall(english):
            (match, *_) = [*(translations(node_id, span) & {*remaining}), None]
            assert match is not None, (span, chinese)
            remaining.remove(match)
        assert remaining == [], chinese
