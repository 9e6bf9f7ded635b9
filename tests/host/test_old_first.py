"""Nodes that lived for weeks in 2023, and how they are told from today's nodes of the same id."""

import math

import pytest
import torch
from support.compare import difference
from support.tolerance import EFFECT, SAMPLING
from support.workflows import make_workflows

pytestmark = pytest.mark.host

BLOCKS = {"sd15": 16, "sdxl": 11}


@pytest.fixture
def understood(pack):
    legacy = pack.nodes.legacy

    def run(kind, **inputs):
        prompt = {"1": {"class_type": kind, "inputs": inputs}}
        result = legacy.reading.prompts.read_prompt(prompt, legacy.BY_ID, legacy.BY_ID, {})["1"]
        return result["class_type"], result["inputs"]

    return run


@pytest.mark.parametrize(
    ("kind", "inputs", "meant"),
    [
        ("IPAdapterEncoder", {"image_1": ["a", 0]}, "IPAdapterEncodeImages"),
        ("IPAdapterEncoder", {"image": ["a", 0], "plus": True}, "IPAdapterEncodeImages"),
        ("IPAdapterEncoder", {"image": ["a", 0], "ipadapter": ["b", 0]}, "IPAdapterEncoder"),
        ("IPAdapter", {"model_name": "a", "clip_vision": ["a", 0]}, "IPAdapterLaksjdjf"),
        ("IPAdapter", {"model_name": "a", "clip_vision_output": 1}, "IPAdapterLaksjdjfSeen"),
        ("IPAdapter", {"ipadapter": ["a", 0]}, "IPAdapter"),
        ("IPAdapterApply", {"clip_vision_output": ["a", 0]}, "IPAdapterApplySeen"),
        ("IPAdapterApply", {"clip_vision": ["a", 0]}, "IPAdapterApply"),
        ("PrepImageForClipVision", {"add_weight": False}, "PrepImageWithWeight"),
        ("PrepImageForClipVision", {"sharpening": 0.1}, "PrepImageForClipVision"),
    ],
)
def test_inputs_tell_which_node_was_meant(understood, kind, inputs, meant):
    assert understood(kind, **inputs)[0] == meant


def test_the_first_encoder_gets_todays_names(understood):
    _, inputs = understood("IPAdapterEncoder", clip_vision=["a", 0], image=["b", 0], plus=True)
    assert inputs["image_1"] == ["b", 0]
    assert inputs["ipadapter_plus"] is True
    assert not {"image", "plus"} & inputs.keys()


def test_the_timing_of_april_2024(run_old):
    result = run_old("IPAdapterWeights", weights="0, 1", timing="reverse_in_out", frames=3)
    assert result[0] == pytest.approx([0, 1 - math.sin(math.pi / 4), 1])
    with pytest.raises(ValueError, match="unknown timing 'slow'"):
        run_old("IPAdapterWeights", weights="0, 1", timing="slow", frames=3)


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_the_first_apply_node_reaches_the_middle_of_sd15_alone(
    run_old, models, adapters, nodes_by_id, sample, tiny, kind
):
    model, recorded = models(kind), tiny.features(2)
    adapter, _ = adapters("ip-adapter_sd15" if kind == "sd15" else "ip-adapter_sdxl_vit-h")
    first = run_old(
        "IPAdapterApplySeen",
        model=model,
        ipadapter=adapter,
        clip_vision_output=recorded,
        weight=0.7,
    )
    factors = ["0" if kind == "sdxl" and t == 4 else "1" for t in range(BLOCKS[kind])]
    settings = {"second_amount": 1.0, "layers": ",".join(factors)}
    output = nodes_by_id["IPAdapterWeightMap"].execute(model, "balanced", 1.0, **settings)
    paper = nodes_by_id["ApplyIPAdapter"].execute(
        model,
        adapter,
        clip_vision_output=recorded,
        weight=0.7,
        start_at=0.0,
        end_at=1.0,
        weight_map=output.args[0],
    )
    result, expected = sample(first[0], kind, steps=1), sample(paper.args[0], kind, steps=1)
    assert difference(result, expected) < SAMPLING
    assert difference(result, sample(model, kind, steps=1)) > EFFECT


@pytest.mark.parametrize("way", ["lanczos", "nearest", "bilinear", "bicubic", "area"])
def test_the_first_prepared_picture_is_cut_and_counts_twice(run_old, way):
    picture = torch.zeros(1, 448, 672, 3)
    picture[:, :, :448] = 1
    for place, mean in (("left", 1.0), ("right", 0.5)):
        settings = {"interpolation": way, "crop_position": place, "add_weight": place == "left"}
        (result,) = run_old("PrepImageWithWeight", image=picture, **settings)
        assert result.shape == (1 + (place == "left"), 224, 224, 3)
        assert result.mean().item() == pytest.approx(mean, abs=0.01)


@pytest.fixture(scope="module")
def corpus():
    """Every node of the corpus of old graphs."""
    return [
        old_node
        for name in make_workflows.GRAPHS
        for old_node in make_workflows.prompt(name).values()
    ]


def test_the_corpus_of_old_graphs_has_every_node(pack, corpus):
    assert pack.nodes.legacy.BY_ID.keys() <= {old_node["class_type"] for old_node in corpus}


def test_the_corpus_of_old_graphs_has_every_option(pack, corpus):
    chosen: dict[str, set] = {}
    for old_node in corpus:
        for name, value in old_node["inputs"].items():
            if isinstance(value, str | bool):
                chosen.setdefault(name, set()).add(value)
    missing = [
        (node_id, name, option)
        for node_id, node_class in pack.nodes.legacy.BY_ID.items()
        for name, (options, _) in node_class.INPUT_TYPES()["required"].items()
        for option in offered_options(name, options)
        if option not in chosen[name]
    ]
    assert len(chosen) > 20 and not missing


FLUX_FILES = "ipadatper", "ipadapter", "clip_vision"


def offered_options(name, options):
    """What a widget offers, but for files and what has no effect."""
    if name in ("ipadapter_file", "model_name", "embeds", "provider", *FLUX_FILES):
        return []
    if options == "BOOLEAN":
        return [False, True]
    return options if isinstance(options, list) else []
