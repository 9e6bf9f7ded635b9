"""Prompts with old nodes become new ones that give the same picture."""

import importlib
from typing import NamedTuple

import pytest
from support.compare import difference
from support.upgrading import BASE, PLUS, SAME, XL, picture

pytestmark = pytest.mark.host


@pytest.fixture
def run(run_prompt):
    """The last node's first output of a prompt."""
    return lambda prompt: run_prompt(prompt, ["9", 0])


def weighted(weight, weight_type, **inputs):
    return {"weight": weight, "weight_type": weight_type, **inputs}


def prompt(node_id, model, shallow, file, **inputs):
    nodes = {
        "1": {"class_type": "@", "inputs": {"what": model}},
        "2": {"class_type": "IPAdapterModelLoader", "inputs": {"ipadapter_file": f"{file}.bin"}},
        "3": {"class_type": "@", "inputs": {"what": shallow}},
        "4": {"class_type": "@", "inputs": {"what": picture(1, 2)}},
        "5": {"class_type": "@", "inputs": {"what": picture(2)}},
    }
    links = {"model": ["1", 0], "ipadapter": ["2", 0], "clip_vision": ["3", 0]}
    if "image_style" not in inputs:
        links["image"] = ["4", 0]
    nodes["9"] = {"class_type": node_id, "inputs": {**links, **inputs}}
    return nodes


class Case(NamedTuple):
    node_id: str
    file: str
    inputs: dict


STYLE_COMPOSITION = {
    "image_style": ["4", 0],
    "image_composition": ["5", 0],
    "weight_style": 0.9,
    "weight_composition": 0.4,
    "expand_style": True,
    "combine_embeds": "add",
}
FIRST = {"weight": 0.8, "weight_type": "linear", "noise": 0.0, "unfold_batch": False}
CASES = [
    Case("IPAdapterAdvanced", PLUS, weighted(0.8, "ease in", combine_embeds="norm average")),
    Case("IPAdapterAdvanced", BASE, weighted(0.6, "style and composition", embeds_scaling="K+V")),
    Case("IPAdapterAdvanced", BASE, weighted(0.7, "channel penalty", image_negative=["5", 0])),
    Case("IPAdapterBatch", BASE, weighted(0.7, "weak output", start_at=0.0, end_at=0.6)),
    Case("IPAdapterPreciseComposition", PLUS, {"weight": 0.7, "composition_boost": 0.3}),
    Case("IPAdapterMS", BASE, weighted(0.9, "ease in", layer_weights="1:0.5, 6:1, 9:1.2,")),
    Case("IPAdapterFaceID", BASE, weighted(0.9, "style transfer (SDXL)")),
    Case("IPAdapterApply", PLUS, FIRST),
    Case("IPAdapterStyleComposition", XL, STYLE_COMPOSITION),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.node_id)
def test_the_new_nodes_give_the_same_picture(models, shallow, run, upgraded, sample, case):
    kind = "sdxl" if case.file == XL else "sd15"
    old_prompt = prompt(case.node_id, models(kind), shallow, case.file, **case.inputs)
    new_prompt, report = upgraded(old_prompt)
    assert case.node_id not in {node["class_type"] for node in new_prompt.values()}
    assert report
    assert all(change.new_kinds for change in report), [change.describe() for change in report]
    settings = {"steps": 2, "batch": 2, "size": (24, 16)}
    before, after = (sample(run(each), kind, **settings) for each in (old_prompt, new_prompt))
    assert difference(after, before) < SAME


@pytest.mark.parametrize(
    ("node_id", "inputs", "reason"),
    [
        (
            "IPAdapterClipVisionEnhancer",
            {"enhance_tiles": 2},
            "the size of its image is unknown",
        ),
        ("IPAdapterBatch", {"weight": ["5", 0]}, "may be a list"),
        ("IPAdapterApply", {"noise": 0.3}, "no new node makes its noise"),
        ("IPAdapterTiledBatch", {}, "takes one image"),
        ("IPAdapterAdvanced", {"embeds_scaling": ["5", 0]}, "its 'embeds_scaling' comes from"),
        ("IPAdapterMS", {"layer_weights": ["5", 0]}, "its 'layer_weights' comes from"),
    ],
)
def test_what_has_no_counterpart_stays_and_says_why(shallow, upgraded, node_id, inputs, reason):
    new_prompt, report = upgraded(prompt(node_id, None, shallow, PLUS, **inputs))
    assert new_prompt["9"]["class_type"] == node_id
    assert any(reason in change.describe() for change in report)


def test_a_unified_loader_becomes_a_file_and_passes_the_model_on(legacy, upgraded, monkeypatch):
    monkeypatch.setattr(
        importlib.import_module(f"{legacy.__name__}.ids.installed_files"),
        "installed_adapters",
        lambda want: ["my plus file.bin"],
    )
    old_prompt = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
        "2": {
            "class_type": "IPAdapterUnifiedLoader",
            "inputs": {"model": ["1", 0], "preset": "PLUS (high strength)"},
        },
        "3": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "9": {
            "class_type": "IPAdapter",
            "inputs": {"model": ["2", 0], "ipadapter": ["2", 1], "image": ["3", 0]},
        },
    }
    new_prompt, report = upgraded(old_prompt)
    kinds = {node["class_type"]: key for key, node in new_prompt.items()}
    apply = new_prompt["9"]["inputs"]
    assert new_prompt[kinds["LoadIPAdapter"]]["inputs"] == {"ipadapter_file": "my plus file.bin"}
    assert apply["ipadapter"] == [kinds["LoadIPAdapter"], 0]
    assert apply["model"] == new_prompt[kinds["IPAdapterWeightMap"]]["inputs"]["model"] == ["1", 0]
    assert apply["clip_vision"] == [kinds["LoadCLIPVision"], 0]
    assert apply["image_negative"] == [kinds["EmptyImage"], 0]
    assert len(report) == 2
