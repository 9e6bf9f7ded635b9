"""The report: what fits what, near misses, and what is missing for what one wants to do."""

import re
from pathlib import Path

import pytest
from support.installed import BIGG, VIT_H, adapter, encoder, installed_file, spec

from ipadapter_core.doctor.file_names import finished_name, is_near_miss
from ipadapter_core.doctor.model_table import load, published
from ipadapter_core.doctor.report import Embeds, examine
from ipadapter_core.doctor.report_text import as_data, as_text, published_lines

TABLE = load()
FOLDERS = ("ipadapter", "clip_vision", "loras/ipadapter", "insightface", "controlnet")
MODELS_PAGE = Path(__file__).parent.parent.parent / "docs" / "models.md"


def advice(found):
    (entry,) = examine([found], TABLE).entries
    return entry.advice


def test_pairs_are_those_whose_contents_fit():
    report = examine(
        [
            adapter("plus"),
            adapter("base xl", "ip-adapter_sdxl"),
            encoder("h"),
            encoder("g", BIGG),
        ],
        TABLE,
    )
    assert dict(report.pairs) == {"plus": ("h",), "base xl": ("g",)}
    assert not report.problems


@pytest.mark.parametrize("folder", ["clip_vision", "checkpoints", "controlnet", "loras", "models"])
def test_an_adapter_in_a_wrong_folder_is_said_and_makes_no_pair(folder):
    found = adapter("a.safetensors", folder=folder)
    assert advice(found) == "is an adapter in the wrong folder: move it to models/ipadapter"
    assert examine([found, encoder()], TABLE).pairs == ()


def test_an_encoder_in_a_wrong_folder_is_said():
    assert "move it to models/clip_vision" in advice(encoder(folder="ipadapter"))


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a .safetensors", "a.safetensors"),
        (" a.safetensors", "a.safetensors"),
        ("sub/a  b.safetensors", "sub/a b.safetensors"),
        ("a (1).safetensors", "a.safetensors"),
        ("a.bin.1", "a.bin"),
        ("a.safetensors ", "a.safetensors"),
        ("a.safetensors.crdownload", "a.safetensors"),
        ("a.safetensors.part", "a.safetensors"),
        (".a.safetensors.part", "a.safetensors"),
        ("a.bin.html", "a.bin"),
        ("a.safetensors.txt", "a.safetensors"),
    ],
)
def test_what_tools_add_to_a_name_is_seen(name, good):
    assert finished_name(name) == good
    assert is_near_miss(name)
    listed = name.endswith(".safetensors")
    said = advice(adapter(name, listed=listed))
    assert f"rename it to '{good.rsplit('/', 1)[-1]}'" in said


@pytest.mark.parametrize(
    "name", ["a.safetensors", "ip-adapter-plus_sd15.bin", "v1.5 b (beta).safetensors", "a.1.bin"]
)
def test_a_good_name_is_left_alone(name):
    assert finished_name(name) == name
    assert advice(adapter(name)) == ""


@pytest.mark.parametrize(
    "name", ["readme.md", "config.json", "a.png", "model.safetensors.index.json"]
)
def test_other_files_are_no_near_misses(name):
    assert not is_near_miss(name)


def test_a_damaged_file_is_said_with_the_size_it_should_have():
    fault = "is damaged or cut off; download it again"
    name = "ip-adapter-plus_sd15.safetensors"
    damaged = installed_file(f"ipadapter/{name}", fault=fault)
    assert advice(damaged) == f"{fault} ('{name}' has 98.2 MB)"
    part = installed_file(f"ipadapter/.{name}.part", 9_000_000, listed=False, fault=fault)
    assert (
        advice(part) == f"is an unfinished download of 9.0 MB ('{name}' has 98.2 MB): download it "
        "again, which continues where it stopped, or delete it"
    )


def test_a_foreign_file_is_a_problem_only_among_adapters():
    note = "is a LoRA, not an adapter; move it to models/loras"
    assert advice(installed_file("ipadapter/a", note=note)) == note
    assert advice(installed_file("clip_vision/a", note=note)) == ""


def missing(base, purpose, *found):
    return [row.name for row in examine(found, TABLE).need(base, purpose).missing]


def test_with_nothing_there_adapter_and_encoder_are_missing_for_everything():
    report = examine([], TABLE)
    missing_files = {
        (need.base, need.purpose): [row.name for row in need.missing] for need in report.needs
    }
    assert missing_files == {
        ("SD1.5", "look"): ["ip-adapter-plus_sd15.safetensors", H],
        ("SD1.5", "face"): ["ip-adapter-plus-face_sd15.safetensors", H],
        ("SD1.5", "composition"): ["ip_plus_composition_sd15.safetensors", H],
        ("SDXL", "look"): ["ip-adapter-plus_sdxl_vit-h.safetensors", H],
        ("SDXL", "face"): ["ip-adapter-plus-face_sdxl_vit-h.safetensors", H],
        ("SDXL", "composition"): ["ip_plus_composition_sdxl.safetensors", H],
    }  # fmt: skip


H = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"
G = "CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors"


def test_only_what_is_not_there_is_missing():
    assert missing("SD1.5", "look", encoder()) == ["ip-adapter-plus_sd15.safetensors"]
    assert missing("SD1.5", "look", adapter("a")) == [H]
    assert missing("SDXL", "look", adapter("a", "ip-adapter_sdxl"), encoder()) == [G]
    assert missing("SD1.5", "look", adapter("a"), encoder()) == []
    assert missing("SD1.5", "face", adapter("a", "ip-adapter-full-face_sd15"), encoder()) == []
    wrong = adapter("a", folder="loras")
    assert missing("SD1.5", "look", wrong, encoder()) == ["ip-adapter-plus_sd15.safetensors"]


def test_plus_adapters_of_one_shape_are_told_apart_by_name_and_size():
    name = "ip-adapter-plus-face_sd15.safetensors"
    face = adapter(name, size=98183288)
    assert missing("SD1.5", "face", face, encoder()) == []
    assert missing("SD1.5", "look", face, encoder()) == ["ip-adapter-plus_sd15.safetensors"]
    assert missing("SD1.5", "face", adapter(name, size=98183289), encoder()) == [name]


@pytest.mark.parametrize(
    ("name", "size", "is_published"),
    [
        ("noobIPAMARK1_mark1.safetensors", 1405172056, True),
        ("NoobIPAMARK1 mark1.safetensors", 1405172056, True),
        ("noobIPAMARK1_mark1.safetensors", 702585376, False),
        ("ip-adapter_sdxl.safetensors", 1405172056, False),
    ],
)
def test_noobai_mark1_is_known_and_needs_the_large_encoder(name, size, is_published):
    parts = [adapter(name, "noobIPAMARK1_mark1", size=size), encoder("h"), encoder("g", BIGG)]
    report = examine(parts, TABLE)
    (entry,) = report.of("adapter")
    assert entry.text == "SDXL base, 4 tokens, needs CLIP ViT-bigG/14"
    assert (entry.published_file is not None) == is_published
    assert dict(report.pairs) == {name: ("g",)}


def test_a_copy_says_whose_it_is_and_where_the_file_was_first_published():
    origins = {row.name: str(row.origin) for row in TABLE if row.origin}
    assert origins == {
        "noobIPAMARK1_mark1.safetensors": "a copy by r3gm; first published: "
        "civitai.com/models/1121145",
        "w600k_r50.onnx": "a copy by public-data; first published: InsightFace's buffalo_l.zip",
        "glintr100.onnx": "a copy by MonsterMMORPG; first published: InsightFace's antelopev2.zip",
    }
    for row in TABLE:
        assert (f"      {row.origin}" in published_lines(row)) == bool(row.origin)


@pytest.mark.parametrize(
    ("name", "size", "kind", "found"),
    [
        ("ip-adapter-plus_sd15.safetensors", 98183288, "ip-adapter-plus_sd15", True),
        ("sub\\IP_Adapter.plus sd15.safetensors", 98183288, "ip-adapter-plus_sd15", True),
        ("mine.safetensors", 98183288, "ip-adapter-plus_sd15", False),
        ("ip-adapter-plus_sd15.safetensors", 98183287, "ip-adapter-plus_sd15", False),
        ("ip-adapter-plus_sd15.safetensors", 98183288, "ip-adapter_sd15", False),
        ("ip_plus_composition_sd15.safetensors", 98_200_000, "ip-adapter-plus_sd15", True),
        ("ip_plus_composition_sd15.safetensors", 99_300_000, "ip-adapter-plus_sd15", False),
    ],
)
def test_a_file_is_the_published_one_by_content_size_and_name(name, size, kind, found):
    assert (published(TABLE, name, size, spec(kind)) is not None) == found


def test_the_encoder_is_known_under_the_name_it_is_downloaded_with():
    assert published(TABLE, "sd15/model.safetensors", 2528373448, VIT_H).name == H
    assert published(TABLE, "model.safetensors", 2528373448, BIGG) is None


def test_the_text_says_everything_once_and_the_data_holds_the_same():
    embeds = installed_file("output/x.safetensors", 5, content=Embeds("embeds of CLIP ViT-H/14"))
    report = examine([adapter("a.bin", listed=True), encoder(), embeds], TABLE, ["versions"])
    text = as_text(report)
    assert text.splitlines()[:2] == ["IPAdapter Doctor", "versions"]
    assert "models/ipadapter/a.bin: SD1.5 plus, 16 tokens, needs CLIP ViT-H/14 (5 bytes)" in text
    assert "works with e.safetensors" in text
    assert "models/output/x.safetensors: embeds of CLIP ViT-H/14" in text
    assert "For SD1.5, to follow the look of an image: ready" in text
    for row in report.need("SDXL", "look").missing:
        assert "\n".join(published_lines(row)) in text
    data = as_data(report)
    assert data["text"] == text
    works = {file["name"]: file["works_with"] for file in data["files"]}
    assert works == {"a.bin": ["e.safetensors"], "e.safetensors": [], "x.safetensors": []}
    assert [row["there"] for row in data["table"]] == [False] * len(TABLE)
    only = as_text(report, (report.need("SDXL", "face"),))
    assert only.count("\nFor ") == 1


def test_what_is_no_encoder_is_told_by_its_folder():
    other = installed_file("clip_vision/s.bin", note="is not an IP-Adapter")
    (entry,) = examine([other], TABLE).entries
    assert (entry.text, entry.advice) == (
        "is not an image encoder that an adapter of this pack needs",
        "",
    )


def test_the_models_page_has_the_same_table():
    rows = [line for line in MODELS_PAGE.read_text().splitlines() if line.startswith("| [`")]
    written = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    found = [re.fullmatch(r"\[`(.*)`\]\((.*)\)", cells[0]).groups() for cells in written]
    assert found == [(row.name, row.link) for row in TABLE]
    for cells, row in zip(written, TABLE, strict=True):
        assert cells[1] == row.folder
        assert row.encoder.removeprefix("CLIP ").removesuffix("/14") in cells[2]
        assert cells[3].startswith(row.base)
        assert cells[4] == row.size_text
        assert cells[5:] == [row.licence, f"`{row.sha256}`" if row.sha256 else "-"]


def test_the_table_is_whole():
    digests = [row.sha256 for row in TABLE if row.sha256]
    assert len({row.name for row in TABLE}) == len(TABLE)
    assert len(set(digests)) == len(digests) > 0
    for row in TABLE:
        if row.sha256:
            assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
            # of one file only the hash is known, and not which revision first had it
            assert re.fullmatch(r"[0-9a-f]{40}|main", row.revision)
        else:
            assert row.revision == "main"
        assert re.fullmatch(r"[A-Za-z0-9._-]+", row.name)
        assert row.folder in FOLDERS
        assert row.runs
        assert row.is_recognised == (row.folder not in ("loras/ipadapter", "controlnet"))
        if row.family is not None:
            assert spec_of(row).describe().startswith(f"{row.base} {row.kind}")
            assert spec_of(row).encoder == row.encoder


def spec_of(row):
    shapes_of = {"InstantID": "ip-adapter-faceid-portrait_sdxl_unnorm"}  # equal shapes
    return spec(shapes_of.get(row.kind, row.name.rsplit(".", 1)[0]), row.kind)
