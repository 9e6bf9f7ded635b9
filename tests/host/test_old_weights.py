"""Old apply nodes weigh layers, frames and masks as IPAdapter_plus's formulas say.

Recorded numbers of IPAdapter_plus itself are compared in test_goldens.py.
"""

import json
from pathlib import Path

import pytest
import torch
from support.compare import NAMES, difference, mask
from support.plus_formula import BASE, block_table, embeds_inputs, features, photo
from support.tolerance import EFFECT, SAMPLING

pytestmark = pytest.mark.host

INPUTS = json.loads((Path(__file__).parent.parent / "data" / "old_nodes.json").read_text())
WIDE, TALL = (26, 18), (17, 33)  # at 17 x 33 the old guess of a layer's grid is wrong
SAME = SAMPLING


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("name", list(INPUTS["WEIGHT_TYPES"]))
def test_weight_types(models, adapters, run_old, sample, by_formula, kind, name):
    model, (adapter, _) = models(kind), adapters(NAMES[kind])
    sides = [features(seed, base=kind == "sdxl") for seed in (1, 2)]
    settings = embeds_inputs(model, adapter, *sides, weight_type=name)
    patched = run_old("IPAdapterEmbeds", **settings)[0]
    expected = by_formula(model, kind, *sides, weights=block_table(kind, name, 0.7, 0.7))
    assert difference(sample(patched, kind, steps=1), sample(expected, kind, steps=1)) < SAME


@pytest.mark.parametrize("scaling", ["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"])
@pytest.mark.parametrize("size", [WIDE, TALL])
def test_a_weight_for_each_frame_scalings_and_masks(
    models, adapters, run_old, sample, by_formula, scaling, size
):
    """Unequal batches: 3 pictures, 2 references, 2 weights, 2 masks; at TALL the mask shears."""
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    sides = features(1, 2), features(3, 2)
    areas = torch.cat((mask(31, 47, left=20), mask(31, 47, fill=0.4)))
    widgets = {"weight_type": "ease in", "embeds_scaling": scaling, "weight": [1.3, 0.4]}
    inputs = embeds_inputs(model, adapter, *sides, attn_mask=areas, **widgets)
    patched = run_old("IPAdapterEmbedsBatch", **inputs)[0]
    table = block_table("sd15", "ease in", 1.0)
    formula = {"weights": table, "factors": (1.3, 0.4), "scaling": scaling, "mask": areas}
    expected = by_formula(model, "sd15", *sides, **formula)
    settings = {"steps": 1, "batch": 3, "size": size}
    assert difference(sample(patched, **settings), sample(expected, **settings)) < SAME


def test_a_mask_shears_only_as_it_did_and_not_for_the_paper(
    models, adapters, run_old, sample, old_graphs
):
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    area = mask(34, 66, left=20)
    inputs = embeds_inputs(model, adapter, features(1), features(2), attn_mask=area)
    sheared = run_old("IPAdapterEmbeds", **inputs)[0]
    exact = run_old("IPAdapterEmbeds", **inputs | {"model": old_graphs(model, "paper")})[0]
    settings = {"steps": 1, "size": TALL}
    assert difference(sample(sheared, **settings), sample(exact, **settings)) > EFFECT


def test_the_switch_gives_the_new_nodes_numbers(
    models, adapters, run_old, sample, nodes_by_id, tiny, old_graphs
):
    """The middle block and nothing else: both sides are given, so no black picture is in play."""
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    outputs = tiny.features(5), tiny.features(6)
    sides = [output.penultimate_hidden_states for output in outputs]
    settings = {"clip_vision_output": outputs[0], "clip_vision_output_negative": outputs[1]}
    new_prompt = (
        nodes_by_id["ApplyIPAdapter"].execute(model, adapter, **settings, weight=0.7).args[0]
    )
    paper, plus = (
        run_old("IPAdapterEmbeds", **embeds_inputs(old_graphs(model, way), adapter, *sides))[0]
        for way in ("paper", "as IPAdapter_plus")
    )
    assert difference(sample(paper), sample(new_prompt)) < SAME
    assert difference(sample(plus), sample(new_prompt)) > EFFECT


@pytest.mark.parametrize("kind", NAMES)
def test_an_apply_node_leaves_no_trace(models, adapters, run_old, sample, kind):
    """Branches and repeated runs are independent, and weight 0 is the model itself."""
    model, (adapter, _) = models(kind), adapters(BASE[kind])
    sides = features(1, base=True), features(2, base=True)

    def sampled(**settings):
        inputs = embeds_inputs(model, adapter, *sides, **settings)
        return sample(run_old("IPAdapterEmbeds", **inputs)[0], kind, steps=1)

    plain, first = sample(model, kind, steps=1), sampled()
    sampled(weight=2.0)
    assert torch.equal(sampled(), first)
    assert torch.equal(sampled(weight=0.0), plain)
    assert torch.equal(sample(model, kind, steps=1), plain)


def test_the_window_is_the_hosts_sigmas_both_ends_included(
    models, adapters, run_old, sample, by_formula
):
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    sides = features(1), features(2)
    inputs = embeds_inputs(model, adapter, *sides, start_at=0.25, end_at=0.75)
    patched = run_old("IPAdapterEmbeds", **inputs)[0]
    sampling = model.get_model_object("model_sampling")
    window = (sampling.percent_to_sigma(0.25), sampling.percent_to_sigma(0.75))
    table = block_table("sd15", "linear", 0.7)
    expected = by_formula(model, "sd15", *sides, weights=table, window=window)
    assert difference(sample(patched, steps=4), sample(expected, steps=4)) < SAME


@pytest.mark.parametrize(
    ("weight_type", "scaling"),
    [("original", "V only"), ("linear", "K+V"), ("channel penalty", "K+mean(V) w/ C penalty")],
)
def test_the_first_nodes_reach_the_middle_block(
    models, adapters, run_old, sample, by_formula, weight_type, scaling
):
    model, (adapter, _) = models("sd15"), adapters(BASE["sd15"])
    stack = torch.stack((features(1, 2, True), torch.zeros(2, 1024)))
    settings = {"weight": 0.7, "weight_type": weight_type, "start_at": 0.0, "end_at": 1.0}
    links = {"ipadapter": adapter, "embeds": stack, "model": model}
    patched = run_old("IPAdapterApplyEncoded", **links, unfold_batch=True, **settings)[0]
    formula = {"weights": block_table("sd15", "linear", 0.7), "scaling": scaling}
    expected = by_formula(model, "sd15", *stack, name=BASE["sd15"], middle=True, **formula)
    assert difference(sample(patched, batch=2), sample(expected, batch=2)) < SAME


@pytest.mark.parametrize("weight_type", ["ease in", "style transfer precise"])
def test_layer_weights_take_the_place_of_the_type_except_what_is_precise(
    models, adapters, run_old, sample, by_formula, shallow, weight_type
):
    model, (adapter, _) = models("sd15"), adapters(BASE["sd15"])
    picture = photo(1)
    links = {"model": model, "ipadapter": adapter, "image": picture, "clip_vision": shallow}
    widgets = {"weight": 2.0, "layer_weights": "3:0.5, 5:0.25,\n9:1", "weight_type": weight_type}
    patched = run_old("IPAdapterMS", **links, **widgets)[0]
    table = [(0.0, False)] * 16
    for t, value in ((3, 1.0), (5, 0.5), (9, 2.0)):
        table[t] = (value, weight_type == "style transfer precise" and t in (4, 5))
    positive = shallow.encode_image(picture).image_embeds
    sides = positive, torch.zeros_like(positive)
    expected = by_formula(model, "sd15", *sides, name=BASE["sd15"], weights=table)
    assert difference(sample(patched), sample(expected)) < SAME


def test_layer_weights_that_cannot_be_read_are_named(models, adapters, run_old, shallow):
    model, (adapter, _) = models("sd15"), adapters(BASE["sd15"])
    links = {"model": model, "ipadapter": adapter, "image": photo(1), "clip_vision": shallow}
    with pytest.raises(ValueError, match=r"'layer_weights' has the entry '3;0\.5'"):
        run_old("IPAdapterMS", **links, weight=2.0, layer_weights="3;0.5")


def test_a_range_that_ends_before_it_starts_is_said_of_its_node(models, adapters, run_old, caplog):
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    settings = embeds_inputs(model, adapter, features(1), features(2), start_at=0.8, end_at=0.2)
    run_old("IPAdapterEmbeds", **settings)
    warnings = [record.getMessage() for record in caplog.records if record.name == "ipadapter"]
    assert warnings == [
        "IPAdapter Embeds's 'start_at' (0.8) is after its 'end_at' (0.2): the reference has no "
        "effect."
    ]
