"""Old graphs become new ones that give the same picture, as prompts and as saved workflows."""

import importlib

import pytest
from support.compare import difference
from support.upgrading import BASE, PLUS, SAME, XL, picture

pytestmark = pytest.mark.host


@pytest.fixture
def run(run_prompt):
    """The last node's first output of a prompt."""
    return lambda prompt, shallow: run_prompt(prompt, ["9", 0])


def prompt(kind, model, shallow, file, **inputs):
    made = {
        "1": {"class_type": "@", "inputs": {"what": model}},
        "2": {"class_type": "IPAdapterModelLoader", "inputs": {"ipadapter_file": f"{file}.bin"}},
        "3": {"class_type": "@", "inputs": {"what": shallow}},
        "4": {"class_type": "@", "inputs": {"what": picture(1, 2)}},
        "5": {"class_type": "@", "inputs": {"what": picture(2)}},
    }
    links = {"model": ["1", 0], "ipadapter": ["2", 0], "clip_vision": ["3", 0]}
    if "image_style" not in inputs:
        links["image"] = ["4", 0]
    made["9"] = {"class_type": kind, "inputs": {**links, **inputs}}
    return made


CASES = [
    (
        "IPAdapterAdvanced",
        "sd15",
        PLUS,
        {"weight": 0.8, "weight_type": "ease in", "combine_embeds": "norm average"},
    ),
    (
        "IPAdapterAdvanced",
        "sd15",
        BASE,
        {"weight": 0.6, "weight_type": "style and composition", "embeds_scaling": "K+V"},
    ),
    (
        "IPAdapterAdvanced",
        "sd15",
        BASE,
        {"weight": 0.7, "weight_type": "channel penalty", "image_negative": ["5", 0]},
    ),
    (
        "IPAdapterBatch",
        "sd15",
        BASE,
        {"weight": 0.7, "weight_type": "weak output", "start_at": 0.0, "end_at": 0.6},
    ),
    ("IPAdapterPreciseComposition", "sd15", PLUS, {"weight": 0.7, "composition_boost": 0.3}),
    (
        "IPAdapterMS",
        "sd15",
        BASE,
        {"weight": 0.9, "weight_type": "ease in", "layer_weights": "1:0.5, 6:1, 9:1.2,"},
    ),
    ("IPAdapterFaceID", "sd15", BASE, {"weight": 0.9, "weight_type": "style transfer (SDXL)"}),
    (
        "IPAdapterApply",
        "sd15",
        PLUS,
        {"weight": 0.8, "weight_type": "linear", "noise": 0.0, "unfold_batch": False},
    ),
    (
        "IPAdapterStyleComposition",
        "sdxl",
        XL,
        {
            "image_style": ["4", 0],
            "image_composition": ["5", 0],
            "weight_style": 0.9,
            "weight_composition": 0.4,
            "expand_style": True,
            "combine_embeds": "add",
        },
    ),
]


@pytest.mark.parametrize(
    ("node", "kind", "file", "inputs"), CASES, ids=lambda one: one if isinstance(one, str) else ""
)
def test_the_new_nodes_give_the_same_picture(
    models, shallow, run, upgraded, sample, node, kind, file, inputs
):
    old = prompt(node, models(kind), shallow, file, **inputs)
    new, report = upgraded(old)
    assert node not in {one["class_type"] for one in new.values()}
    assert all(change.new_kinds for change in report), [change.describe() for change in report]
    before, after = (run(one, shallow) for one in (old, new))
    settings = {"steps": 2, "batch": 2, "size": (24, 16)}
    assert difference(sample(after, kind, **settings), sample(before, kind, **settings)) < SAME


def test_what_has_no_counterpart_stays_and_says_why(models, shallow, upgraded):
    for node, inputs, reason in (
        (
            "IPAdapterClipVisionEnhancer",
            {"enhance_tiles": 2},
            "how large its picture is, is not to be seen",
        ),
        ("IPAdapterBatch", {"weight": ["5", 0]}, "may be a list"),
        ("IPAdapterApply", {"noise": 0.3}, "its noise has no counterpart"),
        ("IPAdapterTiledBatch", {}, "takes one picture"),
        ("IPAdapterAdvanced", {"embeds_scaling": ["5", 0]}, "its 'embeds_scaling' comes from"),
        ("IPAdapterMS", {"layer_weights": ["5", 0]}, "its 'layer_weights' comes from"),
    ):
        old = prompt(node, None, shallow, PLUS, **inputs)
        new, report = upgraded(old)
        assert new["9"]["class_type"] == node
        assert any(reason in change.describe() for change in report)


def test_a_unified_loader_becomes_a_file_and_passes_the_model_on(legacy, upgraded, monkeypatch):
    monkeypatch.setattr(
        importlib.import_module(f"{legacy.__name__}.ids.installed_files"),
        "installed_adapters",
        lambda want: ["my plus file.bin"],
    )
    old = {
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
    new, report = upgraded(old)
    kinds = {node["class_type"]: key for key, node in new.items()}
    apply = new["9"]["inputs"]
    assert new[kinds["LoadIPAdapter"]]["inputs"] == {"ipadapter_file": "my plus file.bin"}
    assert apply["ipadapter"] == [kinds["LoadIPAdapter"], 0]
    assert apply["model"] == new[kinds["IPAdapterWeightMap"]]["inputs"]["model"] == ["1", 0]
    assert apply["clip_vision"] == [kinds["LoadCLIPVision"], 0]
    assert apply["image_negative"] == [kinds["EmptyImage"], 0]
    assert len(report) == 2


def saved(*nodes, links):
    return {
        "version": 0.4,
        "nodes": list(nodes),
        "links": links,
        "last_node_id": 9,
        "last_link_id": 9,
    }


def node(id, type, inputs=(), outputs=(), widgets=()):
    return {
        "id": id,
        "type": type,
        "pos": [100 * id, 50],
        "size": [200, 100],
        "mode": 0,
        "inputs": [{"name": name, "type": kind, "link": link} for name, kind, link in inputs],
        "outputs": [{"name": name, "type": name, "links": links} for name, links in outputs],
        "widgets_values": list(widgets),
    }


def test_a_saved_workflow_is_redrawn(legacy, nodes_by_id):
    """A graph of 2024 without embeds_scaling, from the checkpoint to the sampler."""
    canvas = importlib.import_module(f"{legacy.__name__}.upgrade.workflow")
    graph = saved(
        node(
            1,
            "CheckpointLoaderSimple",
            outputs=[("MODEL", [1]), ("CLIP", []), ("VAE", [])],
            widgets=["v1-5.safetensors"],
        ),
        node(
            2, "IPAdapterModelLoader", outputs=[("IPADAPTER", [2])], widgets=["ip-adapter_sd15.bin"]
        ),
        node(3, "LoadImage", outputs=[("IMAGE", [3]), ("MASK", [])], widgets=["a.png", "image"]),
        node(
            4,
            "IPAdapterAdvanced",
            [("model", "MODEL", 1), ("ipadapter", "IPADAPTER", 2), ("image", "IMAGE", 3)],
            [("MODEL", [4])],
            [0.8, "ease out", "concat", 0.0, 0.9],
        ),
        node(5, "KSampler", [("model", "MODEL", 4)], [("LATENT", [])]),
        links=[
            [1, 1, 0, 4, 0, "MODEL"],
            [2, 2, 0, 4, 1, "IPADAPTER"],
            [3, 3, 0, 4, 2, "IMAGE"],
            [4, 4, 0, 5, 0, "MODEL"],
        ],
    )
    made, report = canvas.upgraded_workflow(graph, legacy.BY_ID, nodes_by_id)
    by_type = {one["type"]: one for one in made["nodes"]}
    assert set(by_type) == {
        "CheckpointLoaderSimple",
        "LoadIPAdapter",
        "LoadCLIPVision",
        "LoadImage",
        "IPAdapterWeightMap",
        "ApplyIPAdapter",
        "KSampler",
    }
    assert by_type["ApplyIPAdapter"]["id"] == 4 and len({one["id"] for one in made["nodes"]}) == 7
    assert by_type["ApplyIPAdapter"]["widgets_values"][:3] == [0.8, 0.0, 0.9]
    assert by_type["IPAdapterWeightMap"]["widgets_values"][:4] == [
        "ease out",
        1.0,
        1.0,
        "middle:0, rest:1",
    ]
    links = {link[0]: link for link in made["links"]}
    assert len(links) == len(made["links"])
    for one in made["nodes"]:
        for slot, socket in enumerate(one["inputs"]):
            if socket["link"] is not None:
                assert links[socket["link"]][3:5] == [one["id"], slot]
                source = next(
                    other for other in made["nodes"] if other["id"] == links[socket["link"]][1]
                )
                assert socket["link"] in source["outputs"][links[socket["link"]][2]]["links"]
    sources = {
        socket["name"]: links[socket["link"]][1]
        for socket in by_type["ApplyIPAdapter"]["inputs"]
        if socket["link"]
    }
    assert sources == {
        "model": 1,
        "ipadapter": 2,
        "clip_vision": by_type["LoadCLIPVision"]["id"],
        "image": 3,
        "weight_map": by_type["IPAdapterWeightMap"]["id"],
    }
    assert links[by_type["KSampler"]["inputs"][0]["link"]][1] == 4
    assert (
        len(report) == 2
        and "becomes LoadCLIPVision, IPAdapterWeightMap, ApplyIPAdapter" in report[1].describe()
    )
    again, nothing = canvas.upgraded_workflow(made, legacy.BY_ID, nodes_by_id)
    assert again["nodes"] == made["nodes"] and not nothing


def test_a_saved_unified_loader_is_redrawn(legacy, nodes_by_id, monkeypatch):
    canvas, installed_files = (
        importlib.import_module(f"{legacy.__name__}.{part}")
        for part in ("upgrade.workflow", "ids.installed_files")
    )
    monkeypatch.setattr(installed_files, "installed_adapters", lambda want: ["base.bin"])
    graph = saved(
        node(1, "UNETLoader", outputs=[("MODEL", [1])], widgets=["v1-5.safetensors", "default"]),
        node(
            2,
            "IPAdapterUnifiedLoader",
            [("model", "MODEL", 1)],
            [("model", [2]), ("ipadapter", [3])],
            ["STANDARD (medium strength)"],
        ),
        node(
            4,
            "IPAdapter",
            [("model", "MODEL", 2), ("ipadapter", "IPADAPTER", 3), ("image", "IMAGE", None)],
            [("MODEL", [4])],
            [0.8, 0.0, 1.0],
        ),
        node(5, "KSampler", [("model", "MODEL", 4)]),
        links=[
            [1, 1, 0, 2, 0, "MODEL"],
            [2, 2, 0, 4, 0, "MODEL"],
            [3, 2, 1, 4, 1, "IPADAPTER"],
            [4, 4, 0, 5, 0, "MODEL"],
        ],
    )
    made, _ = canvas.upgraded_workflow(graph, legacy.BY_ID, nodes_by_id)
    links = {link[0]: link for link in made["links"]}
    by_type = {one["type"]: one for one in made["nodes"]}
    assert by_type["LoadIPAdapter"]["id"] == 2
    assert by_type["LoadIPAdapter"]["widgets_values"] == ["base.bin"]
    sources = {
        socket["name"]: tuple(links[socket["link"]][1:3])
        for socket in by_type["ApplyIPAdapter"]["inputs"]
        if socket["link"]
    }
    assert sources["ipadapter"] == (2, 0) and sources["model"] == (1, 0)
