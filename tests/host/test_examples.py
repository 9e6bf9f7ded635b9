"""The examples run in the real host, on small models; every node of the pack is in one of them or
in another test over HTTP.
"""

import io
import json
import re
import shutil
import urllib.parse
from pathlib import Path

import numpy
import pytest
from PIL import Image
from support.graphs import PORTRAIT, links_within, node, one_step, pictures, prompt_of
from workflow import to_prompt

pytestmark = pytest.mark.http

FOLDER = Path(__file__).parent.parent.parent / "example_workflows"
MODELS_PAGE = FOLDER.parent / "docs" / "models.md"
DIRECTORIES = {
    "CheckpointLoaderSimple": "checkpoints",
    "ControlNetLoader": "controlnet",
    "LoadIPAdapter": "ipadapter",
    "MZ_ChatGLM3Loader": "LLM",
    "MZ_KolorsUNETLoaderV2": "diffusion_models",
    "VAELoader": "vae",
}
SMALL = {
    "CheckpointLoaderSimple": {"ckpt_name": "sd15.safetensors"},
    "LoadIPAdapter": {"ipadapter_file": "sub folder/b.bin"},
    "LoadImage": {"image": "portrait.jpg"},
    "EmptyLatentImage": {"width": 128, "height": 64},
    "EmptySD3LatentImage": {"width": 128, "height": 64},
    "KSampler": {"steps": 2},
    "CompareImagePrompts": {"weights": "0.5, 1", "tasks": "style, face", "steps": 2}
    | {"width": 128, "height": 64},
}
SMALL_SDXL = {
    "CheckpointLoaderSimple": {"ckpt_name": "sdxl.safetensors"},
    "LoadIPAdapter": {"ipadapter_file": "e.safetensors"},
}
SMALL_OF = {  # in the place of those of SD1.5
    "19 SDXL": SMALL_SDXL,
    "24 FLUX": {
        "CheckpointLoaderSimple": {"ckpt_name": "flux.safetensors"},
        "LoadIPAdapter": {"ipadapter_file": "flux.safetensors"},
    },
    "25 SD 3.5 Large": {
        "CheckpointLoaderSimple": {"ckpt_name": "sd3.safetensors"},
        "LoadIPAdapter": {"ipadapter_file": "sd3.safetensors"},
    },
    # this pack's part of the graph, on SD1.5
    "27 Kolors": {"MZ_KolorsUNETLoaderV2": {"unet_name": "sd15.safetensors"}},
}
SMALLER = {
    ("16 Animation frames", "KSampler"): lambda _: {"steps": 1},
    ("18 Inpainting", "ImageScale"): lambda _: {"width": 128, "height": 128},
    ("18 Inpainting", "SolidMask"): lambda was: {key: was[key] // 4 for key in ("width", "height")},
    ("18 Inpainting", "MaskComposite"): lambda was: {key: was[key] // 4 for key in ("x", "y")},
    ("18 Inpainting", "ApplyIPAdapter"): lambda _: {"box": "60, 60, 100, 100"},
    ("19 SDXL", "KSampler"): lambda _: {"steps": 1},
}
WITHOUT_FILES = {
    ("17 ControlNet", "ControlNetLoader"): ("RandomControlNet", {}),
    ("19 SDXL", "CLIPTextEncode"): ("RandomConditioning", {"seed": 1, "width": 2048}),
    ("24 FLUX", "CLIPTextEncode"): ("RandomConditioning", {"seed": 1, "width": 768}),
    ("25 SD 3.5 Large", "CLIPTextEncode"): ("RandomConditioning", {"seed": 1, "width": 48}),
    ("27 Kolors", "VAELoader"): ("CheckpointVAE", {"vae_name": "sd15.safetensors"}),
}


@pytest.fixture(scope="module")
def info(server):
    shutil.copy(PORTRAIT, server.work / "input")
    return server.get("/object_info")


@pytest.fixture
def run(server, info):
    def run(name):
        prompt = to_prompt(json.loads((FOLDER / f"{name}.json").read_text()), info)
        for each in prompt.values():
            each["inputs"] |= SMALL.get(each["class_type"], {})
            each["inputs"] |= SMALL_OF.get(name, {}).get(each["class_type"], {})
            each["inputs"] |= SMALLER.get((name, each["class_type"]), lambda _: {})(each["inputs"])
            replaced = WITHOUT_FILES.get((name, each["class_type"]))
            if replaced:
                each |= {"class_type": replaced[0], "inputs": replaced[1]}
        entry = server.run(prompt)
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
        kinds = {key: each["class_type"] for key, each in prompt.items()}
        return entry, {kinds[key]: key for key in entry["outputs"].keys() & kinds.keys()}

    return run


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("01 Image prompt", (64, 128), 1),
        ("23 Image prompt as full nodes", (64, 128), 1),
        ("03 Style and layout", (64, 128), 1),
        ("04 Regions", (64, 128), 1),
        ("08 Attention maps", (64, 128), 1),
        ("09 Tiles of a large reference", (64, 128), 1),
        ("10 Sequence of references", (64, 128), 4),
        ("11 Style", (64, 128), 1),
        ("12 Layout", (64, 128), 1),
        ("13 Face", (64, 128), 1),
        ("14 Several references", (64, 128), 1),
        ("15 Negative reference", (64, 128), 1),
        ("17 ControlNet", (64, 128), 1),
        ("19 SDXL", (64, 128), 1),
        ("24 FLUX", (64, 128), 1),
        ("25 SD 3.5 Large", (64, 128), 1),
        ("27 Kolors", (64, 128), 1),
    ],
)
def test_example_runs(server, run, name, size, count):
    entry, displayed = run(name)
    result = pictures(server, entry, displayed["SaveImage"])
    assert [each.shape for each in result] == [(*size, 3)] * count
    if name == "08 Attention maps":
        assert len(pictures(server, entry, displayed["PreviewImage"])) == 5
    if name == "04 Regions":
        assert "2 masks" not in entry["outputs"][displayed["InspectIPAdapter"]]["text"][0]
        assert "2. sub folder" in entry["outputs"][displayed["InspectIPAdapter"]]["text"][0]


def test_the_comparison_is_three_nodes_and_shows_its_grid(server, info, run):
    graph = json.loads((FOLDER / "07 Compare weights and tasks.json").read_text())
    kinds = {node["type"] for node in graph["nodes"]} - {"MarkdownNote"}
    assert kinds == {"CheckpointLoaderSimple", "LoadImage", "CompareImagePrompts"}
    assert len(graph["nodes"]) == 4
    entry, _ = run("07 Compare weights and tasks")
    last = list(entry["outputs"])[-1]
    assert [each.shape for each in pictures(server, entry, last)] == [(2 * (64 + 22), 256, 3)]


def test_the_animation_has_a_frame_for_each_picture(server, run):
    entry, displayed = run("16 Animation frames")
    (film,) = entry["outputs"][displayed["SaveAnimatedWEBP"]]["images"]
    opened = Image.open(io.BytesIO(server.read(f"/view?{urllib.parse.urlencode(film)}")))
    assert (opened.n_frames, opened.size) == (8, (128, 64))


def test_only_the_masked_part_is_painted_anew(server, run):
    entry, displayed = run("18 Inpainting")
    (result,) = pictures(server, entry, displayed["SaveImage"])
    portrait = Image.open(PORTRAIT).convert("RGB")  # 256 x 320: its middle square, at 128
    square = portrait.crop((0, 32, 256, 288)).resize((128, 128), Image.LANCZOS)
    difference = numpy.abs(result.astype(int) - numpy.asarray(square).astype(int))
    assert result.shape == (128, 128, 3)
    assert difference[60:, 50:].mean() < 2
    assert difference[18:52, 8:42].mean() > 20


def test_a_graph_runs_from_the_embeds_file_alone(server, run):
    before = server.get("/test/encoder_runs")["encode_image"]
    entry, displayed = run("05 Save embeds")
    assert entry["outputs"][displayed["SaveIPAdapterEmbeds"]]["text"] == [
        "embeds/reference_00001_.safetensors"
    ]
    encoded = server.get("/test/encoder_runs")["encode_image"]
    assert encoded > before
    entry, displayed = run("06 Load embeds")
    assert pictures(server, entry, displayed["SaveImage"])[0].shape == (64, 128, 3)
    assert server.get("/test/encoder_runs")["encode_image"] == encoded


def new(info):
    """This pack's nodes, without those that are there for old graphs."""
    return {
        name: each
        for name, each in info.items()
        if each["category"].startswith("ipadapter") and each["category"] != "ipadapter/old graphs"
    }


def test_examples_hold_every_node_of_the_pack(info):
    used = {
        node["type"]
        for path in FOLDER.glob("*.json")
        for node in json.loads(path.read_text())["nodes"]
    }
    # Label Image Grid is in that of Compare Image Prompts, which runs it.
    assert new(info).keys() - used <= {"LabelImageGrid"}


@pytest.mark.parametrize(
    "name",
    [
        "Reference",
        "Image Prompt as Full Nodes",
        "Style Transfer",
        "Face Reference",
        "Left and Right References",
    ],
)
def test_a_blueprint_runs_on_a_model_and_pictures(server, info, name):
    complete = json.loads((FOLDER.parent / "subgraphs" / f"{name}.json").read_text("utf-8"))
    (graph,) = complete["definitions"]["subgraphs"]
    inputs = [input["name"] for input in graph["inputs"]]
    links = links_within(graph)
    prompt = prompt_of(graph["nodes"], links, info)
    prompt |= {each: node("LoadImage", image="portrait.jpg") for each in inputs if each != "model"}
    model = links[graph["outputs"][0]["linkIds"][0]]
    prompt |= {
        "model": node("CheckpointLoaderSimple", ckpt_name=""),
        **one_step(model),
    }
    for each in prompt.values():
        each["inputs"] |= SMALL.get(each["class_type"], {})
    (result,) = pictures(server, server.run(prompt))
    assert result.shape == (64, 128, 3)


def check_link(model, is_ours):
    """A file of docs/models.md has its link and checksum, as all adapters do; the link of another
    leads to its name.
    """
    rows = MODELS_PAGE.read_text("utf-8").splitlines()
    named = [line for line in rows if line.startswith(f"| [`{model['name']}`]")]
    if not named:
        assert not is_ours and model["url"].endswith(f"/{model['name']}")
        return
    (line,) = named
    assert f"]({model['url']})" in line
    assert "hash" not in model or f"`{model['hash']}`" in line


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_an_example_says_where_its_files_come_from_and_has_a_picture(info, path):
    assert re.fullmatch(r"\d\d [A-Z][\w. ]+", path.stem)  # which is the title in the list
    nodes = json.loads(path.read_text("utf-8"))["nodes"]
    notes = [saved for saved in nodes if saved["type"] == "MarkdownNote"]
    assert len(notes) == 1
    assert "`" not in notes[0]["widgets_values"][0]  # the page shows code as blue on blue
    for saved in nodes:
        if saved in notes:
            continue
        assert not info[saved["type"]].get("deprecated")
        ours = info[saved["type"]]["category"].startswith("ipadapter")
        pack = "comfyui-kolors-mz" if saved["type"].startswith("MZ_") else "comfy-core"
        assert saved["properties"]["cnr_id"] == ("ip-adapter-nodes" if ours else pack)
        models = {each["name"]: each for each in saved["properties"].get("models", ())}
        if saved["type"] in DIRECTORIES:
            file, *_ = saved["widgets_values"]
            assert models[file]["directory"] == DIRECTORIES[saved["type"]]
            check_link(models[file], ours)
    with Image.open(path.with_suffix(".jpg")) as picture:
        assert picture.size == (400, 400)
    assert path.with_suffix(".jpg").stat().st_size < 60_000


def test_every_node_has_a_help_page_tooltips_and_aliases(info):
    docs = FOLDER.parent / "web" / "docs"
    pages = {path.stem for path in docs.glob("*.md")}
    nodes = new(info) | {"IPAdapterOldGraphs": info["IPAdapterOldGraphs"]}
    assert len(nodes) > 15
    for name, node_info in nodes.items():
        assert name in pages
        assert f"]({name}.png)" in (docs / f"{name}.md").read_text("utf-8")
        assert (docs / f"{name}.png").stat().st_size < 40_000
        assert all(node_info["output_tooltips"] or ())
        for group in ("required", "optional"):
            for entry, spec in node_info["input"].get(group, {}).items():
                assert spec[1].get("tooltip"), f"{name}: {entry}"
