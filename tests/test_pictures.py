"""The pictures of the documentation: made by a script, with a real result where they show one."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

PACK = Path(__file__).parent.parent
FOLDERS = ("docs", "example_workflows", "web/docs")
PICTURES = sorted(
    path.relative_to(PACK).as_posix()
    for folder in FOLDERS
    for path in (PACK / folder).iterdir()
    if path.suffix in (".png", ".jpg", ".webp")
)
ENTRIES = json.loads((PACK / "docs" / "pictures.json").read_text())
PAGES = sorted(
    path for pattern in ("*.md", "docs/*.md", "demo/*.md", "web/docs/*.md", "web/docs/*/*.md")
    for path in PACK.glob(pattern)
)  # fmt: skip
IN_THE_REGISTRY = {"docs/icon.png", "docs/banner.png"}  # pyproject.toml names them
# mean change of colour from pixel to pixel, of the range: drawings and photographs have up to 0.03,
# results of random weights from 0.13
NOISE = 0.07


def test_every_picture_is_listed_and_every_listed_one_exists():
    assert sorted(ENTRIES) == PICTURES


@pytest.mark.parametrize("picture", PICTURES)
def test_a_script_of_the_project_makes_it_with_a_trained_model_or_none(picture):
    entry = ENTRIES[picture]
    assert set(entry) == {"script", "model"} and (PACK / entry["script"]).is_file()
    assert entry["model"] in ("demo", None)


@pytest.mark.parametrize("picture", PICTURES)
def test_no_part_of_it_is_noise(picture):
    with Image.open(PACK / picture) as frames:
        for number in range(getattr(frames, "n_frames", 1)):
            frames.seek(number)
            assert roughness(frames) < NOISE


def test_noise_is_told_from_pictures():
    noise = torch.rand(200, 200, 3, generator=torch.Generator().manual_seed(0)) * 255
    blank = Image.new("RGB", (400, 400))
    blank.paste(Image.fromarray(noise.byte().numpy()), (90, 90))
    assert roughness(blank) > NOISE


def roughness(picture: Image.Image, side: int = 100) -> float:
    """The largest mean change of colour between neighbouring pixels in any square of a picture."""
    pixels = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8)
    planes = pixels.reshape(picture.height, picture.width, 3).movedim(-1, 0).float() / 255
    colours = torch.stack([planes[0] - planes[1], planes[2] - planes[1]])  # text has none
    differences = colours.diff(dim=-1).abs().mean(0)[None]
    side = min(side, *differences.shape[1:])
    return float(torch.nn.functional.avg_pool2d(differences, side, stride=side // 4).max())


def shown_pictures(page: Path) -> set[str]:
    """The pictures of a page; the host takes those of a translation from web/docs."""
    paths = set()
    for target in re.findall(r"(?:!\[[^]]*\]\(|<img src=\")([^)\"]+)", page.read_text("utf-8")):
        beside = page.parent / target
        paths.add(beside if beside.is_file() else page.parent.parent / target)
    return {path.resolve().relative_to(PACK).as_posix() for path in paths}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PACK).as_posix())
def test_pages_show_listed_pictures_alone(page):
    assert shown_pictures(page) - set(ENTRIES) == set()


def test_every_listed_picture_is_shown():
    pages = {name for page in PAGES for name in shown_pictures(page)}
    thumbnails = {name for name in ENTRIES if name.startswith("example_workflows")}
    assert sorted(pages | thumbnails | IN_THE_REGISTRY) == sorted(ENTRIES)


@pytest.mark.parametrize("name", [name for name in PICTURES if name.startswith("example")])
def test_a_thumbnail_is_a_square(name):
    with Image.open(PACK / name) as thumbnail:
        assert len(set(thumbnail.size)) == 1
