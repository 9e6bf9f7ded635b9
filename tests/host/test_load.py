"""Load IPAdapter and Load CLIP Vision on real files: any name, any container; what is wrong is said
in one sentence.
"""

import json
import math
import os
import pickle
import struct
import zipfile

import adapter_layouts
import make_models
import psutil
import pytest
import safetensors.torch
import torch
from adapter_layouts import Base

pytestmark = pytest.mark.host

SMALL = Base(768, (8,) * 16)
ENCODERS = {"h": (32, 1280, 1024), "g": (48, 1664, 1280), "l": (24, 1024, 768)}


@pytest.fixture
def folders(host, tmp_path, monkeypatch):
    """Empty model folders of the host: two for adapters, one for encoders."""
    import folder_paths

    made = {name: tmp_path / name for name in ("ipadapter", "more", "clip_vision")}
    for folder in made.values():
        folder.mkdir()
    known = folder_paths.folder_names_and_paths
    extensions = folder_paths.supported_pt_extensions
    for kind, names in {
        "ipadapter": ("ipadapter", "more"),
        "clip_vision": ("clip_vision",),
    }.items():
        paths = [str(made[name]) for name in names]
        monkeypatch.setitem(known, kind, (paths, extensions))
        monkeypatch.delitem(folder_paths.filename_list_cache, kind, raising=False)
    return made


@pytest.fixture
def load(nodes_by_id):
    return lambda name: nodes_by_id["LoadIPAdapter"].execute(name).args[0]


def adapter(name="ip-adapter_sd15", base=SMALL):
    return make_models.adapter_tensors(name, base)


def encoder_header(kind, layout="transformers"):
    """The header of an encoder of that size, over a file of holes: nothing is stored."""
    depth, hidden, projection = ENCODERS[kind]
    if layout == "transformers":
        shapes = {
            "vision_model.embeddings.patch_embedding.weight": (hidden, 3, 14, 14),
            "visual_projection.weight": (projection, hidden),
        }
        layer = "vision_model.encoder.layers.{}.layer_norm1.weight"
    else:
        shapes = {"visual.conv1.weight": (hidden, 3, 14, 14), "visual.proj": (hidden, projection)}
        layer = "visual.transformer.resblocks.{}.ln_1.weight"
    shapes |= {layer.format(i): (hidden,) for i in range(depth)}
    return {key: torch.zeros(shape, dtype=torch.float16) for key, shape in shapes.items()}


@pytest.mark.parametrize(
    "name", ["ip-adapter_sd15", "ip-adapter-plus_sd15", "ip-adapter-full-face_sd15"]
)
def test_both_containers_give_the_same_adapter_under_any_name(folders, load, name):
    tensors = adapter(name)
    make_models.save(folders["ipadapter"] / "my favourite.safetensors", tensors)
    make_models.save(folders["more"] / "sub" / "ckpt_0042.bin", tensors)
    one, other = load("my favourite.safetensors"), load(os.path.join("sub", "ckpt_0042.bin"))
    assert one.spec == other.spec
    states = one.patcher.model.state_dict(), other.patcher.model.state_dict()
    assert states[0].keys() == tensors.keys()
    for key, value in tensors.items():
        assert torch.equal(states[0][key], value)
        assert torch.equal(states[1][key], value)


def test_a_safetensors_file_named_bin_loads_and_the_other_way_round(folders, load):
    tensors = adapter()
    safetensors.torch.save_file(tensors, folders["ipadapter"] / "a.bin")
    torch.save(make_models.nested(tensors), folders["ipadapter"] / "b.safetensors")
    assert load("a.bin").spec == load("b.safetensors").spec


@pytest.mark.parametrize("start", [b"\x80\x1a", b" <", b"PK"])
def test_a_safetensors_file_may_begin_with_any_length(folders, load, start):
    path = folders["ipadapter"] / "a.safetensors"
    content = safetensors.torch.save(adapter())
    length = int.from_bytes(content[:8], "little")
    wanted = int.from_bytes(start, "little")
    header = content[8 : 8 + length].ljust(wanted)  # the format allows spaces behind the header
    path.write_bytes(wanted.to_bytes(8, "little") + header + content[8 + length :])
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
    assert str(path) in {one.path for one in psutil.Process().memory_maps()}
    del loaded


def test_windows_slashes_in_a_saved_name_find_the_file(folders, load):
    make_models.save(folders["ipadapter"] / "sub" / "a.safetensors", adapter())
    assert load("sub\\a.safetensors").spec.kind == "base"


def test_the_list_shows_model_files_alone(folders, nodes_by_id):
    make_models.save(folders["more"] / "a.safetensors", adapter())
    (folders["ipadapter"] / "README.md").write_text("no model")
    options = nodes_by_id["LoadIPAdapter"].INPUT_TYPES()["required"]["ipadapter_file"][1]["options"]
    assert options == ["a.safetensors"]


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def write(path, content):
    path.write_bytes(content)


def half(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def compressed(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"0" * 10_000_000)


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("a.safetensors", lambda path: write(path, b""), "is empty"),
        ("a.bin", lambda path: write(path, b""), "is empty"),
        ("a.safetensors", half, "cut off"),
        ("a.bin", half, "cut off"),
        ("a.safetensors", lambda path: write(path, path.read_bytes()[:60]), "cut off"),
        ("a.safetensors", lambda path: write(path, b"\xff" * 100), "something else"),
        ("a.safetensors", lambda path: write(path, b"<!DOCTYPE html><html>"), "web page"),
        (
            "a.bin",
            lambda path: write(path, b"version https://git-lfs.github.com/spec/v1\n"),
            "Git LFS",
        ),
        ("a.bin", lambda path: write(path, pickle.dumps(Malicious())), "never run"),
        ("a.bin", lambda path: torch.save({"image_proj": Malicious()}, path), "never run"),
        ("a.bin", compressed, "compressed archive"),
        ("a.bin", lambda path: torch.save([1, 2], path), "no named tensors"),
        ("a.bin", lambda path: torch.save({"x": torch.zeros(2)}, path), "no IP-Adapter"),
        (
            "a.bin",
            lambda path: torch.save({"image_proj": {"latents": 3}, "ip_adapter": {1: None}}, path),
            "no",
        ),
    ],
)
def test_damaged_foreign_and_malicious_files_give_one_sentence(
    folders, load, monkeypatch, tmp_path, name, damage, words
):
    monkeypatch.chdir(tmp_path)
    path = make_models.save(folders["ipadapter"] / name, adapter())
    damage(path)
    with pytest.raises(ValueError, match=words) as error:
        load(name)
    sentence = str(error.value)
    assert sentence.startswith(f"The adapter file '{name}' ")
    assert "\n" not in sentence
    assert not (tmp_path / "executed").exists()


def save_sparse(path, shapes):
    """A safetensors file of full size whose zeros take no room on the disk."""
    header, end = {}, 0
    for key, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[key] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


@pytest.mark.parametrize("name", ["ip-adapter-faceid-plusv2_sd15", "kolors", "flux_instantx"])
def test_families_of_later_are_refused_by_name(folders, load, name):
    save_sparse(folders["ipadapter"] / "x.safetensors", adapter_layouts.layout(name))
    with pytest.raises(ValueError, match="cannot run those yet"):
        load("x.safetensors")


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


def names_of(folders, files):
    for name, (kind, layout) in files.items():
        make_models.save(folders["clip_vision"] / name, encoder_header(kind, layout))


FILES = {
    "CLIP-ViT-H-14 renamed.safetensors": ("g", "transformers"),  # names lie
    "SD1.5/model.safetensors": ("h", "transformers"),
    "large.safetensors": ("l", "transformers"),
}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ip-adapter_sd15", os.path.join("SD1.5", "model.safetensors")),
        ("ip-adapter-plus_sd15", os.path.join("SD1.5", "model.safetensors")),
        ("ip-adapter_sd15_vit-G", "CLIP-ViT-H-14 renamed.safetensors"),
    ],
)
def test_auto_finds_the_encoder_by_its_header(folders, load, pack, name, file):
    names_of(folders, FILES)
    make_models.save(folders["ipadapter"] / "a.safetensors", adapter(name))
    assert pack.nodes.files.load.installed_encoders(load("a.safetensors").spec) == [file]


def test_auto_knows_the_open_clip_layout(folders, load, pack):
    names_of(folders, {"open_clip_pytorch_model.safetensors": ("h", "open_clip")})
    make_models.save(folders["ipadapter"] / "a.safetensors", adapter())
    assert pack.nodes.files.load.installed_encoders(load("a.safetensors").spec) == [
        "open_clip_pytorch_model.safetensors"
    ]


def test_a_chosen_encoder_that_does_not_fit_names_what_would(folders, load, nodes_by_id):
    names_of(folders, FILES)
    make_models.save(folders["ipadapter"] / "a.safetensors", adapter())
    wrong = "CLIP-ViT-H-14 renamed.safetensors"
    fits = os.path.join("SD1.5", "model.safetensors")
    with pytest.raises(ValueError, match="needs CLIP ViT-H/14") as error:
        nodes_by_id["LoadCLIPVision"].execute(wrong, load("a.safetensors"))
    assert f"'{wrong}' is CLIP ViT-bigG/14" in str(error.value)
    assert f"'{fits}'" in str(error.value)


def test_without_a_fitting_encoder_auto_says_what_is_needed_and_what_is_there(
    folders, load, nodes_by_id
):
    names_of(folders, {"large.safetensors": ("l", "transformers")})
    (folders["clip_vision"] / "broken.safetensors").write_bytes(b"")
    make_models.save(folders["ipadapter"] / "a.safetensors", adapter())
    with pytest.raises(ValueError, match="needs CLIP ViT-H/14") as error:
        nodes_by_id["LoadCLIPVision"].execute("auto", load("a.safetensors"))
    assert str(folders["clip_vision"]) in str(error.value)
    assert "'large.safetensors'" in str(error.value)


def test_auto_without_an_adapter_asks_for_one(folders, nodes_by_id):
    wrong = nodes_by_id["LoadCLIPVision"].validate_inputs("auto")
    assert (
        wrong.startswith("No image encoder is installed") and str(folders["clip_vision"]) in wrong
    )
    (folders["clip_vision"] / "any.safetensors").write_bytes(b"0")
    assert nodes_by_id["LoadCLIPVision"].validate_inputs("auto") is True
    with pytest.raises(ValueError, match="connect 'ipadapter'"):
        nodes_by_id["LoadCLIPVision"].execute("auto")


def test_another_packs_object_on_the_socket_is_refused(nodes_by_id):
    with pytest.raises(ValueError, match="'Load IPAdapter' node; it got a builtins") as error:
        nodes_by_id["LoadCLIPVision"].execute("auto", {"image_proj": {}})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("with_adapter", [True, False])
def test_a_damaged_encoder_is_named(folders, load, nodes_by_id, with_adapter):
    (folders["clip_vision"] / "broken.safetensors").write_bytes(b"")
    make_models.save(folders["ipadapter"] / "a.safetensors", adapter())
    connected = load("a.safetensors") if with_adapter else None
    with pytest.raises(ValueError, match="is empty") as error:
        nodes_by_id["LoadCLIPVision"].execute("broken.safetensors", connected)
    assert str(error.value).startswith("The CLIP Vision file 'broken.safetensors' is empty")
