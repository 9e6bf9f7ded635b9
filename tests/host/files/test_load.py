"""Load IPAdapter on real files: any name, any container."""

import os

import adapter_layouts
import make_models
import psutil
import pytest
import safetensors.torch
import torch
from support.model_files import adapter

pytestmark = pytest.mark.host


@pytest.mark.parametrize(
    "name", ["ip-adapter_sd15", "ip-adapter-plus_sd15", "ip-adapter-full-face_sd15"]
)
def test_both_containers_give_the_same_adapter_under_any_name(folders, load, name):
    tensors = adapter(name)
    make_models.save(folders["ipadapter"] / "my favourite.safetensors", tensors)
    make_models.save(folders["more"] / "sub" / "ckpt_0042.bin", tensors)
    first, second = load("my favourite.safetensors"), load(os.path.join("sub", "ckpt_0042.bin"))
    assert first.spec == second.spec
    states = first.patcher.model.state_dict(), second.patcher.model.state_dict()
    assert states[0].keys() == tensors.keys()
    for key, value in tensors.items():
        assert torch.equal(states[0][key], value)
        assert torch.equal(states[1][key], value)


def test_a_safetensors_file_named_bin_loads_and_the_other_way_round(folders, load):
    tensors = adapter()
    safetensors.torch.save_file(tensors, folders["ipadapter"] / "a.bin")
    torch.save(make_models.nested(tensors), folders["ipadapter"] / "b.safetensors")
    assert load("a.bin").spec == load("b.safetensors").spec


def test_noobai_mark1_is_the_adapter_of_its_weights(folders, load):
    """float32, under the names of the training, with leftovers of the UNet."""
    base = adapter_layouts.Base(2048, (640, 1280))
    tensors = make_models.adapter_tensors("noobIPAMARK1_mark1", base, dtype=torch.float32)
    names = {"image_proj": "image_proj_model", "ip_adapter": "adapter_modules"}
    dump = {"unet.conv_in.weight": torch.zeros(3, 5)}
    for key, value in tensors.items():
        part, rest = key.split(".", 1)
        dump[f"{names[part]}.{rest}"] = value
    safetensors.torch.save_file(dump, folders["ipadapter"] / "noobIPAMARK1_mark1.safetensors")
    loaded = load("noobIPAMARK1_mark1.safetensors")
    description = "SDXL base, 4 tokens, needs CLIP ViT-bigG/14"
    assert str(loaded.spec.describe()) == description and not loaded.is_guess
    state = loaded.patcher.model.state_dict()
    assert state.keys() == tensors.keys()
    assert all(torch.equal(state[key], value) for key, value in tensors.items())


def test_the_faceid_adapter_for_kolors_is_known_under_any_name(folders, load):
    """As its authors saved it: the layers are called adapter_modules."""
    base = adapter_layouts.Base(2048, (8,) * 70, 128)
    tensors = make_models.adapter_tensors("Kolors-IP-Adapter-FaceID-Plus", base)
    parts = make_models.nested(tensors)
    parts["adapter_modules"] = parts.pop("ip_adapter")
    torch.save(parts, folders["ipadapter"] / "x.bin")
    loaded = load("x.bin")
    assert str(loaded.spec.describe()).startswith("Kolors FaceID plus, 6 tokens, needs the face r")
    state = loaded.patcher.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in tensors.items())


def test_layers_that_an_adapter_file_names_for_a_task_come_with_it(folders, load):
    metadata = {"layers.style": "10:1", "layers.composition": "4:1, 5:0.5", "about": "a test"}
    path = folders["ipadapter"] / "a.safetensors"
    safetensors.torch.save_file(adapter(), path, metadata)
    torch.save(make_models.nested(adapter()), folders["ipadapter"] / "b.bin")
    assert load("a.safetensors").layers_by_task == {"style": "10:1", "composition": "4:1, 5:0.5"}
    assert load("b.bin").layers_by_task == {}


@pytest.mark.parametrize("start", [b"\x80\x1a", b" <", b"PK"])
def test_a_safetensors_file_may_begin_with_any_length(folders, load, start):
    path = folders["ipadapter"] / "a.safetensors"
    content = safetensors.torch.save(adapter())
    length = int.from_bytes(content[:8], "little")
    expected = int.from_bytes(start, "little")
    header = content[8 : 8 + length].ljust(expected)  # the format allows spaces behind the header
    path.write_bytes(expected.to_bytes(8, "little") + header + content[8 + length :])
    assert load("a.safetensors").spec.kind == "base"


def test_a_file_from_before_torch_1_6_loads(folders, load):
    torch.save(
        make_models.nested(adapter()),
        folders["ipadapter"] / "old.bin",
        _use_new_zipfile_serialization=False,
    )
    assert load("old.bin").spec.kind == "base"


@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
def test_tensors_are_mapped_not_read(folders, load, name):
    path = make_models.save(folders["ipadapter"] / name, adapter())
    loaded = load(name)
    assert str(path) in {map.path for map in psutil.Process().memory_maps()}
    del loaded


def test_windows_slashes_in_a_saved_name_find_the_file(folders, load):
    make_models.save(folders["ipadapter"] / "sub" / "a.safetensors", adapter())
    assert load("sub\\a.safetensors").spec.kind == "base"


def test_the_list_shows_model_files_alone(folders, nodes_by_id):
    make_models.save(folders["more"] / "a.safetensors", adapter())
    (folders["ipadapter"] / "README.md").write_text("no model")
    options = nodes_by_id["LoadIPAdapter"].INPUT_TYPES()["required"]["ipadapter_file"][1]["options"]
    assert options == ["a.safetensors"]


def test_a_missing_file_is_said_with_folders_content_and_nearest_match(folders, nodes_by_id):
    make_models.save(folders["more"] / "ip-adapter-plus_sd15.safetensors", adapter())
    details = nodes_by_id["LoadIPAdapter"].validate_inputs("ip_adapter_plus_sd15.bin")
    for words in (
        str(folders["ipadapter"]),
        str(folders["more"]),
        "nearest match is 'ip-adapter-plus",
    ):
        assert words in details
    assert nodes_by_id["LoadIPAdapter"].validate_inputs("ip-adapter-plus_sd15.safetensors") is True


def test_a_changed_file_is_noticed(folders, nodes_by_id):
    node = nodes_by_id["LoadIPAdapter"]
    path = make_models.save(folders["ipadapter"] / "a.safetensors", adapter())
    before = node.fingerprint_inputs("a.safetensors")
    assert node.fingerprint_inputs("a.safetensors") == before
    os.utime(path, (1, 1))
    assert node.fingerprint_inputs("a.safetensors") != before
