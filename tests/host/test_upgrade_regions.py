"""Regions, weight lists, layers with a precise kind, and the first nodes become new ones: the same
picture.
"""

import pytest
import torch
from support.upgrading import BASE, PLUS, XL, Old, picture

pytestmark = pytest.mark.host


def halves(graph, **shape):
    left = torch.zeros(1, shape.get("height", 31), shape.get("width", 47))
    left[:, :, :20] = 1
    return graph.given(left), graph.given(1 - left)


def region(graph, image, mask=None, **settings):
    given = {"image_weight": 0.9, "prompt_weight": 0.8, "weight_type": "linear"} | settings
    masked = {} if mask is None else {"mask": mask}
    return graph.add(
        "IPAdapterRegionalConditioning",
        image=graph.given(picture(image, settings.pop("count", 1))),
        **{"start_at": 0.0, "end_at": 1.0, **given, **masked},
    )


@pytest.mark.parametrize("file", [BASE, PLUS])
@pytest.mark.parametrize("combine", ["concat", "average"])
def test_regions(models, shallow, check, file, combine):
    """Three regions, two masks of another size than the picture, one of all kinds of settings."""
    graph = Old(models("sd15"), shallow, file)
    left, right = halves(graph)
    one = region(graph, 1, left)
    two = region(graph, 2, right, weight_type="style and composition", image_weight=0.7)
    three = region(graph, 3, image_weight=0.4, end_at=0.7, weight_type="weak output")
    both = graph.add("IPAdapterCombineParams", params_1=one, params_2=two)
    every = graph.add("IPAdapterCombineParams", params_1=both, params_2=three)
    given = {"combine_embeds": combine, "embeds_scaling": "K+V"}
    last = graph.add("IPAdapterFromParams", **graph.all, ipadapter_params=every, **given)
    new, said = check(graph, last, size=(24, 16))
    kinds = [node["class_type"] for node in new.values()]
    assert kinds.count("ApplyIPAdapter") == 3 and sum(" goes: " in one for one in said) == 5


def test_a_region_against_a_picture(models, shallow, check):
    graph = Old(models("sdxl"), shallow, XL)
    last = graph.add(
        "IPAdapterFromParams",
        **graph.all,
        ipadapter_params=region(graph, 1, weight_type="style transfer"),
        image_negative=graph.given(picture(4)),
        embeds_scaling="V only",
    )
    check(graph, last, "sdxl")


def test_texts_of_a_region(models, shallow, upgraded, run_prompt, tiny):
    graph = Old(models("sd15"), shallow, BASE)
    left, _ = halves(graph)
    positive, negative = (graph.given(one) for one in tiny.text("sd15").conds())
    one = region(graph, 1, left)
    graph.prompt[one[0]]["inputs"] |= {"positive": positive, "negative": negative}
    links = [[one[0], 1], [one[0], 2]]
    for link in links:
        graph.add("KSampler", positive=link)
    graph.add("IPAdapterFromParams", **graph.all, ipadapter_params=one)
    new, report = upgraded(graph.prompt)
    assert all(change.new_kinds for change in report)
    ends = [node["inputs"]["positive"] for node in new.values() if "positive" in node["inputs"]]
    assert len(ends) == 2
    for link, end in zip(links, ends, strict=True):
        check_same_text(run_prompt(graph.prompt, link)[0], run_prompt(new, end)[0])


def check_same_text(before, after):
    """Two conditionings of the host: the same tokens, mask and settings."""
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1].pop("mask"), after[1].pop("mask"))
    for options in (before[1], after[1]):
        options.pop("pooled_output", None)
    assert before[1] == after[1]


def test_a_region_stays_where_its_settings_go_elsewhere(models, shallow, upgraded):
    graph = Old(None, shallow, BASE)
    one = region(graph, 1)
    graph.add("IPAdapterFromParams", **graph.all, ipadapter_params=one)
    graph.add("SomeoneElsesNode", params=one)
    new, _ = upgraded(graph.prompt)
    kinds = [node["class_type"] for node in new.values()]
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
    "given",
    [
        {"weight_type": "linear"},
        {"weight_type": "style and composition"},
        {"weight_type": "ease in", "end_at": 0.7},
        {"weight_type": "composition precise"},
    ],
    ids=lambda one: one["weight_type"],
)
def test_a_list_of_weights(models, shallow, check, file, given):
    graph = Old(models("sd15"), shallow, file)
    weights = graph.add("IPAdapterWeights", **WEIGHTS)
    other = graph.add("IPAdapterWeightsFromStrategy", weights_strategy=[weights[0], 5])
    every = graph.add("IPAdapterCombineWeights", weights_1=[other[0], 1], weights_2=weights)
    image = graph.given(picture(1, 3))
    given = {"start_at": 0.0, "end_at": 1.0, "embeds_scaling": "V only", **given}
    last = graph.add("IPAdapterBatch", **graph.all, image=image, weight=every, **given)
    new, said = check(graph, last, batch=5)
    assert any("frame_weights" in node["inputs"] for node in new.values())
    assert sum(" goes: " in one for one in said) == 3


def test_a_list_of_weights_on_a_node_for_one_weight(models, shallow, check):
    """It takes the first; how many there are is still told."""
    graph = Old(models("sd15"), shallow, BASE)
    weights = graph.add("IPAdapterWeights", **{**WEIGHTS, "timing": "custom"})
    image = graph.given(picture(1))
    given = {"weight_type": "linear", "start_at": 0.0, "end_at": 1.0}
    latent = graph.add("EmptyLatentImage", width=64, height=64, batch_size=[weights[0], 2])
    last = graph.add("IPAdapterAdvanced", **graph.all, image=image, weight=weights, **given)
    new, _ = check(graph, last)
    count = new[latent[0]]["inputs"]["batch_size"]
    assert new[count[0]] == {"class_type": "PrimitiveInt", "inputs": {"value": 2}}


def test_lists_that_are_known_only_when_the_graph_runs_stay(models, shallow, upgraded):
    for changed, words in (
        ({"timing": "random"}, "random"),
        ({"image": ["1", 0]}, "how many pictures there are"),
        ({"weights": ["1", 0]}, "has to run first"),
    ):
        graph = Old(None, shallow, BASE)
        weights = graph.add("IPAdapterWeights", **{**WEIGHTS, **changed})
        image = graph.given(picture(1))
        graph.add("IPAdapterBatch", **graph.all, image=image, weight=weights, weight_type="linear")
        new, report = upgraded(graph.prompt)
        assert {"IPAdapterBatch", "IPAdapterWeights"} <= {n["class_type"] for n in new.values()}
        assert any(words in change.describe() for change in report)


@pytest.mark.parametrize(("kind", "file"), [("sd15", PLUS), ("sdxl", XL)])
@pytest.mark.parametrize("precise", ["style transfer precise", "composition precise"])
def test_layers_with_a_precise_kind(models, shallow, check, kind, file, precise):
    graph = Old(models(kind), shallow, file)
    last = graph.add(
        "IPAdapterMS",
        **graph.all,
        image=graph.given(picture(1, 2)),
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
    graph = Old(models(kind), shallow, file)
    image = graph.given(picture(1, 2))
    seen = graph.add("IPAdapterCLIPVisionEncode", clip_vision=graph.clip_vision, image=image)
    given = {"model": graph.model, "ipadapter": graph.adapter, "clip_vision_output": seen}
    check(graph, graph.add("IPAdapterApply", **given, weight=0.7), kind)


def test_a_loader_of_faces_goes(models, shallow, check):
    graph = Old(models("sd15"), shallow, BASE)
    face = graph.add("InsightFaceLoader", provider="CPU")
    image = graph.given(picture(1))
    given = {**graph.all, "image": image, "insightface": face}
    last = graph.add("IPAdapterApplyFaceID", **given, **FIRST, noise=0.0)
    _, said = check(graph, last)
    assert any("goes: nothing here uses InsightFace" in one for one in said)


@pytest.mark.parametrize("file", [BASE, PLUS])
@pytest.mark.parametrize(
    "given",
    [
        {"weight_type": "style and composition"},
        {"weight_type": "ease in", "combine_embeds": "norm average"},
    ],
    ids=lambda one: one["weight_type"],
)
def test_graphs_that_ask_for_the_papers_behaviour(models, shallow, check, file, given):
    """Through another node, as the new nodes have it: no black picture, the middle block, exact
    masks.
    """
    graph = Old(models("sd15"), shallow, file)
    paper = graph.add("IPAdapterOldGraphs", model=graph.model, behaviour="paper")
    between = graph.add("InspectIPAdapter", model=paper, changes="")
    inputs = {**graph.all, "model": between, "image": graph.given(picture(1, 2)), "weight": 0.7}
    masked = {"attn_mask": graph.given(torch.rand(1, 31, 47))}
    last = graph.add("IPAdapterAdvanced", **inputs, **masked, **given, embeds_scaling="V only")
    new, _ = check(graph, last)
    assert "EmptyImage" not in {node["class_type"] for node in new.values()}


@pytest.mark.parametrize("file", [BASE, PLUS])
def test_the_first_nodes_among_them_keep_their_black_picture(models, shallow, check, file):
    graph = Old(models("sd15"), shallow, file)
    paper = graph.add("IPAdapterOldGraphs", model=graph.model, behaviour="paper")
    inputs = {**graph.all, "model": paper, "image": graph.given(picture(1)), "noise": 0.0}
    masked = {"attn_mask": graph.given(torch.rand(1, 31, 47))}
    check(graph, graph.add("IPAdapterApply", **inputs, **masked, **FIRST))
