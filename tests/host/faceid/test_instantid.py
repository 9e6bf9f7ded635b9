"""InstantID: an adapter of raw identities, whose tokens reach a ControlNet."""

import importlib
from dataclasses import replace

import make_models
import pytest
import torch
from diffusers.loaders import UNet2DConditionLoadersMixin
from support.compare import difference
from support.faceid import FACEID, UNNORM
from support.tolerance import EFFECT, ENCODING

pytestmark = pytest.mark.host

KIND, SIZE = "InstantID", (8, 8)


@pytest.fixture
def instantid(pack, adapters):
    """An adapter of that shape and kind."""
    checkpoint = importlib.import_module(f"{pack.__name__}.ipadapter_core.adapter.checkpoint")
    adapter, tensors = adapters(UNNORM)
    return replace(adapter, spec=checkpoint.read_spec(tensors, KIND))


@pytest.fixture
def face(pack):
    """Raw identities, as antelopev2's recogniser makes them."""

    def embeds(count=1, recogniser="glintr100"):
        identities = 24 * torch.randn(count, 512, generator=torch.Generator().manual_seed(4))
        References = pack.nodes.sockets.References
        notes = {"recogniser": recogniser}
        return References({"face_identity": identities}, (1.0,) * count, notes=notes)

    return embeds


class NoLayers(torch.nn.Module, UNet2DConditionLoadersMixin):
    """What diffusers' loader needs of a UNet to make the projection alone."""


@pytest.fixture
def expected_tokens(adapters):
    """(raw identities [N, 512]) -> 16 tokens each, as diffusers computes them and as InstantID's
    authors do: its resampler on one identity as a sequence of one.
    """
    state = make_models.nested(adapters(UNNORM)[1])["image_proj"]
    project = NoLayers()._convert_ip_adapter_image_proj_to_diffusers(state, low_cpu_mem_usage=False)
    return lambda identities: project(identities[:, None]).flatten(0, -2)


@pytest.fixture
def controlled(tiny, models, sample):
    """(conditionings) -> what they sample with an untrained ControlNet of the host on both; and the
    texts that it is called with.
    """
    import comfy.cldm.cldm
    import comfy.controlnet

    config = dict(models("sdxl").model.model_config.unet_config)
    del config["out_channels"]
    config |= {"hint_channels": 3, "transformer_depth": list(config["transformer_depth"])}
    net = comfy.cldm.cldm.ControlNet(**config | {"dtype": torch.float32, "device": "cpu"})
    make_models.fill(net, torch.Generator().manual_seed(2))
    control = comfy.controlnet.ControlNet(net, load_device=torch.device("cpu"))
    control.set_cond_hint(torch.rand(1, 3, 64, 64), 0.5, (0.0, 1.0))
    texts = []
    net.register_forward_pre_hook(
        lambda _net, _args, inputs: texts.append(inputs["context"].clone()), with_kwargs=True
    )
    options = {"control": control, "control_apply_to_uncond": True}

    def run(conditionings):
        class Controlled(type(tiny.text("sdxl"))):
            def conds(self):
                return [
                    [[text, {**rest, **options}] for text, rest in side] for side in conditionings
                ]

        prompt = Controlled(**vars(tiny.text("sdxl")))
        return sample(models("sdxl"), prompt=prompt, size=SIZE, steps=1)

    return run, texts


def test_it_follows_raw_identities_as_its_twin_does(
    nodes_by_id, adapters, models, instantid, face, sample
):
    """The twin equals diffusers (test_faceid.py)."""
    apply = nodes_by_id["ApplyIPAdapter"].execute
    model = models("sdxl")
    followed = apply(model, instantid, embeds=face()).args[0]
    twin = apply(model, adapters(UNNORM)[0], embeds=face(recogniser="w600k_r50")).args[0]
    result = sample(followed, "sdxl", size=SIZE, steps=1)
    assert torch.equal(result, sample(twin, "sdxl", size=SIZE, steps=1))
    assert difference(result, sample(model, "sdxl", size=SIZE, steps=1)) > EFFECT
    with pytest.raises(ValueError, match="needs identities from the face recogniser glintr100"):
        apply(model, instantid, embeds=face(recogniser="w600k_r50"))


@pytest.mark.parametrize("count", [1, 2])
def test_a_controlnet_reads_the_tokens_in_place_of_the_text(
    nodes_by_id, tiny, instantid, face, controlled, expected_tokens, count
):
    run, texts = controlled
    sides = tiny.text("sdxl").conds()
    convert = nodes_by_id["FaceTokensToControlNet"].execute
    converted = convert(instantid, *sides, embeds=face(count)).args
    expected = [expected_tokens(face(count).single_feature), expected_tokens(torch.zeros(1, 512))]
    for before, after, tokens in zip(sides, converted, expected, strict=True):
        ((text, options),), ((old_text, old_options),) = after, before
        assert text is old_text and "cross_attn_controlnet" not in old_options
        assert options == {**old_options, "cross_attn_controlnet": options["cross_attn_controlnet"]}
        found = options["cross_attn_controlnet"]
        assert found.shape == (1, len(tokens), 2048) and len(tokens) in (16, 16 * count)
        torch.testing.assert_close(found, tokens[None], atol=ENCODING, rtol=0)
    result = run(converted)
    rows = torch.cat(texts)
    texts.clear()
    tokens = [side.repeat(16 * count // len(side), 1) for side in expected]
    assert len(rows) == 2 and all(
        min(float((row - side).abs().max()) for row in rows) < ENCODING for side in tokens
    )
    with_text = run(sides)
    assert torch.cat(texts).shape[1] == 77
    assert difference(result, with_text) > EFFECT


def test_faces_averaged_before_are_one_face(nodes_by_id, tiny, instantid, face, expected_tokens):
    """As ComfyUI_InstantID has several pictures of one person."""
    combine = nodes_by_id["CombineIPAdapterEmbeds"].execute
    parts = face(1), face(3)
    references = dict(zip(("embeds0", "embeds1"), parts, strict=True))
    (embeds,) = combine(references, "average", "before").args
    convert, sides = nodes_by_id["FaceTokensToControlNet"].execute, tiny.text("sdxl").conds()
    positive, _ = convert(instantid, *sides, embeds=embeds).args
    mean = torch.cat([part.single_feature for part in parts]).mean(0, keepdim=True)
    tokens = positive[0][1]["cross_attn_controlnet"]
    torch.testing.assert_close(tokens[0], expected_tokens(mean), atol=ENCODING, rtol=0)


def test_other_adapters_and_missing_faces_are_one_sentence(
    nodes_by_id, adapters, tiny, instantid, face, models_folder
):
    convert, sides = nodes_by_id["FaceTokensToControlNet"].execute, tiny.text("sdxl").conds()
    with pytest.raises(ValueError, match=r"FaceID.*, whose tokens no ControlNet reads: connect an"):
        convert(adapters(FACEID)[0], *sides, embeds=face())
    with pytest.raises(ValueError, match="Face Tokens to ControlNet has no reference: connect"):
        convert(instantid, *sides)
    with pytest.raises(ValueError, match="needs the face recogniser glintr100, but none is inst"):
        convert(instantid, *sides, image=torch.zeros(1, 8, 8, 3))
    with pytest.raises(ValueError, match="'negative' got a list: connect an output of type COND"):
        convert(instantid, sides[0], [1], embeds=face())
