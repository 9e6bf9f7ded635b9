"""Regions, weight lists, layers with a precise kind, and the first nodes become new ones: the same
picture.
"""

import pytest
import torch
from support.upgrading import BASE, PLUS, XL, OldGraph, picture

pytestmark = pytest.mark.host


def halves(graph, **shape):
    left = torch.zeros(1, shape.get("height", 31), shape.get("width", 47))
    left[:, :, :20] = 1
    return graph.constant(left), graph.constant(1 - left)


def region(graph, image, mask=None, **settings):
    inputs = {"image_weight": 0.9, "prompt_weight": 0.8, "weight_type": "linear"} | settings
    masked = {} if mask is None else {"mask": mask}
    return graph.add(
        "IPAdapterRegionalConditioning",
        image=graph.constant(picture(image, settings.pop("count", 1))),
        **{"start_at": 0.0, "end_at": 1.0, **inputs, **masked},
    )


@pytest.mark.parametrize("file", [BASE, PLUS])
@pytest.mark.parametrize("combine", ["concat", "average"])
def test_regions(models, shallow, check, file, combine):
    """Three regions, two masks of another size than the picture, one of all kinds of settings."""
    graph = OldGraph(models("sd15"), shallow, file)
    left, right = halves(graph)
    first_region = region(graph, 1, left)
    two = region(graph, 2, right, weight_type="style and composition", image_weight=0.7)
    three = region(graph, 3, image_weight=0.4, end_at=0.7, weight_type="weak output")
    pair = graph.add("IPAdapterCombineParams", params_1=first_region, params_2=two)
    every = graph.add("IPAdapterCombineParams", params_1=pair, params_2=three)
    inputs = {"combine_embeds": combine, "embeds_scaling": "K+V"}
    last = graph.add("IPAdapterFromParams", **graph.all, ipadapter_params=every, **inputs)
    new_prompt, lines = check(graph, last, size=(24, 16))
    kinds = [node["class_type"] for node in new_prompt.values()]
    assert (
        kinds.count("ApplyIPAdapter") == 3 and sum(" is removed: " in each for each in lines) == 5
    )


def test_a_region_against_a_picture(models, shallow, check):
    graph = OldGraph(models("sdxl"), shallow, XL)
    last = graph.add(
        "IPAdapterFromParams",
        **graph.all,
        ipadapter_params=region(graph, 1, weight_type="style transfer"),
        image_negative=graph.constant(picture(4)),
        embeds_scaling="V only",
    )
    check(graph, last, "sdxl")


def test_texts_of_a_region(models, shallow, upgraded, run_prompt, tiny):
    graph = OldGraph(models("sd15"), shallow, BASE)
    left, _ = halves(graph)
    positive, negative = (graph.constant(cond) for cond in tiny.text("sd15").conds())
    first_region = region(graph, 1, left)
    graph.prompt[first_region[0]]["inputs"] |= {"positive": positive, "negative": negative}
    links = [[first_region[0], 1], [first_region[0], 2]]
    for link in links:
        graph.add("KSampler", positive=link)
    graph.add("IPAdapterFromParams", **graph.all, ipadapter_params=first_region)
    new_prompt, report = upgraded(graph.prompt)
    assert all(change.new_kinds for change in report)
    ends = [
        node["inputs"]["positive"] for node in new_prompt.values() if "positive" in node["inputs"]
    ]
    assert len(ends) == 2
    for link, end in zip(links, ends, strict=True):
        check_same_text(run_prompt(graph.prompt, link)[0], run_prompt(new_prompt, end)[0])


def check_same_text(before, after):
    """Two conditionings of the host: the same tokens, mask and settings."""
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1].pop("mask"), after[1].pop("mask"))
    for options in (before[1], after[1]):
        options.pop("pooled_output", None)
    assert before[1] == after[1]


def test_a_region_stays_where_its_settings_go_elsewhere(models, shallow, upgraded):
    graph = OldGraph(None, shallow, BASE)
    first_region = region(graph, 1)
    graph.add("IPAdapterFromParams", **graph.all, ipadapter_params=first_region)
    graph.add("SomeoneElsesNode", params=first_region)
    new_prompt, _ = upgraded(graph.prompt)
    kinds = [node["class_type"] for node in new_prompt.values()]
    assert "IPAdapterRegionalConditioning" in kinds and "IPAdapterFromParams" not in kinds


WEIGHTS = {
    "weights": "0.9, 0.2",
    "timing": "ease_in_out",
    "frames": 4,
    "start_frame": 0,
    "end_frame": 9999,
    "add_starting_frames": 0,
    "add_ending_frames": 0,
    "method": "full batch",
}


@pytest.mark.parametrize("file", [BASE, PLUS])
@pytest.mark.parametrize(
    "settings",
    [
        {"weight_type": "linear"},
        {"weight_type": "style and composition"},
        {"weight_type": "ease in", "end_at": 0.7},
        {"weight_type": "composition precise"},
    ],
    ids=lambda settings: settings["weight_type"],
)
def test_a_list_of_weights(models, shallow, check, file, settings):
    graph = OldGraph(models("sd15"), shallow, file)
    weights = graph.add("IPAdapterWeights", **WEIGHTS)
    second = graph.add("IPAdapterWeightsFromStrategy", weights_strategy=[weights[0], 5])
    every = graph.add("IPAdapterCombineWeights", weights_1=[second[0], 1], weights_2=weights)
    image = graph.constant(picture(1, 3))
    settings = {"start_at": 0.0, "end_at": 1.0, "embeds_scaling": "V only", **settings}
    last = graph.add("IPAdapterBatch", **graph.all, image=image, weight=every, **settings)
    new_prompt, lines = check(graph, last, batch=5)
    assert any("frame_weights" in node["inputs"] for node in new_prompt.values())
    assert sum(" is removed: " in each for each in lines) == 3


def test_a_list_of_weights_on_a_node_for_one_weight(models, shallow, check):
    """It takes the first; how many there are is still told."""
    graph = OldGraph(models("sd15"), shallow, BASE)
    weights = graph.add("IPAdapterWeights", **{**WEIGHTS, "timing": "custom"})
    image = graph.constant(picture(1))
    inputs = {"weight_type": "linear", "start_at": 0.0, "end_at": 1.0}
    latent = graph.add("EmptyLatentImage", width=64, height=64, batch_size=[weights[0], 2])
    last = graph.add("IPAdapterAdvanced", **graph.all, image=image, weight=weights, **inputs)
    new_prompt, _ = check(graph, last)
    count = new_prompt[latent[0]]["inputs"]["batch_size"]
    assert new_prompt[count[0]] == {"class_type": "PrimitiveInt", "inputs": {"value": 2}}


def test_lists_that_are_known_only_when_the_graph_runs_stay(models, shallow, upgraded):
    for changed, words in (
        ({"timing": "random"}, "random"),
        ({"image": ["1", 0]}, "the number of images"),
        ({"weights": ["1", 0]}, "must run first"),
    ):
        graph = OldGraph(None, shallow, BASE)
        weights = graph.add("IPAdapterWeights", **{**WEIGHTS, **changed})
        image = graph.constant(picture(1))
        graph.add("IPAdapterBatch", **graph.all, image=image, weight=weights, weight_type="linear")
        new_prompt, report = upgraded(graph.prompt)
        assert {"IPAdapterBatch", "IPAdapterWeights"} <= {
            n["class_type"] for n in new_prompt.values()
        }
        assert any(words in change.describe() for change in report)


@pytest.mark.parametrize(("kind", "file"), [("sd15", PLUS), ("sdxl", XL)])
@pytest.mark.parametrize("precise", ["style transfer precise", "composition precise"])
def test_layers_with_a_precise_kind(models, shallow, check, kind, file, precise):
    graph = OldGraph(models(kind), shallow, file)
    last = graph.add(
        "IPAdapterMS",
        **graph.all,
        image=graph.constant(picture(1, 2)),
        weight=0.8,
        weight_type=precise,
        layer_weights="0:0.3, 3:1.0, 4:0.7, 5:0.9, 6:1.1, 8:0.4, 10:0.6",
        embeds_scaling="V only",
    )
    check(graph, last, kind)


FIRST = {"weight": 0.8, "weight_type": "linear"}


@pytest.mark.parametrize(("kind", "file"), [("sd15", BASE), ("sdxl", XL)])
def test_nodes_of_2023(models, shallow, check, kind, file):
    """What the encoder saw on a link of its own; the middle block of SDXL is left out."""
    graph = OldGraph(models(kind), shallow, file)
    image = graph.constant(picture(1, 2))
    recorded = graph.add("IPAdapterCLIPVisionEncode", clip_vision=graph.clip_vision, image=image)
    inputs = {"model": graph.model, "ipadapter": graph.adapter, "clip_vision_output": recorded}
    check(graph, graph.add("IPAdapterApply", **inputs, weight=0.7), kind)


def test_a_loader_of_faces_goes(models, shallow, check):
    graph = OldGraph(models("sd15"), shallow, BASE)
    face = graph.add("InsightFaceLoader", provider="CPU")
    image = graph.constant(picture(1))
    inputs = {**graph.all, "image": image, "insightface": face}
    last = graph.add("IPAdapterApplyFaceID", **inputs, **FIRST, noise=0.0)
    _, lines = check(graph, last)
    assert any("is removed: this pack does not use InsightFace" in each for each in lines)


@pytest.mark.parametrize("file", [BASE, PLUS])
@pytest.mark.parametrize(
    "settings",
    [
        {"weight_type": "style and composition"},
        {"weight_type": "ease in", "combine_embeds": "norm average"},
    ],
    ids=lambda settings: settings["weight_type"],
)
def test_graphs_that_ask_for_the_papers_behaviour(models, shallow, check, file, settings):
    """Through another node, as the new nodes have it: no black picture, the middle block, exact
    masks.
    """
    graph = OldGraph(models("sd15"), shallow, file)
    paper = graph.add("IPAdapterOldGraphs", model=graph.model, behaviour="paper")
    between = graph.add("InspectIPAdapter", model=paper, changes="")
    inputs = {**graph.all, "model": between, "image": graph.constant(picture(1, 2)), "weight": 0.7}
    masked = {"attn_mask": graph.constant(torch.rand(1, 31, 47))}
    last = graph.add("IPAdapterAdvanced", **inputs, **masked, **settings, embeds_scaling="V only")
    new_prompt, _ = check(graph, last)
    assert "EmptyImage" not in {node["class_type"] for node in new_prompt.values()}


@pytest.mark.parametrize("file", [BASE, PLUS])
def test_the_first_nodes_among_them_keep_their_black_picture(models, shallow, check, file):
    graph = OldGraph(models("sd15"), shallow, file)
    paper = graph.add("IPAdapterOldGraphs", model=graph.model, behaviour="paper")
    inputs = {**graph.all, "model": paper, "image": graph.constant(picture(1)), "noise": 0.0}
    masked = {"attn_mask": graph.constant(torch.rand(1, 31, 47))}
    check(graph, graph.add("IPAdapterApply", **inputs, **masked, **FIRST))
