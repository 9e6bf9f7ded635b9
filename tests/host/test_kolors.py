"""Kolors: SDXL's UNet with another text, which adapters for SDXL do not fit, nor the other way."""

import adapter_layouts
import make_models
import pytest
import torch
from support.compare import difference
from support.encoders import shallow_encoder_336
from support.model_files import adapter, encoder_header
from support.plus_formula import block_table, embeds_inputs
from support.tolerance import EFFECT, SAMPLING

pytestmark = pytest.mark.host

PLUS, XL = "Kolors-IP-Adapter-Plus", "ip-adapter_sdxl_vit-h"
XL_PLUS = "ip-adapter-plus_sdxl_vit-h"


@pytest.fixture(scope="module")
def kolors(tiny):
    return tiny.model("kolors")


@pytest.fixture
def model_named(kolors, models):
    return lambda kind: kolors if kind == "kolors" else models(kind)


def kolors_features(tiny, seed=5):
    return tiny.features(seed, hidden=1024, projection=768, tokens=577)


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        (XL, "kolors", "is for SDXL .* but the model is Kolors"),
        (PLUS, "sdxl", "is for Kolors .* but the model is SDXL"),
        (PLUS, "sd15", "is for Kolors .* but the model is SD1.5"),
    ],
)
def test_an_adapter_for_another_text_is_refused(
    nodes_by_id, adapters, model_named, tiny, name, kind, sentence
):
    features = kolors_features(tiny) if name == PLUS else tiny.features()
    node, inputs = nodes_by_id["ApplyIPAdapter"], {"clip_vision_output": features}
    inputs["clip_vision_output_negative"] = features
    with pytest.raises(ValueError, match=sentence):
        node.execute(model_named(kind), adapters(name)[0], **inputs)


def test_kolors_is_known_without_its_projection_of_the_text(pack, kolors):
    """Some packs project the text before the model."""
    unet = kolors.model.diffusion_model
    projection = unet._modules.pop("encoder_hid_proj")
    try:
        assert pack.nodes.sampling.layers.base_model(kolors) == "Kolors"
    finally:
        unet._modules["encoder_hid_proj"] = projection


def test_features_of_the_encoder_at_224_pixels_are_refused(nodes_by_id, adapters, kolors, tiny):
    features = tiny.features(hidden=1024, projection=768)
    with pytest.raises(ValueError, match=r"needs CLIP ViT-L/14-336, but .* by CLIP ViT-L/14:"):
        nodes_by_id["ApplyIPAdapter"].execute(
            kolors, adapters(PLUS)[0], clip_vision_output=features
        )


def test_features_at_336_pixels_are_named_where_another_encoder_is_needed(
    nodes_by_id, adapters, models, tiny
):
    with pytest.raises(ValueError, match=r"needs CLIP ViT-H/14, but .* by CLIP ViT-L/14-336:"):
        nodes_by_id["ApplyIPAdapter"].execute(
            models("sdxl"), adapters(XL)[0], clip_vision_output=kolors_features(tiny)
        )


@pytest.fixture
def encoder_336(host, tmp_path):
    return shallow_encoder_336(tmp_path)


def test_a_picture_acts_and_zero_pixels_are_its_negative(
    nodes_by_id, adapters, kolors, sample, tiny, encode, encoder_336
):
    node, model, loaded = nodes_by_id["ApplyIPAdapter"], kolors, adapters(PLUS)[0]
    image = torch.rand(1, 40, 40, 3, generator=torch.Generator().manual_seed(3))
    settings = {"steps": 1, "cfg": 3.0}
    (patched,) = node.execute(model, loaded, encoder_336, image, weight=0.7).args
    result = sample(patched, "kolors", **settings)
    plain = sample(model, "kolors", **settings)
    assert (result - plain).abs().max() > EFFECT * (plain.max() - plain.min())
    given = {
        "clip_vision_output": encode.encode(encoder_336, image, "crop"),
        "clip_vision_output_negative": encode.encode_zeros(encoder_336),
    }
    (same,) = node.execute(model, loaded, weight=0.7, **given).args
    assert torch.equal(sample(same, "kolors", **settings), result)


@pytest.fixture
def folder(tmp_path, host, monkeypatch):
    import folder_paths

    for kind in ("clip_vision", "ipadapter"):
        (tmp_path / kind).mkdir()
        paths = [str(tmp_path / kind)], folder_paths.supported_pt_extensions
        monkeypatch.setitem(folder_paths.folder_names_and_paths, kind, paths)
        monkeypatch.delitem(folder_paths.filename_list_cache, kind, raising=False)
    for name, kind in {"small.safetensors": "l", "large.safetensors": "l336"}.items():
        make_models.save(tmp_path / "clip_vision" / name, encoder_header(kind))
    return tmp_path


def test_auto_takes_the_encoder_at_336_pixels(folder, pack, adapters):
    files = pack.nodes.files.load.installed_encoders(adapters(PLUS)[0].spec)
    assert files == ["large.safetensors"]
    old_files = pack.nodes.legacy.ids.installed_files
    for encoder, file in {"CLIP ViT-L/14-336": "large", "CLIP ViT-L/14": "small"}.items():
        assert old_files.installed_encoders(encoder) == [f"{file}.safetensors"]


@pytest.mark.parametrize("name", ["ip_adapter_plus_general.bin", "Kolors-IP-Adapter-Plus.bin"])
def test_a_missing_file_is_not_answered_with_an_adapter_for_another_model(
    folder, nodes_by_id, pack, name
):
    for other in ("ip-adapter-plus.safetensors", "ip-adapter-plus_sd15.safetensors"):
        make_models.save(folder / "ipadapter" / other, adapter("ip-adapter-plus_sd15"))
    assert "nearest match" not in nodes_by_id["LoadIPAdapter"].validate_inputs(name)
    sentence = pack.nodes.legacy.ids.installed_files.validate_adapter(name)
    assert "nearest match" not in sentence
    assert "Kolors-IP-Adapter-Plus/resolve/main/ip_adapter_plus_general.bin" in sentence


def kolors_files(folder):
    """Both adapters for SDXL's UNet, and the encoder, all as headers over zeros."""
    for file, name in {"mine.safetensors": PLUS, "xl.safetensors": XL_PLUS}.items():
        shapes = adapter_layouts.layout(name, adapter_layouts.Base(2048, (8,) * 70))
        shapes = {key: shapes[key] for key in shapes if ".layers.3" not in key}
        zeros = {key: torch.zeros(shape, dtype=torch.float16) for key, shape in shapes.items()}
        make_models.save(folder / "ipadapter" / file, zeros)


def test_the_preset_finds_the_file_by_its_content_and_refuses_another_model(
    folder, nodes_by_id, kolors, models, pack, monkeypatch
):
    kolors_files(folder)
    loader = nodes_by_id["IPAdapterUnifiedLoaderCommunity"]()
    encoder = object()
    monkeypatch.setattr(pack.nodes.files.load, "_load_encoder", lambda name, path: encoder)
    model, pipe = loader.load_models(kolors, "Kolors")
    assert model is kolors
    assert pipe["ipadapter"]["file"] == "mine.safetensors"
    assert pipe["clipvision"] == {"file": "large.safetensors", "model": encoder}
    with pytest.raises(ValueError, match="it is for Kolors, and the model is SDXL"):
        loader.load_models(models("sdxl"), "Kolors")
    with pytest.raises(ValueError, match="no such adapter for Kolors"):
        nodes_by_id["IPAdapterUnifiedLoader"]().load_models(kolors, "PLUS (high strength)")
    with pytest.raises(ValueError, match="no such adapter for Kolors"):
        nodes_by_id["IPAdapterUnifiedLoaderFaceID"]().load_models(kolors, "FACEID")


def test_old_nodes_have_the_numbers_of_ipadapter_plus(
    kolors, adapters, run_old, sample, by_formula, tiny
):
    sides = [kolors_features(tiny, seed).penultimate_hidden_states for seed in (1, 2)]
    name = "style transfer precise"
    inputs = embeds_inputs(kolors, adapters(PLUS)[0], *sides, weight_type=name)
    patched = run_old("IPAdapterEmbeds", **inputs)[0]
    table = block_table("sdxl", name, 0.7, 0.7)
    expected = by_formula(kolors, "sdxl", *sides, name=PLUS, weights=table)
    result, expected = (sample(model, "kolors", steps=1) for model in (patched, expected))
    assert difference(result, expected) < SAMPLING
