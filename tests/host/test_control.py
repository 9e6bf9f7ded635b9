"""Weight maps, scalings, sequences and what is kept of the prompt, in the host's sampler."""

import importlib
import sys
import time

import pytest
import torch
from support.compare import NAMES, SIZE, difference
from support.tolerance import ARITHMETIC, EFFECT, SAMPLING

pytestmark = pytest.mark.host


@pytest.fixture
def weight_map(nodes_by_id):
    def run(model, take="balanced", amount=1.0, second_amount=1.0, **settings):
        node = nodes_by_id["IPAdapterWeightMap"]
        return node.execute(model, take, amount, second_amount, **settings).args[0]

    return run


def layers_that_differ(tiny, kind, first, second):
    """The addresses, in the order of a forward pass, whose cross-attention gives something else in
    the first call.
    """

    def outputs(model):
        recorded = {}

        def watch(out, extra):
            recorded.setdefault((*extra["block"], extra["block_index"]), out.clone())
            return out

        model = model.clone()
        model.set_model_attn2_output_patch(watch)
        tiny.sample(model, tiny.text(kind), size=SIZE, steps=1)
        return recorded

    first, second = outputs(first), outputs(second)
    return [place for place in first if not torch.equal(first[place], second[place])]


@pytest.mark.parametrize("kind", NAMES)
def test_a_map_of_ones_is_the_plain_weight(models, apply, sample, weight_map, kind):
    model = models(kind)
    mapped = apply(model, kind, weight_map=weight_map(model))
    assert torch.equal(sample(mapped, kind), sample(apply(model, kind), kind))


@pytest.mark.parametrize(
    ("kind", "take", "first"),
    [
        ("sd15", "style", ("input", 1, 0)),
        ("sd15", "layout", ("input", 7, 0)),
        ("sdxl", "style", ("output", 1, 0)),
        ("sdxl", "layout", ("input", 8, 0)),
        ("sdxl", "precise style", ("input", 8, 0)),
    ],
)
def test_nothing_changes_before_the_first_layer_of_the_map(
    models, apply, weight_map, tiny, kind, take, first
):
    model = models(kind)
    changed = layers_that_differ(
        tiny, kind, apply(model, kind, weight_map=weight_map(model, take)), model
    )
    assert changed[0] == first


def test_each_layer_is_where_the_map_says(models, apply, weight_map, tiny):
    model = models("sd15")
    for number, block in ((6, ("middle", 0, 0)), (15, ("output", 11, 0))):
        only = weight_map(model, layers=f"{number}:1")
        assert layers_that_differ(tiny, "sd15", apply(model, weight_map=only), model)[0] == block


def test_a_map_of_zeros_is_no_adapter(models, apply, sample, weight_map):
    model = models("sd15")
    assert torch.equal(
        sample(apply(model, weight_map=weight_map(model, amount=0.0))), sample(model)
    )


def test_a_curve_of_steps_is_a_window(models, apply, sample, weight_map):
    model = models("sd15")
    curve = weight_map(model, curve="0:1, 0.5:0 hold")
    window = apply(model, end_at=0.49)
    assert torch.equal(sample(apply(model, weight_map=curve), steps=7), sample(window, steps=7))


def test_a_curve_gives_each_step_its_weight(models, apply, tiny, weight_map, pack):
    model = models("sd15")
    mapped = apply(model, weight_map=weight_map(model, curve="0:1, 1:0"), weight=1.0)
    (prompt,) = mapped.model_options["transformer_options"]["ipadapter"]
    sampling = model.get_model_object("model_sampling")
    for percent in (0.0, 0.25, 0.5, 0.99):
        sigma = float(sampling.percent_to_sigma(percent))
        assert (
            prompt.ranges[prompt.range_at(sigma)].layer_weights
            == (pytest.approx(1 - percent),) * 16
        )


def test_style_and_layout_of_two_pictures_are_one_map_where_the_pictures_are_one(
    models, apply, sample, weight_map
):
    model = models("sd15")
    pair = apply(model, weight_map=weight_map(model, "style and layout", 0.9, 0.5))
    style = apply(model, weight_map=weight_map(model, "style", 0.9))
    two = apply(style, weight_map=weight_map(model, "layout", 0.5))
    assert difference(sample(two), sample(pair)) < SAMPLING
    second = apply(style, seed=8, weight_map=weight_map(model, "layout", 0.5))
    assert difference(sample(second), sample(pair)) > EFFECT


def test_precise_kinds_act_at_cfg_1_too(models, apply, sample, weight_map):
    model = models("sdxl")
    style, precise, layout = (
        sample(apply(model, "sdxl", weight_map=weight_map(model, *take)), "sdxl", cfg=1.0)
        for take in (("style",), ("precise style",), ("layout", -1.0))
    )
    assert difference(precise, style) > EFFECT
    only = weight_map(model, "precise style", 0.0)  # what stands on the negative side alone
    result = sample(apply(model, "sdxl", weight_map=only), "sdxl", cfg=1.0)
    assert difference(result, layout) < SAMPLING


@pytest.mark.parametrize("scaling", ["K+V", "K+V with C penalty", "K+mean(V) with C penalty"])
def test_scalings_change_the_picture_and_follow_a_curve(models, apply, sample, weight_map, scaling):
    model = models("sd15")
    result = sample(apply(model, scaling=scaling))
    assert difference(result, sample(apply(model))) > EFFECT
    assert torch.equal(sample(apply(model, scaling=scaling, weight=0.0)), sample(model))
    late = apply(model, scaling=scaling, weight_map=weight_map(model, curve="0:0.5, 0.5:1 hold"))
    assert difference(sample(late), result) > EFFECT


def test_keys_and_values_scaled_by_1_are_as_they_were(models, apply, sample):
    model = models("sd15")
    assert (
        difference(
            sample(apply(model, scaling="K+V", weight=1.0)), sample(apply(model, weight=1.0))
        )
        < SAMPLING
    )


def test_keep_prompt_removes_what_points_along_the_text(models, apply, sample, pack):
    text, image = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(2))
    core = importlib.import_module(f"{pack.__name__}.ipadapter_core.attention.image_part")
    complete = core.remove_text_part(image, text, 1.0)
    assert torch.cosine_similarity(complete, text, dim=-1).abs().max() < ARITHMETIC
    torch.testing.assert_close(core.remove_text_part(image, text, 0.5), (image + complete) / 2)
    model = models("sd15")
    plain, remaining = sample(apply(model)), sample(apply(model, keep_prompt=1.0))
    assert difference(remaining, plain) > EFFECT
    assert difference(remaining, sample(model)) > EFFECT


def test_keep_prompt_looks_at_the_text_alone(models, apply, sample):
    """Not at what another adapter has added before: the order does not matter."""
    model = models("sd15")
    remaining = {"keep_prompt": 0.8, "seed": 9}
    first = sample(apply(apply(model), **remaining))
    second = sample(apply(apply(model, **remaining)))
    assert difference(first, second) < SAMPLING


@pytest.mark.parametrize("method", ["add", "average", "slerp", "max"])
@pytest.mark.parametrize("name", ["ip-adapter_sd15", "ip-adapter-plus_sd15"])
def test_combined_references_are_one_reference(models, apply, tiny, sample, pack, method, name):
    model, output = models("sd15"), tiny.features(5, 3)
    combined = tiny.features(5)
    for key in ("image_embeds", "penultimate_hidden_states"):
        combined[key] = pack.nodes.apply.apply.METHODS[method](
            output[key],
            torch.full((3,) + (1,) * (output[key].ndim - 1), 1 / 3 if method == "slerp" else 1.0),
        )
    many = apply(model, name=name, count=3, combine=method)
    single = apply(model, name=name, clip_vision_output=combined)
    assert difference(sample(many), sample(single)) < SAMPLING


@pytest.mark.parametrize("name", ["ip-adapter_sd15", "ip-adapter-full-face_sd15"])
def test_each_picture_has_its_own_reference(models, apply, tiny, sample, name):
    """full-face has more tokens than its keys are worth keeping: it is projected while sampling."""
    model, output = models("sd15"), tiny.features(5, 3)
    batch = sample(
        apply(model, name=name, clip_vision_output=output, batch="one for each picture"), batch=3
    )
    for number in range(3):
        single = tiny.features(5, 3)
        for key in ("image_embeds", "penultimate_hidden_states"):
            single[key] = output[key][number : number + 1]
        alone = sample(apply(model, name=name, clip_vision_output=single), batch=3)
        assert difference(batch[number], alone[number]) < SAMPLING


def test_frame_weights_are_one_weight_for_each_picture(models, apply, sample):
    model = models("sd15")
    batch = sample(apply(model, frame_weights="0:1, 2:0"), batch=3)
    for number, weight in enumerate((0.7, 0.35, 0.0)):
        alone = sample(apply(model, weight=weight), batch=3)
        assert difference(batch[number], alone[number]) < SAMPLING


@pytest.mark.parametrize("published", ["context_window", "ad_params"])
def test_windows_take_their_own_references(models, apply, tiny, sample, published):
    """A window of frames 2 and 0 looks like frames 2 and 0 of the whole."""
    from types import SimpleNamespace

    model, output = models("sd15"), tiny.features(5, 3)
    settings = {"clip_vision_output": output, "batch": "one for each picture"}
    patched = apply(model, frame_weights="1, 0.5, 0.2", **settings)
    windowed = patched.clone()
    window = {
        "context_window": SimpleNamespace(dim=0, index_list=[2, 0]),
        "ad_params": {"sub_idxs": [2, 0]},
    }[published]
    windowed.model_options["transformer_options"][published] = window
    chosen = tiny.features(5, 3)
    for key in ("image_embeds", "penultimate_hidden_states"):
        chosen[key] = output[key][[2, 0]]
    expected = apply(model, frame_weights="0.2, 1", **settings | {"clip_vision_output": chosen})
    assert difference(sample(windowed, batch=2), sample(expected, batch=2)) < SAMPLING


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1, x", "no number at entry 2"),
        ("0:1, 5:0 fast", "unknown easing 'fast' at entry 2"),
        ("0:1, 1e300:0", r"the time 1e\+300 at entry 2.*use 0 to 99999"),
        ("0:nan", "no number at entry 1"),
        ("inf", "no number at entry 1"),
    ],
)
def test_frame_weights_that_do_not_parse_are_refused(models, apply, text, words):
    with pytest.raises(ValueError, match=f"'frame_weights' has.*{words}"):
        apply(models("sd15"), frame_weights=text)


def test_long_schedules_are_not_evaluated_while_a_prompt_is_checked(pack):
    schedule = pack.nodes.apply.frame_weights
    many = ", ".join(f"{frame}:1" for frame in range(5000))
    started = time.perf_counter()
    for text in ("0:1, 99999:0", "0:1, 1000000:0", "0:1, 1e300:0", many, "9" * 50_000):
        schedule.frame_weights_problem(text)
    assert time.perf_counter() - started < 1
    assert schedule.frame_weights("0:1, 99999:0")[-1] == 0


def test_a_schedule_too_long_for_its_mask_is_refused(models, apply):
    with pytest.raises(ValueError, match=r"100000 frames, .* 'attn_mask' of 64 x 64 pixels"):
        apply(models("sd15"), frame_weights="0:1, 99999:0", attn_mask=torch.ones(1, 64, 64))


def test_a_map_of_another_model_is_refused(models, apply, weight_map):
    with pytest.raises(
        ValueError, match="weight map is for a model with 11 blocks, this one has 16"
    ):
        apply(models("sd15"), weight_map=weight_map(models("sdxl")))


def test_many_frames_keep_their_tokens_alone(models, adapters, pack, capsys):
    """800 frames: what stays is one set of tokens each, not keys and values of every layer."""
    core, (adapter, _) = pack.nodes.apply.keys, adapters("ip-adapter_sd15")
    sizes = {}
    for count in (200, 800):
        features = torch.randn(count, 1024, generator=torch.Generator().manual_seed(3))
        recorded = core.References.of(features, "image_embeds")
        values = core.keys_for(models("sd15"), adapter, recorded, None, by_frame=True).values
        sizes[count] = values.bytes
        embeds = features.numel() * 4
    with capsys.disabled():
        remaining, inputs = sizes[800] / 1e6, embeds / 1e6
        sys.stdout.write(
            f"\n800 frames keep {remaining:.1f} MB of tokens beside {inputs:.1f} MB of embeds\n"
        )
    assert sizes[800] < 4 * sizes[200]  # and nothing that grows faster
    assert sizes[800] <= (800 + 1) * 4 * 768 * 4  # four tokens each


def test_a_mask_of_zeros_is_said_once(models, apply, caplog):
    apply(models("sd15"), attn_mask=torch.zeros(1, 4, 4))
    (warning,) = caplog.messages
    assert "'attn_mask' is black everywhere" in warning


@pytest.mark.parametrize("mask", [None, torch.ones(1, 4, 4)], ids=["no mask", "white mask"])
def test_frame_weights_of_zero_do_not_blame_the_mask(
    models, adapters, embeds, nodes_by_id, caplog, mask
):
    (adapter, _), node = adapters("ip-adapter_sd15"), nodes_by_id["ApplyIPAdapter"]
    inputs = {"embeds": embeds(), "frame_weights": "0", "attn_mask": mask}
    output = node.execute(models("sd15"), adapter, **inputs)
    note = "Apply IPAdapter's 'frame_weights' are 0 throughout: the reference has no effect."
    assert (output.ui["text"], caplog.messages) == ((note,), [note])
