"""The FaceID presets of old graphs: adapter, encoder and LoRA found by what they hold."""

import adapter_layouts
import make_models
import pytest
import torch
from support.compare import difference
from support.faceid import lora_of
from support.tolerance import EFFECT

pytestmark = pytest.mark.host

FACEID = "ip-adapter-faceid_sd15"
PLUS_V2 = "ip-adapter-faceid-plusv2_sd15"
PORTRAIT = "ip-adapter-faceid-portrait_sd15"
PARTS = {
    FACEID: (adapter_layouts.face_id, adapter_layouts.lora),
    PLUS_V2: (adapter_layouts.face_id_plus, adapter_layouts.lora),
    PORTRAIT: (adapter_layouts.portrait, None),
}
LOADER = "IPAdapterUnifiedLoaderFaceID"


def adapter_of(tiny, published):
    base = tiny.SMALL["sd15"]
    projection, lora = PARTS[published]
    layout = adapter_layouts.adapter(base, projection(base), lora and lora(base))
    return make_models.draw(layout, make_models.generator(published, 0))


@pytest.fixture
def folder(tmp_path, monkeypatch, host):
    """Empty folders for adapters and LoRAs, and what puts a file there."""
    import folder_paths

    for name in ("ipadapter", "loras"):
        (tmp_path / name).mkdir()
        where = ([str(tmp_path / name)], folder_paths.supported_pt_extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, where)
    folder_paths.filename_list_cache.clear()
    yield lambda name, tensors: make_models.save(tmp_path / name, tensors)
    folder_paths.filename_list_cache.clear()


@pytest.fixture
def load(nodes_by_id, models):
    def run(preset, strength=0.6):
        return nodes_by_id[LOADER]().load_models(models("sd15"), preset, strength)

    return run


@pytest.mark.parametrize(("preset", "published"), [("FACEID", FACEID), ("FACEID PLUS V2", PLUS_V2)])
def test_presets_find_adapter_and_lora_by_content(
    folder, load, models, sample, tiny, nodes_by_id, caplog, preset, published
):
    folder("ipadapter/my face.bin", adapter_of(tiny, published))
    folder("ipadapter/another.safetensors", adapter_of(tiny, PORTRAIT))
    folder("loras/mine.safetensors", lora_of(models("sd15")))
    folder("loras/style.safetensors", {"lora_unet_x.lora_down.weight": torch.zeros(4, 8)})
    caplog.set_level("INFO", "ipadapter")
    model, pipe = load(preset)
    assert "takes 'my face.bin' with 'mine.safetensors'" in caplog.text
    assert pipe["ipadapter"]["file"] == "my face.bin"
    by_host = nodes_by_id["LoraLoaderModelOnly"]().load_lora_model_only
    (expected,) = by_host(models("sd15"), "mine.safetensors", 0.6)
    found = sample(model, "sd15", steps=1)
    assert torch.equal(found, sample(expected, "sd15", steps=1))
    assert difference(found, sample(models("sd15"), "sd15", steps=1)) > EFFECT


def test_without_a_lora_of_its_own_the_adapters_serves(folder, load, models, tiny):
    folder("ipadapter/my face.bin", adapter_of(tiny, FACEID))
    model, pipe = load("FACEID", 0.6)
    assert pipe["ipadapter"]["model"].spec.kind == "FaceID"
    assert {tuple(strength for strength, *_ in patches) for patches in model.patches.values()} == {
        (0.6,)
    }
    plain, _ = load("FACEID", 0.0)
    assert plain is models("sd15")


def test_only_a_name_tells_plus_from_plus_v2(folder, load, models, tiny):
    tensors, lora = adapter_of(tiny, PLUS_V2), lora_of(models("sd15"))
    for name in ("faceid plus.bin", "FaceID-PlusV2.bin"):
        folder(f"ipadapter/{name}", tensors)
        folder(f"loras/{name.replace('.bin', '.safetensors')}", lora)
    for preset, name in (
        ("FACEID PLUS - SD1.5 only", "faceid plus.bin"),
        ("FACEID PLUS V2", "FaceID-PlusV2.bin"),
    ):
        assert load(preset)[1]["ipadapter"]["file"] == name


def test_what_is_missing_is_named_with_folder_and_link(folder, load, tmp_path):
    with pytest.raises(ValueError, match="needs an adapter of the same kind as") as missing:
        load("FACEID")
    assert f"none in '{tmp_path / 'ipadapter'}'" in str(missing.value)
    assert "resolve/main/ip-adapter-faceid_sd15.bin" in str(missing.value)
    with pytest.raises(ValueError, match=r"no such adapter for SD1\.5"):
        load("FACEID PORTRAIT UNNORM - SDXL only (strong)")
