"""Image encoders of tests."""

import json
from pathlib import Path

import make_models
import torch

SHALLOW_ENCODER = {
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "image_size": 224,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-5,
    "num_attention_heads": 16,
    "num_channels": 3,
    "num_hidden_layers": 2,
    "patch_size": 14,
    "projection_dim": 1024,
    "model_type": "clip_vision_model",
}


def shallow_encoder_336(folder):
    """The host's own encoder at 336 pixels, two layers deep."""
    import comfy.clip_vision

    config = Path(comfy.clip_vision.__file__).with_name("clip_vision_config_vitl_336.json")
    settings = json.loads(config.read_text()) | {"num_hidden_layers": 2, "intermediate_size": 64}
    path = folder / "config.json"  # older hosts take no dict
    path.write_text(json.dumps(settings))
    encoder = comfy.clip_vision.ClipVisionModel(str(path))
    make_models.fill(encoder.model, make_models.generator("336", 1))
    encoder.model.float()
    return encoder


class CountingEncoder:
    """A CLIP_VISION of which every run is counted."""

    def __init__(self, tiny, patcher):
        self.patcher, self.load_device, self.image_size = patcher, torch.device("cpu"), 224
        self.tiny, self.runs, self.config = tiny, 0, {}

    def encode_image(self, image, crop=True):
        self.runs += 1
        return self.tiny.features(5, len(image))

    def model(self, pixel_values, intermediate_output=None):
        self.runs += 1
        features = self.tiny.features(6)
        return (
            features.last_hidden_state,
            features.penultimate_hidden_states,
            features.image_embeds,
            None,
        )
