"""Load CLIP Vision on real files: it finds the encoder that an adapter needs."""

import os

import make_models
import pytest
from support.model_files import adapter, encoder_header

pytestmark = pytest.mark.host


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


def test_auto_passes_over_a_link_to_nothing(folders, load, pack):
    names_of(folders, FILES)
    os.symlink(folders["clip_vision"] / "gone", folders["clip_vision"] / "a link.safetensors")
    make_models.save(folders["ipadapter"] / "a.safetensors", adapter())
    assert pack.nodes.files.load.installed_encoders(load("a.safetensors").spec) == [
        os.path.join("SD1.5", "model.safetensors")
    ]


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
