"""README is short enough to be read, and no page points to a file or heading that is not there."""

import re
from pathlib import Path

import pytest

PACK = Path(__file__).parent.parent
PAGES = sorted(
    page.relative_to(PACK).as_posix()
    for pattern in ("*.md", "docs/*.md", "demo/*.md", "benchmarks/*.md", "web/docs/*.md")
    for page in PACK.glob(pattern)
)
LINK = re.compile(r"(?:\]\(|src=\")([^)\s\"]+)")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages_with_links():
    assert {"README.md", "docs/models.md", "web/docs/ApplyIPAdapter.md"} <= set(PAGES)
    assert sum(len(LINK.findall((PACK / page).read_text("utf-8"))) for page in PAGES) > 50


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = PACK / name
    for link in LINK.findall(page.read_text("utf-8")):
        if re.match(r"[a-z]+:", link) or link.startswith("/"):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_readme_is_read_in_a_few_minutes():
    before_the_docs, heading, _ = (PACK / "README.md").read_text().partition("## Read on")
    assert heading and len(before_the_docs.split()) <= 900


@pytest.mark.parametrize("page", sorted((PACK / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_page_of_docs_is_in_readme(page):
    assert f"(docs/{page.name})" in (PACK / "README.md").read_text()
