"""What a release says of itself in several places is the same everywhere."""

import importlib.util
import re
from pathlib import Path

from PIL import Image, ImageChops

PACK = Path(__file__).parent.parent
SEMANTIC = r"\d+\.\d+\.\d+"


def test_version_and_changelog_agree():
    project = (PACK / "pyproject.toml").read_text()
    (version,) = re.findall(rf'^version = "({SEMANTIC})"$', project, re.MULTILINE)
    changelog = (PACK / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog
    released = re.findall(rf"^## \[({SEMANTIC})\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert released[0] == version
    numbers = [tuple(map(int, each.split("."))) for each in released]
    assert numbers == sorted(numbers, reverse=True)


def test_icon_and_banner_are_what_the_script_draws():
    spec = importlib.util.spec_from_file_location("brand", PACK / "scripts" / "brand.py")
    brand = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(brand)
    for name, drawn in (("icon", brand.icon()), ("banner", brand.banner())):
        with Image.open(PACK / "docs" / f"{name}.png") as remaining:
            assert (
                max(
                    high
                    for _, high in ImageChops.difference(
                        remaining.convert("RGB"), drawn
                    ).getextrema()
                )
                <= 2
            )
    width, height = brand.ICON
    assert width == height <= 400
    width, height = brand.BANNER
    assert width * 9 == height * 21


def test_the_project_says_all_that_the_registry_asks():
    project = (PACK / "pyproject.toml").read_text()
    for key in ("name", "version", "description", "license", "Repository", "PublisherId"):
        assert re.search(rf"^{key} = ", project, re.MULTILINE), key
    for key in ("DisplayName", "Icon", "Banner", "requires-comfyui"):
        assert re.search(rf"^{key} = ", project, re.MULTILINE), key
