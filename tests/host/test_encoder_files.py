"""Files of image encoders: they open as the host opens them."""

import json
from pathlib import Path

import make_models
import pytest
import safetensors.torch
import torch
from support.model_files import encoder_header
from support.pictures import photograph

pytestmark = pytest.mark.host


LAYERS = 8  # of 32, which hold 2.5 GB; over HTTP two layers run


def save_encoder_of_full_width(path):
    """ViT-H with its first layers; of the others what tells how many there are."""
    tensors = {}
    for key, value in make_models.encoder_tensors("vit-h").items():
        number = key.split("encoder.layers.")[-1].split(".")[0]
        if not number.isdecimal() or int(number) < LAYERS or key.endswith("layer_norm1.weight"):
            tensors[key] = value.clone()
    safetensors.torch.save_file(tensors, path)


def test_an_encoder_of_full_width_opens_and_tells_a_picture_from_nothing(
    nodes_by_id, adapters, encode, tmp_path, monkeypatch
):
    import comfy.clip_vision
    import folder_paths

    init = comfy.clip_vision.ClipVisionModel.__init__

    def init_with_few_layers(encoder, config):
        config_of_few = json.loads(Path(config).read_text()) | {"num_hidden_layers": LAYERS}
        path = tmp_path / "config.json"  # older hosts take no dict
        path.write_text(json.dumps(config_of_few))
        init(encoder, str(path))

    monkeypatch.setattr(comfy.clip_vision.ClipVisionModel, "__init__", init_with_few_layers)
    save_encoder_of_full_width(tmp_path / "encoder.safetensors")
    folders = [str(tmp_path)], {".safetensors"}
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "clip_vision", folders)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    encoder = nodes_by_id["LoadCLIPVision"].execute("auto", adapters("ip-adapter_sd15")[0]).args[0]
    both = encode.encode(encoder, photograph(300, 250), "crop"), encode.encode_zeros(encoder)
    for key, shape in (("penultimate_hidden_states", (1, 257, 1280)), ("image_embeds", (1, 1024))):
        seen, unseen = (output[key] for output in both)
        assert seen.shape == unseen.shape == shape
        assert (seen - unseen).norm() > 0.1 * unseen.norm()


@pytest.mark.parametrize(
    "key",
    ["visual.transformer.resblocks.0.attn.in_proj_weight", "vision_model.post_layernorm.bias"],
)
def test_an_encoder_is_loaded_as_by_the_host(pack, monkeypatch, key):
    import comfy.clip_vision
    import comfy.utils

    given = []

    def made(weights, prefix="", convert_keys=False):
        given.append((set(weights), prefix, convert_keys))
        return "encoder"

    for module in (comfy.utils, comfy.clip_vision):
        monkeypatch.setattr(module, "load_torch_file", lambda *_, **__: {key: torch.zeros(9)})
    monkeypatch.setattr(comfy.clip_vision, "load_clipvision_from_sd", made)
    assert pack.nodes.files.load._load_encoder("x", "x") == comfy.clip_vision.load("x") == "encoder"
    assert given[0] == given[1]


def test_an_encoder_of_other_shapes_is_refused_in_one_sentence(nodes_by_id, tmp_path, monkeypatch):
    import folder_paths

    odd_layer = {"vision_model.encoder.layers.0.mlp.fc1.weight": torch.zeros(64, 1280)}
    make_models.save(tmp_path / "odd.safetensors", encoder_header("h") | odd_layer)
    folders = [str(tmp_path)], {".safetensors"}
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "clip_vision", folders)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    with pytest.raises(ValueError, match="looks like an image encoder, but some of its") as error:
        nodes_by_id["LoadCLIPVision"].execute("odd.safetensors")
    assert str(error.value).endswith(".") and "\n" not in str(error.value)
