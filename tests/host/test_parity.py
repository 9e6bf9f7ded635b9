"""Our model equals diffusers' UNet with the same weights, loaded by its own IP-Adapter loader."""

from functools import partial

import make_models
import pytest
import torch
from support.compare import difference
from support.tolerance import LARGE_EFFECT, SAMPLING
from support.unet_calls import unet_calls

pytestmark = pytest.mark.host

NAMES = [
    "ip-adapter_sd15",
    "ip-adapter-plus_sd15",
    "ip-adapter-full-face_sd15",
    "ip-adapter_sdxl_vit-h",
    "ip-adapter_sdxl",
    "ip-adapter-plus_sdxl_vit-h",
]
WEIGHT = 0.7


@pytest.fixture
def model_calls(tiny):
    return partial(unet_calls, tiny)


def reference(unet, call, prompt, embeds, masks=None):
    """diffusers' output for the rows of a call; embeds: one (negative, positive) pair per
    adapter.
    """
    rows = [0 if index == 1 else 1 for index in call.rows]
    batch = len(call.x) // len(rows)
    image = [
        torch.cat([pair[row].expand(batch, *pair[row].shape[1:]) for row in rows])
        for pair in embeds
    ]
    conditions = {"image_embeds": image}
    if call.y is not None:
        conditions["text_embeds"] = call.y[:, : prompt.pooled[0].shape[-1]]
        # the host embeds the six sizes before the UNet, diffusers inside it
        height, width = (8.0 * side for side in call.x.shape[-2:])
        sizes = torch.tensor([[height, width, 0, 0, height, width]])
        conditions["time_ids"] = sizes.expand(len(call.x), -1)
    masks = {"ip_adapter_masks": masks} if masks is not None else None
    return unet(
        call.x,
        call.timesteps,
        text_for(unet, call, prompt, rows),
        added_cond_kwargs=conditions,
        cross_attention_kwargs=masks,
    ).sample


def text_for(unet, call, prompt, rows):
    """The text of a call; for Kolors as it was before the model's own projection."""
    if getattr(unet, "text_encoder_hid_proj", None) is None:
        return call.context
    sides = [(prompt.negative, prompt.positive)[row] for row in rows]
    return torch.cat([side.expand(len(call.x) // len(rows), -1, -1) for side in sides])


def embeds_of(adapter, positive, negative):
    """(negative, positive) as diffusers wants them: [1, N, ...], negative repeated to N."""
    key = adapter.spec.clip_input.name
    pos = getattr(positive, key)[None]
    neg = torch.zeros_like(pos) if negative is None else getattr(negative, key)[None].expand_as(pos)
    return neg, pos


def load(unet, *tensors, scale=WEIGHT):
    unet._load_ip_adapter_weights([make_models.nested(tensor) for tensor in tensors])
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [scale] * len(tensors)
    unet.requires_grad_(False)


def assert_same(result, expected):
    assert difference(result, expected) <= SAMPLING


def kind_of(name):
    return "sdxl" if "sdxl" in name else "sd15"


@pytest.fixture
def setting(request, models, adapters, tiny):
    kind = kind_of(request.param)
    return kind, models(kind), *adapters(request.param), tiny.text(kind)


def encoded(tiny, spec, seed, count=1):
    return tiny.features(seed, count, projection=1280 if "bigG" in spec.encoder else 1024)


@pytest.mark.parametrize("setting", NAMES, indirect=True)
@pytest.mark.parametrize("count", [1, 3])
def test_output_equals_diffusers(setting, count, nodes_by_id, tiny, model_calls):
    kind, model, adapter, tensors, prompt = setting
    positive = encoded(tiny, adapter.spec, 5, count)
    negative = encoded(tiny, adapter.spec, 6)
    base = adapter.spec.kind == "base"
    (patched,) = (
        nodes_by_id["ApplyIPAdapter"]
        .execute(
            model,
            adapter,
            clip_vision_output=positive,
            clip_vision_output_negative=None if base else negative,
            weight=WEIGHT,
        )
        .args
    )
    unet = tiny.twin(kind, model)
    load(unet, tensors)
    pair = embeds_of(adapter, positive, None if base else negative)
    plain = [call.out for call in model_calls(model, prompt)]
    assert plain
    for call, without in zip(model_calls(patched, prompt), plain, strict=True):
        expected = reference(unet, call, prompt, [pair])
        assert_same(call.out, expected)
        assert difference(without, expected) > LARGE_EFFECT


@pytest.mark.parametrize(
    "setting", ["ip-adapter-plus_sd15", "ip-adapter_sdxl_vit-h"], indirect=True
)
@pytest.mark.parametrize("size", [(24, 16), (26, 18)], ids=["even", "odd"])
def test_two_adapters_equal_diffusers(setting, size, nodes_by_id, adapters, tiny, model_calls):
    kind, model, first, tensors, prompt = setting
    another = {"sd15": "ip-adapter_sd15", "sdxl": "ip-adapter-plus_sdxl_vit-h"}[kind]
    second, options = adapters(another, 1)
    patched, pairs = model, []
    for adapter, seed in ((first, 5), (second, 8)):
        positive, negative = (
            encoded(tiny, adapter.spec, seed),
            encoded(tiny, adapter.spec, seed + 1),
        )
        negative = None if adapter.spec.kind == "base" else negative
        (patched,) = (
            nodes_by_id["ApplyIPAdapter"]
            .execute(
                patched,
                adapter,
                clip_vision_output=positive,
                clip_vision_output_negative=negative,
                weight=WEIGHT,
            )
            .args
        )
        pairs.append(embeds_of(adapter, positive, negative))
    unet = tiny.twin(kind, model)
    load(unet, tensors, options)
    calls = model_calls(patched, prompt, size=size, batch=3)
    assert calls
    for call in calls:
        assert_same(call.out, reference(unet, call, prompt, pairs))


@pytest.mark.parametrize(
    "setting", ["ip-adapter_sd15", "ip-adapter-plus_sdxl_vit-h"], indirect=True
)
def test_half_mask_equals_diffusers(setting, nodes_by_id, tiny, model_calls):
    kind, model, adapter, tensors, prompt = setting
    positive, negative = encoded(tiny, adapter.spec, 5), encoded(tiny, adapter.spec, 6)
    negative = None if adapter.spec.kind == "base" else negative
    # Its edge lies between two tokens at every resolution, where the two resampling filters agree.
    mask = torch.zeros(1, 192, 128)
    mask[:, :, :64] = 1
    (patched,) = (
        nodes_by_id["ApplyIPAdapter"]
        .execute(
            model,
            adapter,
            clip_vision_output=positive,
            clip_vision_output_negative=negative,
            weight=WEIGHT,
            attn_mask=mask,
        )
        .args
    )
    unet = tiny.twin(kind, model)
    load(unet, tensors)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [[WEIGHT]]  # with masks, one scale for each image
    pair = embeds_of(adapter, positive, negative)
    calls = model_calls(patched, prompt)
    assert calls
    for call in calls:
        assert_same(call.out, reference(unet, call, prompt, [pair], masks=[mask[None]]))


class GivenTokens(torch.nn.Module):
    """In place of the projection, whose equality at full size is in tests/core."""

    def forward(self, image_embeds):
        return image_embeds


def test_kolors_equals_diffusers(nodes_by_id, adapters, tiny, model_calls):
    """Text and pooled text as wide as ChatGLM3's, brought to SDXL's width by the model itself."""
    model, prompt = tiny.model("kolors"), tiny.text("kolors")
    adapter, tensors = adapters("Kolors-IP-Adapter-Plus")
    sides = [tiny.features(seed, 2, hidden=1024, projection=768, tokens=577) for seed in (5, 6)]
    outputs = dict(zip(("clip_vision_output", "clip_vision_output_negative"), sides, strict=True))
    node = nodes_by_id["ApplyIPAdapter"]
    (patched,) = node.execute(model, adapter, **outputs, weight=WEIGHT).args
    unet = tiny.twin("kolors", model)
    state = make_models.nested(tensors)
    unet.set_attn_processor(
        unet._convert_ip_adapter_attn_to_diffusers([state], low_cpu_mem_usage=False)
    )
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [WEIGHT]
    unet.text_encoder_hid_proj, unet.encoder_hid_proj = unet.encoder_hid_proj, GivenTokens()
    unet.config.encoder_hid_dim_type = "ip_image_proj"
    positive, negative = (
        adapter.patcher.model.project(side.penultimate_hidden_states)[None] for side in sides
    )
    plain = [call.out for call in model_calls(model, prompt)]
    assert plain
    for call, without in zip(model_calls(patched, prompt), plain, strict=True):
        expected = reference(unet, call, prompt, [(negative, positive)])
        assert_same(call.out, expected)
        assert difference(without, expected) > LARGE_EFFECT
