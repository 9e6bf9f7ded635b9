"""The examples run in the real host, on small models; every node of the pack is in one of them or in another test over HTTP."""

import json
import shutil
from pathlib import Path

import pytest
from graphs import PORTRAIT, pictures
from workflow import to_prompt

pytestmark = pytest.mark.http

FOLDER = Path(__file__).parent.parent.parent / "example_workflows"
SMALL = {
    "CheckpointLoaderSimple": {"ckpt_name": "sd15.safetensors"},
    "LoadIPAdapter": {"ipadapter_file": "sub folder/b.bin"},
    "LoadImage": {"image": "portrait.jpg"},
    "EmptyLatentImage": {"width": 128, "height": 64},
    "KSampler": {"steps": 2},
}


@pytest.fixture(scope="module")
def info(server):
    shutil.copy(PORTRAIT, server.work / "input")
    return server.get("/object_info")


@pytest.fixture
def run(server, info):
    def run(name):
        prompt = to_prompt(json.loads((FOLDER / f"{name}.json").read_text()), info)
        for one in prompt.values():
            one["inputs"] |= SMALL.get(one["class_type"], {})
        entry = server.run(prompt)
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
        kinds = {key: one["class_type"] for key, one in prompt.items()}
        return entry, {kinds[key]: key for key in entry["outputs"]}

    return run


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("03_style_and_layout", (64, 128), 1),
        ("04_regions", (64, 128), 1),
        ("07_compare_what_is_taken", (2 * (64 + 22), 256), 1),
        ("08_attention_maps", (64, 128), 1),
        ("09_tiles_of_a_large_reference", (64, 128), 1),
        ("10_sequence_of_references", (64, 128), 4),
    ],
)
def test_example_runs(server, run, name, size, count):
    entry, shown = run(name)
    made = pictures(server, entry, shown["SaveImage"])
    assert [one.shape for one in made] == [(*size, 3)] * count
    if name == "08_attention_maps":
        assert len(pictures(server, entry, shown["PreviewImage"])) == 5
    if name == "04_regions":
        assert "2 masks" not in entry["outputs"][shown["InspectIPAdapter"]]["text"][0]
        assert "2. sub folder" in entry["outputs"][shown["InspectIPAdapter"]]["text"][0]


def test_a_graph_runs_from_the_embeds_file_alone(server, run):
    before = server.get("/test/encoder_runs")["encode_image"]
    entry, shown = run("05_save_embeds")
    assert entry["outputs"][shown["SaveIPAdapterEmbeds"]]["text"] == [
        "embeds/reference_00001_.safetensors"
    ]
    encoded = server.get("/test/encoder_runs")["encode_image"]
    assert encoded > before
    entry, shown = run("06_from_embeds_file")
    assert pictures(server, entry, shown["SaveImage"])[0].shape == (64, 128, 3)
    assert server.get("/test/encoder_runs")["encode_image"] == encoded


def test_examples_hold_every_node_of_the_pack(info):
    used = {
        node["type"]
        for path in FOLDER.glob("*.json")
        for node in json.loads(path.read_text())["nodes"]
    }
    ours = {name for name, one in info.items() if one["category"].startswith("ipadapter")}
    assert ours <= used


def test_every_node_has_a_help_page_tooltips_and_aliases(info):
    pages = {path.stem for path in (FOLDER.parent / "web" / "docs").glob("*.md")}
    for name, one in info.items():
        if not one["category"].startswith("ipadapter"):
            continue
        assert name in pages
        assert all(one["output_tooltips"] or ())
        for group in ("required", "optional"):
            for entry, spec in one["input"].get(group, {}).items():
                assert spec[1].get("tooltip"), f"{name}: {entry}"
