"""Each projection equals diffusers', loaded from the same file at full size."""

import adapter_layouts
import make_models
import pytest
import torch
from diffusers.loaders.transformer_sd3 import SD3Transformer2DLoadersMixin
from diffusers.loaders.unet import UNet2DConditionLoadersMixin
from support.tolerance import ENCODING

from ipadapter_core.adapter import module
from ipadapter_core.attention import keys
from ipadapter_core.attention.timed_keys import TimedKeys
from ipadapter_core.references.embeds import References

TOLERANCE = {"atol": ENCODING, "rtol": 0}
FEATURES = {  # published name -> what the encoder gives it, odd and unequal where free
    "ip-adapter_sd15": (3, 1024),
    "ip-adapter_sd15_vit-G": (3, 1280),
    "ip-adapter-plus_sd15": (2, 257, 1280),
    "ip-adapter-full-face_sd15": (2, 257, 1280),
    "ip-adapter_sdxl": (3, 1280),
    "ip-adapter_sdxl_vit-h": (3, 1024),
    "ip-adapter-plus_sdxl_vit-h": (2, 257, 1280),
    "Kolors-IP-Adapter-Plus": (2, 577, 1024),
}


class NoLayers(torch.nn.Module, UNet2DConditionLoadersMixin):
    """What diffusers' loader needs of a UNet to make the projection alone."""


class NoBlocks(torch.nn.Module, SD3Transformer2DLoadersMixin):
    """The same for a transformer."""


def projection_only(name, twin_kind=None):
    """Random weights of the projection at full size, and of one small layer."""
    tensors = make_models.adapter_tensors(name, one_layer(name), dtype=torch.float32)
    return tensors, module.build(tensors, torch.nn, twin_kind)


def one_layer(name):
    has_wide_text = "sdxl" in name or "Kolors" in name
    return adapter_layouts.Base(2048 if has_wide_text else 768, (24,))


@pytest.mark.parametrize("name", FEATURES)
def test_projection_equals_diffusers(name):
    tensors, ours = projection_only(name)
    state = make_models.nested(tensors)["image_proj"]
    theirs = NoLayers()._convert_ip_adapter_image_proj_to_diffusers(state, low_cpu_mem_usage=False)
    features = torch.randn(FEATURES[name], generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected, result = theirs(features), ours.project(features)
    assert result.shape[-1] == one_layer(name).text
    torch.testing.assert_close(result, expected.reshape(result.shape), **TOLERANCE)


IDENTITIES = [
    "ip-adapter-faceid_sd15",
    "ip-adapter-faceid-portrait_sd15",
    "ip-adapter-faceid_sdxl",
    "ip-adapter-faceid-portrait_sdxl",
    "ip-adapter-faceid-portrait_sdxl_unnorm",
]
FACE_PLUS = [  # name, kind, how much of the face's picture is added
    ("ip-adapter-faceid-plus_sd15", "FaceID plus", 1.0),
    ("ip-adapter-faceid-plusv2_sd15", "FaceID plus v2", 1.0),
    ("ip-adapter-faceid-plusv2_sd15", "FaceID plus v2", 0.3),
    ("ip-adapter-faceid-plusv2_sdxl", "FaceID plus v2", 1.0),
]


def faces(count, seed):
    """Embeddings of faces, [N, 512] of length 1, and of no face, as they are trained."""
    identities = torch.randn(count, 512, generator=torch.Generator().manual_seed(seed))
    identities = identities / identities.norm(dim=-1, keepdim=True)
    return torch.cat((identities, torch.zeros(1, 512)))


@pytest.mark.parametrize("name", IDENTITIES)
def test_an_identity_becomes_the_tokens_of_diffusers(name):
    tensors, ours = projection_only(name)
    state = make_models.nested(tensors)["image_proj"]
    theirs = NoLayers()._convert_ip_adapter_image_proj_to_diffusers(state, low_cpu_mem_usage=False)
    identities = faces(2, 8) * (24 if "unnorm" in name else 1)
    with torch.no_grad():
        # diffusers' loader takes the portrait without unit length for a plus adapter
        expected = theirs(identities[:, None] if "unnorm" in name else identities)
        result = ours.project(identities)
    assert result.shape == (3, ours.spec.projector.token_count, one_layer(name).text)
    torch.testing.assert_close(result, expected.reshape(result.shape), **TOLERANCE)


@pytest.mark.parametrize(("name", "kind", "structure"), FACE_PLUS)
def test_a_face_and_its_picture_become_the_tokens_of_diffusers(name, kind, structure):
    tensors, ours = projection_only(name, kind)
    state = make_models.nested(tensors)["image_proj"]
    theirs = NoLayers()._convert_ip_adapter_image_proj_to_diffusers(state, low_cpu_mem_usage=False)
    identities = faces(1, 9)
    hidden = torch.randn(2, 257, 1280, generator=torch.Generator().manual_seed(10))
    theirs.clip_embeds = hidden[None]
    theirs.shortcut, theirs.shortcut_scale = kind.endswith("v2"), structure
    with torch.no_grad():
        expected = theirs(identities)
        result = ours.project(identities, hidden, face_structure=structure)
        without = ours.project(identities, hidden, face_structure=0.0)
    torch.testing.assert_close(result, expected.reshape(result.shape), **TOLERANCE)
    assert torch.equal(without, result) == (not theirs.shortcut)


@pytest.mark.parametrize("timestep", [613.7])
def test_tokens_of_a_timestep_are_those_of_diffusers(sd35, timestep):
    ours, theirs = sd35
    features = torch.randn(2, 729, 1152, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected, _ = theirs(features, torch.tensor([timestep]))
        result = ours.at(timestep).project(features)
    assert result.shape == (2, 64, 2432)
    torch.testing.assert_close(result, expected, **TOLERANCE)


def test_another_timestep_asks_the_device_for_no_number(sd35):
    """On a device without numbers, which raises then: on a GPU each question waits for it."""
    spec, like = sd35[0].spec, {"device": "meta"}
    adapter = module.TimedAdapter(spec, torch.nn, **like)
    negative, positive = (
        References.of(torch.empty(1, 729, 1152, **like), spec.inputs[0].name) for _ in range(2)
    )
    head_norms = torch.empty(1, 2, 64, **like)
    timed_keys = TimedKeys(adapter, negative, positive, head_norms=head_norms)
    for timestep in (900.0, 100.0):
        assert timed_keys.select_at(timestep, ()).flat.device.type == "meta"


@pytest.fixture(scope="module")
def sd35():
    """The projection at full size with one layer behind it, here and in diffusers."""
    shapes = adapter_layouts.sd3(blocks=1)
    tensors = make_models.draw(shapes, make_models.generator("sd35", 0), torch.float32)
    state = make_models.nested(tensors)["image_proj"]
    convert = NoBlocks()._convert_ip_adapter_image_proj_to_diffusers
    return module.build(tensors, torch.nn), convert(state, low_cpu_mem_usage=False)


@pytest.mark.parametrize("name", ["ip-adapter-plus_sd15", "ip-adapter-full-face_sd15"])
def test_pictures_do_not_see_each_other(name):
    _, ours = projection_only(name)
    features = torch.randn(FEATURES[name], generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        together = ours.project(features)
        distance = torch.cat([ours.project(feature[None]) for feature in features])
    torch.testing.assert_close(together, distance, **TOLERANCE)


def test_keys_and_values_are_the_layers_own_projections():
    name = "ip-adapter_sdxl_vit-h"
    tensors = make_models.adapter_tensors(
        name, adapter_layouts.Base(2048, (24, 40, 8)), dtype=torch.float32
    )
    ours = module.build(tensors, torch.nn)
    tokens = torch.randn(2, 5, 2048, generator=torch.Generator().manual_seed(5))
    for number, (key, value) in zip((1, 3, 5), ours.keys_values(tokens), strict=True):
        for result, letter in ((key, "k"), (value, "v")):
            expected = tokens @ tensors[f"ip_adapter.{number}.to_{letter}_ip.weight"].T
            torch.testing.assert_close(result, expected, **TOLERANCE)


def test_negative_row_of_a_base_adapter_is_the_projection_of_zeros():
    _, ours = projection_only("ip-adapter_sd15")
    features = torch.randn(1, 1024, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        result = image_keys(ours, features, torch.zeros(1, 1024))
    (key, _) = result.layers()[0]
    assert not torch.equal(key[keys.NEGATIVE], key[keys.POSITIVE])
    assert key[keys.NEGATIVE].abs().max() > 0.1  # LayerNorm's bias, not nothing


def test_references_stand_side_by_side_and_the_negative_is_repeated():
    tensors, ours = projection_only("ip-adapter_sd15")
    source = torch.Generator().manual_seed(7)
    many, few = torch.randn(3, 1024, generator=source), torch.randn(2, 1024, generator=source)
    with torch.no_grad():
        result = image_keys(ours, many, few)
        tokens = ours.project(many).flatten(0, 1)
    assert result.tokens == 24  # 3 and 2 references of 4 tokens each
    (key, _) = result.layers()[0]
    expected = tokens @ tensors["ip_adapter.1.to_k_ip.weight"].T
    torch.testing.assert_close(key[keys.POSITIVE], expected.repeat(2, 1), **TOLERANCE)
    assert torch.equal(key[keys.NEGATIVE][:8], key[keys.NEGATIVE][8:16])


def image_keys(ours, positive, negative):
    sides = [References.of(side, ours.spec.clip_input.name) for side in (positive, negative)]
    return keys.image_keys(ours, *sides, torch.float32, "cpu")
