"""Old nodes give the numbers that IPAdapter_plus's formulas give, written here as they are known.

The reference hangs a plain attention patch on every layer except the middle block's. Recorded numbers of
IPAdapter_plus itself are compared in test_goldens.py.
"""

import json
import logging
import math
from pathlib import Path

import pytest
import torch
from support.compare import NAMES, difference, mask
from torch.nn.functional import interpolate

pytestmark = pytest.mark.host

INPUTS = json.loads((Path(__file__).parent.parent / "data" / "old_nodes.json").read_text())
BASE = {"sd15": "ip-adapter_sd15", "sdxl": "ip-adapter_sdxl_vit-h"}
WIDE, TALL = (26, 18), (17, 33)  # at 17 x 33 the old guess of a layer's grid is wrong
LAYOUT = {"sd15": {4: 0.25, 5: 1.0}, "sdxl": {3: 1.0}}
STYLE = {"sd15": [0, 1, 2, 3, *range(9, 16)], "sdxl": [6]}
COUNT, MIDDLE = {"sd15": 16, "sdxl": 11}, {"sd15": 6, "sdxl": 4}


@pytest.fixture
def old(nodes_by_id):
    """Calls an old node as other packs do: id, inputs by name -> its outputs."""

    def run(node_id, **inputs):
        node = nodes_by_id[node_id]()
        return getattr(node, node.FUNCTION)(**inputs)

    return run


def weights(kind, name, w, second=1.0):
    """t -> (weight, whether the picture stands on the negative side), by IPAdapter_plus's tables."""
    count, layout, style = COUNT[kind], LAYOUT[kind], STYLE[kind]
    depth = [t / count for t in range(count)]
    plain = {
        "linear": [w] * count,
        "ease in": [w * (0.05 + 0.95 * (1 - d)) for d in depth],
        "ease out": [w * (0.05 + 0.95 * d) for d in depth],
        "ease in-out": [w * (0.05 + 0.95 * (1 - abs(d - 0.5) / 0.5)) for d in depth],
        "reverse in-out": [w * (0.05 + 0.95 * abs(d - 0.5) / 0.5) for d in depth],
        "weak input": [w * (0.2 if t < MIDDLE[kind] else 1) for t in range(count)],
        "weak output": [w * (0.2 if t > MIDDLE[kind] else 1) for t in range(count)],
        "weak middle": [w] * count,
        "strong middle": [w * 0.2] * count,
        "style transfer": [w * (t in style) for t in range(count)],
        "composition": [w * layout.get(t, 0) for t in range(count)],
        "strong style transfer": [w * (t not in layout) for t in range(count)],
        "style and composition": [
            layout[t] if t in layout else w * (t in style) for t in range(count)
        ],
    }
    if name in plain:
        return [(one, False) for one in plain[name]]
    if name == "style transfer precise":
        rows = [layout[t] * second if t in layout else w * (t in style) for t in range(count)]
        return [(one, t in layout) for t, one in enumerate(rows)]
    rows = [
        layout[t] * w if t in layout else second * (1 if t in style else 0.1) for t in range(count)
    ]
    return [(one, t not in layout) for t, one in enumerate(rows)]


class Patch:
    """What one layer adds, step by step as the formulas say."""

    def __init__(self, tensors, number, t, how):
        self.k, self.v = (tensors[f"ip_adapter.{number}.to_{one}_ip.weight"] for one in "kv")
        self.t, self.how = t, how

    def __call__(self, q, k, v, extra):
        from comfy.ldm.modules.attention import optimized_attention

        how, heads = self.how, extra["n_heads"]
        text = optimized_attention(q, k, v, heads)
        sides, sigma = extra["cond_or_uncond"], float(extra["sigmas"][0])
        start, end = how.get("window", (1e9, 0.0))
        weight, turned = how["weights"][self.t]
        if not end <= sigma <= start:
            return text
        count = len(q) // len(sides)
        cond, uncond = ([one[min(n, len(one) - 1)] for n in range(count)] for one in how["tokens"])
        cond, uncond = torch.stack(cond), torch.stack(uncond)
        if turned:
            cond, uncond = torch.zeros_like(cond), cond
        tokens = torch.cat([uncond if side == 1 else cond for side in sides])
        w = torch.tensor(how.get("factors") or [1.0])
        w = torch.stack([w[min(n, len(w) - 1)] for n in range(count)] * len(sides)).view(-1, 1, 1)
        w = w * weight
        key, value = tokens @ self.k.T, tokens @ self.v.T
        scaling = how.get("scaling", "V only")
        if "C penalty" in scaling:
            w = w * (key.shape[-1] / 1280)
        if scaling.startswith("K+mean"):
            mean = value.mean(1, keepdim=True)
            key, value, w = key * w, value - mean + mean * w, 1
        elif scaling.startswith("K+V"):
            key, value, w = key * w, value * w, 1
        image = optimized_attention(q, key, value, heads) * w
        if how.get("mask") is not None:
            image = image * self.shade(how["mask"], q, extra["original_shape"], count, len(sides))
        return text + image

    def shade(self, mask, q, shape, count, sides):
        height, width, length = *shape[-2:], q.shape[1]
        rows = int(height / math.sqrt(height * width / length))
        rows += int(length % rows != 0)
        small = interpolate(mask[:, None], (rows, length // rows), mode="bilinear").flatten(1)
        flat = torch.stack([small[min(n, len(small) - 1)] for n in range(count)] * sides)
        over = flat.shape[1] - length
        if over > 0:
            return flat[:, over // 2 : over // 2 + length, None]
        before = -over // 2
        return torch.cat(
            (flat.new_zeros(len(flat), before), flat, flat.new_zeros(len(flat), -over - before)), 1
        )[..., None]


@pytest.fixture
def by_formula(adapters):
    """(model, kind, positive, negative, settings) -> the model with the reference's patches on it."""

    def run(model, kind, positive, negative, name=None, middle=False, **how):
        adapter, tensors = adapters(name or NAMES[kind])
        project = adapter.patcher.model.project
        how["tokens"] = (project(positive), project(negative))
        if how.pop("concat", False):
            how["tokens"] = tuple(one.flatten(0, 1)[None] for one in how["tokens"])
        model = model.clone()
        number = 1
        places = sorted(_places(kind), key=lambda place: (_FILE[place[0]], place[1:]))
        order = sorted({place[:2] for place in places}, key=lambda one: (_PASS[one[0]], one[1]))
        for place in places:
            patch = Patch(tensors, number, order.index(place[:2]), how)
            number += 2
            if middle or place[0] != "middle":
                model.set_model_attn2_replace(patch, *place)
        return model

    return run


_FILE = {"input": 0, "output": 1, "middle": 2}
_PASS = {"input": 0, "middle": 1, "output": 2}


def _places(kind):
    if kind == "sd15":
        return [("input", n, 0) for n in (1, 2, 4, 5, 7, 8)] + [
            *(("output", n, 0) for n in range(3, 12)),
            ("middle", 0, 0),
        ]
    depth = {
        ("input", 4): 2,
        ("input", 5): 2,
        ("input", 7): 10,
        ("input", 8): 10,
        ("middle", 0): 10,
    }
    depth |= {("output", n): 10 if n < 3 else 2 for n in range(6)}
    return [(*block, index) for block, many in depth.items() for index in range(many)]


def seen(seed, count=1, base=False):
    shape = (count, 1024) if base else (count, 257, 1280)
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(model, adapter, positive, negative, **more):
    given = {"weight": 0.7, "weight_type": "linear", "start_at": 0.0, "end_at": 1.0}
    sides = {"pos_embed": positive, "neg_embed": negative}
    return {"model": model, "ipadapter": adapter, **given, **sides, **more}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("name", list(INPUTS["WEIGHT_TYPES"]))
def test_weight_types(models, adapters, old, sample, by_formula, kind, name):
    model, (adapter, _) = models(kind), adapters(NAMES[kind])
    positive, negative = seen(1, base=kind == "sdxl"), seen(2, base=kind == "sdxl")
    found = old("IPAdapterEmbeds", **inputs(model, adapter, positive, negative, weight_type=name))[
        0
    ]
    table = weights(kind, name, 0.7, 0.7)
    expected = by_formula(model, kind, positive, negative, weights=table)
    settings = {"steps": 1}
    assert difference(sample(found, kind, **settings), sample(expected, kind, **settings)) < 1e-5


@pytest.mark.parametrize("scaling", ["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"])
@pytest.mark.parametrize("size", [WIDE, TALL])
def test_a_weight_for_each_frame_scalings_and_masks(
    models, adapters, old, sample, by_formula, scaling, size
):
    """Unequal batches throughout: 3 pictures, 2 references, 2 weights, 2 masks; at TALL the mask shears."""
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    positive, negative = seen(1, 2), seen(3, 2)
    shades = torch.cat((mask(31, 47, left=20), mask(31, 47, fill=0.4)))
    settings = {"weight_type": "ease in", "embeds_scaling": scaling, "attn_mask": shades}
    found = old(
        "IPAdapterEmbedsBatch",
        **inputs(model, adapter, positive, negative, **settings | {"weight": [1.3, 0.4]}),
    )[0]
    expected = by_formula(
        model,
        "sd15",
        positive,
        negative,
        weights=weights("sd15", "ease in", 1.0),
        factors=[1.3, 0.4],
        scaling=scaling,
        mask=shades,
    )
    settings = {"steps": 1, "batch": 3, "size": size}
    assert difference(sample(found, **settings), sample(expected, **settings)) < 1e-5


def test_a_mask_shears_only_as_it_did_and_not_for_the_paper(models, adapters, old, sample):
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    shade = mask(34, 66, left=20)
    given = inputs(model, adapter, seen(1), seen(2), attn_mask=shade)
    before = old("IPAdapterEmbeds", **given)[0]
    paper = host_option(old, model)
    exact = old("IPAdapterEmbeds", **given | {"model": paper})[0]
    settings = {"steps": 1, "size": TALL}
    assert difference(sample(before, **settings), sample(exact, **settings)) > 1e-3


def host_option(old, model, behaviour="paper"):
    import nodes

    node = nodes.NODE_CLASS_MAPPINGS["IPAdapterOldGraphs"]
    return node.execute(model, behaviour).args[0]


def test_the_switch_gives_the_new_nodes_numbers(models, adapters, old, sample, nodes_by_id, tiny):
    """The middle block and nothing else: both sides are given, so no black picture is in play."""
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    features = tiny.features(5), tiny.features(6)
    both = [one.penultimate_hidden_states for one in features]
    new = nodes_by_id["ApplyIPAdapter"].execute(
        model,
        adapter,
        clip_vision_output=features[0],
        clip_vision_output_negative=features[1],
        weight=0.7,
    )
    found = old("IPAdapterEmbeds", **inputs(host_option(old, model), adapter, *both))[0]
    as_before = host_option(old, model, "as IPAdapter_plus")
    without = old("IPAdapterEmbeds", **inputs(as_before, adapter, *both))[0]
    assert difference(sample(found), sample(new.args[0])) < 1e-6
    assert difference(sample(without), sample(new.args[0])) > 1e-3


@pytest.mark.parametrize("kind", NAMES)
def test_an_apply_node_leaves_no_trace(models, adapters, old, sample, kind):
    """Branches and repeated runs are independent, and weight 0 is the model itself."""
    model, (adapter, _) = models(kind), adapters(BASE[kind])
    given = inputs(model, adapter, seen(1, base=True), seen(2, base=True))
    plain = sample(model, kind, steps=1)
    first = sample(old("IPAdapterEmbeds", **given)[0], kind, steps=1)
    old("IPAdapterEmbeds", **given | {"weight": 2.0})
    assert torch.equal(sample(old("IPAdapterEmbeds", **given)[0], kind, steps=1), first)
    assert torch.equal(
        sample(old("IPAdapterEmbeds", **given | {"weight": 0.0})[0], kind, steps=1), plain
    )
    assert torch.equal(sample(model, kind, steps=1), plain)


def test_the_window_is_the_hosts_sigmas_both_ends_included(
    models, adapters, old, sample, by_formula
):
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    found = old(
        "IPAdapterEmbeds", **inputs(model, adapter, seen(1), seen(2), start_at=0.25, end_at=0.75)
    )
    sampling = model.get_model_object("model_sampling")
    window = (sampling.percent_to_sigma(0.25), sampling.percent_to_sigma(0.75))
    table = weights("sd15", "linear", 0.7)
    expected = by_formula(model, "sd15", seen(1), seen(2), weights=table, window=window)
    assert difference(sample(found[0], steps=4), sample(expected, steps=4)) < 1e-5


@pytest.mark.parametrize(
    ("weight_type", "scaling"),
    [("original", "V only"), ("linear", "K+V"), ("channel penalty", "K+mean(V) w/ C penalty")],
)
def test_the_first_nodes_reach_the_middle_block(
    models, adapters, old, sample, by_formula, weight_type, scaling
):
    model, (adapter, _) = models("sd15"), adapters(BASE["sd15"])
    stack = torch.stack((seen(1, 2, True), torch.zeros(2, 1024)))
    settings = {"weight": 0.7, "weight_type": weight_type, "start_at": 0.0, "end_at": 1.0}
    found = old(
        "IPAdapterApplyEncoded",
        ipadapter=adapter,
        embeds=stack,
        model=model,
        unfold_batch=True,
        **settings,
    )
    expected = by_formula(
        model,
        "sd15",
        stack[0],
        stack[1],
        name=BASE["sd15"],
        middle=True,
        scaling=scaling,
        weights=weights("sd15", "linear", 0.7),
    )
    assert difference(sample(found[0], batch=2), sample(expected, batch=2)) < 1e-5


def test_layer_weights_take_the_place_of_the_type_except_what_is_precise(
    models, adapters, old, sample, by_formula, nodes_by_id, shallow
):
    model, (adapter, _) = models("sd15"), adapters(BASE["sd15"])
    picture = photo(1)
    given = {
        "image": picture,
        "clip_vision": shallow,
        "weight": 2.0,
        "layer_weights": "3:0.5, 5:0.25,\n9:1",
    }
    seen_by = shallow.encode_image(picture).image_embeds
    for name in ("ease in", "style transfer precise"):
        found = old("IPAdapterMS", model=model, ipadapter=adapter, weight_type=name, **given)[0]
        table = [(0.0, False)] * 16
        for t, value in ((3, 1.0), (5, 0.5), (9, 2.0)):
            table[t] = (value, name == "style transfer precise" and t in (4, 5))
        expected = by_formula(
            model, "sd15", seen_by, torch.zeros_like(seen_by), name=BASE["sd15"], weights=table
        )
        assert difference(sample(found), sample(expected)) < 1e-5
    with pytest.raises(ValueError, match=r"'layer_weights' has the entry '3;0\.5'"):
        old("IPAdapterMS", model=model, ipadapter=adapter, **given | {"layer_weights": "3;0.5"})


def photo(seed, height=50, width=40):
    coarse = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return interpolate(coarse, (height, width), mode="bilinear").movedim(1, -1)


def test_plus_adapters_see_a_black_picture_on_the_negative_side(
    models, adapters, old, sample, by_formula, shallow
):
    model, (adapter, _) = models("sd15"), adapters(NAMES["sd15"])
    picture = torch.cat((photo(1), photo(2)))
    found = old(
        "IPAdapterAdvanced",
        model=model,
        ipadapter=adapter,
        image=picture,
        clip_vision=shallow,
        weight=0.7,
        combine_embeds="add",
    )
    both = shallow.encode_image(picture).penultimate_hidden_states.sum(0, keepdim=True)
    black = shallow.encode_image(torch.zeros(1, 224, 224, 3)).penultimate_hidden_states
    expected = by_formula(model, "sd15", both, black, weights=weights("sd15", "linear", 0.7))
    assert found[1] is None
    assert difference(sample(found[0]), sample(expected)) < 1e-5


def test_style_and_composition_is_two_pictures_for_sdxl_alone(
    models, adapters, old, sample, by_formula, shallow
):
    model, (adapter, _) = models("sdxl"), adapters(BASE["sdxl"])
    pictures = {"image_style": photo(1), "image_composition": photo(2)}
    given = {
        "ipadapter": adapter,
        "clip_vision": shallow,
        "weight_style": 0.8,
        "weight_composition": 0.5,
        **pictures,
    }
    found = old("IPAdapterStyleComposition", model=model, expand_style=False, **given)[0]
    style, layout = (shallow.encode_image(one).image_embeds for one in pictures.values())
    none = torch.zeros_like(style)
    table = [(0.8 * (t == 6), False) for t in range(11)]
    expected = by_formula(model, "sdxl", style, none, weights=table)
    other = by_formula(
        model, "sdxl", layout, none, weights=[(0.5 * (t == 3), False) for t in range(11)]
    )
    blocks = other.model_options["transformer_options"]["patches_replace"]["attn2"]
    for index in range(10):
        expected.set_model_attn2_replace(blocks["input", 8, index], "input", 8, index)
    assert difference(sample(found, "sdxl", steps=1), sample(expected, "sdxl", steps=1)) < 1e-5
    with pytest.raises(ValueError, match=r"for SDXL alone, but 'ip-adapter_sd15' is for SD1\.5"):
        old(
            "IPAdapterStyleComposition",
            model=models("sd15"),
            **given | {"ipadapter": adapters(BASE["sd15"])[0]},
        )


def test_ids_inputs_and_outputs_are_the_old_ones(nodes_by_id):
    kinds = {"WT": INPUTS["WEIGHT_TYPES"]}
    for node_id, expected in INPUTS["nodes"].items():
        node = nodes_by_id[node_id]
        found = node.INPUT_TYPES()
        for part in ("required", "optional"):
            inputs = {
                name: (
                    spec[0],
                    {k: v for k, v in spec[1].items() if k not in ("tooltip", "multiline")},
                )
                for name, spec in found.get(part, {}).items()
            }
            wanted = {}
            for name, (kind, options) in expected[part].items():
                kind = kinds.get(kind, kind) if isinstance(kind, str) else kind
                wanted[name] = (kind, {k: v for k, v in options.items() if k != "multiline"})
            if node_id not in ("IPAdapterModelLoader", "IPAdapterLoadEmbeds"):  # lists of files
                assert inputs == wanted, node_id
            assert list(inputs) == list(wanted), node_id
        assert list(node.RETURN_TYPES) == expected["outputs"], node_id
        assert list(getattr(node, "RETURN_NAMES", node.RETURN_TYPES)) == expected["names"], node_id
        assert expected["function"] == node.FUNCTION
        assert node.DEPRECATED


def test_noise_is_drawn_as_before_and_nobody_elses_numbers_change(old):
    picture = torch.rand(1, 60, 50, 3, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(4)
    expected_next = torch.rand(3)
    torch.manual_seed(4)
    faded = old("IPAdapterNoise", type="fade", strength=0.6, blur=0)[0]
    assert torch.equal(torch.rand(3), expected_next)
    drawn = torch.rand(1, 224, 224, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(faded, drawn * 0.6)
    for kind in ("fade", "dissolve", "gaussian", "shuffle"):
        made = [
            old("IPAdapterNoise", type=kind, strength=0.6, blur=3, image_optional=picture)[0]
            for _ in "ab"
        ]
        assert torch.equal(*made) and made[0].shape == (1, 224, 224, 3)


def test_lists_of_weights(old):
    text = {"weights": "0.0, 1.0", "frames": 5, "start_frame": 0, "end_frame": 9999}
    extra = {"add_starting_frames": 1, "add_ending_frames": 2}
    pictures = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 2, 2, 3)
    found = old(
        "IPAdapterWeights", timing="linear", method="shift batches", image=pictures, **text, **extra
    )
    ramp = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert found[0] == [0.0, *ramp, *ramp, 1.0, 1.0] and found[1] == found[0][::-1]
    assert found[2] == 13
    assert found[3][:, 0, 0, 0].tolist() == [0] + [0] * 5 + [1] * 5 + [2] * 2
    assert found[4][:, 0, 0, 0].tolist() == [0] + [1] * 5 + [2] * 5 + [2] * 2
    again = old("IPAdapterWeightsFromStrategy", weights_strategy=found[5], image=pictures)
    assert again[0] == found[0]
    schedule = old(
        "IPAdapterPromptScheduleFromWeightsStrategy", weights_strategy=found[5], prompt="a\nb"
    )
    assert schedule == ('"0": "a",\n"1": "a",\n"6": "b",\n"11": "b",\n"16": "b",\n',)
    assert old("IPAdapterCombineWeights", weights_1=[0.1, 0.2], weights_2=0.3) == (
        [0.1, 0.2, 0.3],
        3,
    )
    one_frame = old(
        "IPAdapterWeights",
        timing="linear",
        method="full batch",
        **{**text, "frames": 2, "start_frame": 1},
    )
    assert one_frame[0] == [0.0, 1.0]


def test_embeds_are_combined_as_before(old):
    one, other = seen(1, 1), seen(2, 2)
    rows = torch.cat((one, other))
    wanted = {
        "concat": rows,
        "add": rows.sum(0, keepdim=True),
        "subtract": rows[:1] - rows[1:].mean(0, keepdim=True),
        "average": rows.mean(0, keepdim=True),
        "norm average": (rows / rows.norm(dim=0, keepdim=True)).mean(0, keepdim=True),
        "max": rows.amax(0, keepdim=True),
        "min": rows.amin(0, keepdim=True),
    }
    for method, expected in wanted.items():
        (found,) = old("IPAdapterCombineEmbeds", embed1=one, embed3=other, method=method)
        assert torch.allclose(found, expected, atol=1e-6), method


def test_prepared_pictures_are_square_and_where_they_were_asked_to_be(old):
    picture = torch.zeros(1, 40, 100, 3)
    picture[:, :, :40, 0], picture[:, :, 60:, 1] = 1, 1
    for position, red, green in (
        ("left", 1, 0),
        ("right", 0, 1),
        ("center", 0.25, 0.25),
        ("pad", 0.16, 0.16),
    ):
        (made,) = old(
            "PrepImageForClipVision",
            image=picture,
            interpolation="BOX",
            crop_position=position,
            sharpening=0.0,
        )
        assert made.shape == (1, 224, 224, 3)
        means = made.mean((0, 1, 2)).tolist()
        assert means[0] == pytest.approx(red, abs=0.01) and means[1] == pytest.approx(
            green, abs=0.01
        )


def test_the_log_names_what_another_pack_has(pack, caplog):
    legacy = pack.nodes.legacy

    class Foreign:
        pass

    owned = {"IPAdapterAdvanced": Foreign, "KSampler": Foreign}
    assert legacy.claimed_ids(owned) == ["IPAdapterAdvanced"]
    assert "IPAdapterAdvanced" not in [node.NODE_ID for node in legacy.free_nodes(owned)]
    assert len(legacy.free_nodes(owned)) == len(legacy.NODES) - 1
    caplog.set_level(logging.INFO)
