"""The FLUX.1 nodes of x-flux-comfyui and ComfyUI-IPAdapter-Flux: their numbers."""

import json
from pathlib import Path

import make_flux
import make_models
import pytest
import torch
from support.compare import difference
from support.encoders import SHALLOW_ENCODER
from support.instantx import WEIGHT, processors
from support.tolerance import EFFECT, FLUX

pytestmark = pytest.mark.host

# block_strengths(0.2, 1, curve, 19), as XLabs' own functions gave them
STRENGTHS = {
    "Linear": {0: 0.2, 1: 0.24444, 9: 0.6, 18: 1.0},
    "First half": {0: 0.2, 1: 0.3, 7: 0.9, 8: 1.0, 18: 1.0},
    "Second half": {0: 0.2, 10: 0.2, 11: 0.3, 17: 0.9, 18: 1.0},
    "Sigmoid": {0: -0.18561, 6: -0.05089, 9: 0.15805, 18: 0.57828},
}


@pytest.fixture(scope="module")
def encoder_of(host):
    """(config, what the weights are drawn by) -> the host's own encoder with random weights."""
    import comfy.clip_vision

    def make(config, name):
        encoder = comfy.clip_vision.ClipVisionModel(config)
        make_models.fill(encoder.model, make_models.generator(name, 1))
        encoder.model.float()
        return encoder

    return make


@pytest.fixture(scope="module")
def clip_l(encoder_of):
    return encoder_of({**SHALLOW_ENCODER, "hidden_size": 1024, "projection_dim": 768}, "clip l")


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 30, 40, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def run_xlabs(pack, model, xlabs, clip_l, run_old):
    """(id, images, settings) -> the model with XLabs' adapter on it, as an old node applies it."""
    link = pack.nodes.legacy.ids.flux_nodes.FluxAdapter(xlabs[0], clip_l)

    def run(node_id, images, **settings):
        links = {"model": model, "ip_adapter_flux": link, "image": images}
        return run_old(node_id, **links, **settings)[0]

    return run


@pytest.fixture
def adapted_twin(flux, model, xlabs):
    """(count, scale) -> diffusers' transformer with XLabs' adapter so many times."""

    def make(count, scale):
        transformer = flux.twin(model)
        flux.load_adapters(transformer, [xlabs[1]] * count, scale)
        return transformer

    return make


@pytest.fixture
def sides(encode, clip_l, images):
    """For each image the embeds of a black one and its own, as diffusers takes them."""
    embeds = encode.encode(clip_l, images, "crop").image_embeds
    (black,) = encode.encode(clip_l, torch.zeros(1, 224, 224, 3), "crop").image_embeds.split(1)
    return [(black, each) for each in embeds.split(1)]


@pytest.mark.parametrize("count", [1, 2])
def test_xlabs_apply_equals_the_mean_of_diffusers_adapters(
    flux, flux_calls, run_xlabs, adapted_twin, images, sides, count
):
    changed = run_xlabs("ApplyFluxIPAdapter", images[:count], ip_scale=0.8)
    transformer = adapted_twin(count, 0.8 / count)
    for call in flux_calls(changed, cfg=3.0):
        expected = flux.diffusers_output(transformer, call, sides[:count])
        assert difference(call.out, expected) <= FLUX


def test_xlabs_advanced_apply_equals_diffusers_with_a_scale_for_each_block(
    flux, flux_calls, run_xlabs, adapted_twin, images, sides
):
    strengths = {"begin_strength": -0.3, "end_strength": 1.2}
    settings = {"smothing_type": "Linear", **strengths}
    changed = run_xlabs("ApplyAdvancedFluxIPAdapter", images, **settings)
    transformer = adapted_twin(1, 1.0)
    for block, scale in zip(transformer.transformer_blocks, strengths.values(), strict=True):
        block.attn.processor.scale = [scale]
    averaged = sides[0][0], torch.cat([own for _, own in sides]).mean(0, keepdim=True)
    for call in flux_calls(changed, cfg=3.0):
        assert difference(call.out, flux.diffusers_output(transformer, call, [averaged])) <= FLUX


@pytest.mark.parametrize("curve", STRENGTHS)
def test_the_strength_of_each_block_is_that_of_xlabs(pack, curve):
    strengths = pack.nodes.legacy.ids.flux_nodes.block_strengths(0.2, 1.0, curve, 19)
    assert len(strengths) == 19
    for number, strength in STRENGTHS[curve].items():
        assert strengths[number] == pytest.approx(strength, abs=1e-5)


@pytest.fixture
def siglip(encoder_of, own_encoders):
    """The host's encoder two layers deep, and the pooling head in an installed file."""
    import comfy.clip_vision

    folder = Path(comfy.clip_vision.__file__).parent
    config = json.loads((folder / "clip_vision_siglip_384.json").read_text())
    head = {"vision_model.embeddings.position_embedding.weight": (729, 1152)}
    head |= make_flux.siglip_head_layout(1152, 4304)
    tensors = make_models.draw(head, make_models.generator("siglip", 0))
    make_models.save(own_encoders / "siglip.safetensors", tensors)
    return encoder_of({**config, "num_hidden_layers": 2, "intermediate_size": 64}, "siglip")


@pytest.fixture
def run_shakker_labs(pack, model, instantx, siglip, images, run_old):
    """settings -> the model with InstantX's adapter on it, as the old node applies it."""
    link = pack.nodes.legacy.ids.flux_nodes.FluxAdapter(instantx[0], siglip)
    links = {"model": model, "ipadapter_flux": link, "image": images}  # takes the first alone
    return lambda **settings: run_old("ApplyIPAdapterFlux", weight=WEIGHT, **links, **settings)[0]


@pytest.fixture
def stretched(pack, encode, instantx, siglip, images):
    """What SigLIP's pooling head gives for the first image, stretched to a square."""
    output = encode.encode(siglip, images[:1], "stretch")
    return pack.nodes.references.siglip.pooled_output(output, instantx[0])


def test_a_range_that_ends_before_it_starts_is_said_of_its_node(run_shakker_labs, caplog):
    run_shakker_labs(start_percent=0.8, end_percent=0.2)
    warnings = [record.getMessage() for record in caplog.records if record.name == "ipadapter"]
    assert warnings == [
        "Apply IPAdapter Flux Model (InstantX)'s 'start_percent' (0.8) is after its 'end_percent' "
        "(0.2): the reference has no effect."
    ]


def test_shakker_labs_apply_equals_its_formula_on_both_sides(
    flux, model, flux_calls, run_shakker_labs, stretched
):
    transformer = flux.twin(model)
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    for block, processor in zip(blocks, processors(flux, stretched), strict=True):
        block.attn.set_processor(processor)
    calls, plain_calls = flux_calls(run_shakker_labs(), cfg=3.0), flux_calls(model, cfg=3.0)
    assert (calls[0].out - plain_calls[0].out).abs().amax((1, 2, 3)).min() > EFFECT
    for call in calls:
        assert difference(call.out, flux.diffusers_output(transformer, call)) <= FLUX


def test_shakker_labs_percents_are_those_of_the_sampling(model, flux_calls, run_shakker_labs):
    late = run_shakker_labs(start_percent=0.6, end_percent=1.0)
    pairs = list(zip(flux_calls(late, steps=4), flux_calls(model, steps=4), strict=True))
    start = model.get_model_object("model_sampling").percent_to_sigma(0.6)
    is_active = [bool(call.timesteps[0] <= start) for call, _ in pairs]
    assert set(is_active) == {False, True}
    first = is_active.index(True)
    assert all(torch.equal(call.out, plain.out) for call, plain in pairs[:first])
    assert not torch.equal(pairs[first][0].out, pairs[first][1].out)


def test_a_link_of_another_pack_is_refused_in_one_sentence(model, images, run_old):
    with pytest.raises(ValueError, match=r"Apply Flux IPAdapter .* adapter from another pack: "):
        run_old("ApplyFluxIPAdapter", model=model, ip_adapter_flux={}, image=images, ip_scale=1.0)


@pytest.mark.parametrize(
    ("node_id", "preset"),
    [
        ("IPAdapterUnifiedLoader", "PLUS (high strength)"),
        ("IPAdapterUnifiedLoaderCommunity", "Composition"),
        ("IPAdapterUnifiedLoaderFaceID", "FACEID"),
    ],
)
def test_presets_of_unets_are_refused_for_flux(nodes_by_id, model, node_id, preset):
    with pytest.raises(ValueError, match=r"does not fit this model: .* for FLUX\.1; choose"):
        nodes_by_id[node_id]().load_models(model, preset)
