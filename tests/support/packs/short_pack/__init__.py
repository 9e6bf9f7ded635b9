"""A pack for tests alone: what makes hundreds of samplings cheap, under the host's own node ids.

A checkpoint brings the host's UNet class in a tenth of its width, an encoder has two of its layers,
with narrow MLPs as the files of `support.workflows.corpus` have them. `tests` and `scripts` must be
on PYTHONPATH.
"""

import json
import os

from support import tiny

import comfy.clip_vision
import nodes

SHORT = {"num_hidden_layers": 2, "intermediate_size": 64}
init_encoder = comfy.clip_vision.ClipVisionModel.__init__
load_small_checkpoint = nodes.CheckpointLoaderSimple.load_checkpoint


def short(self, config):
    if isinstance(config, str | os.PathLike):
        with open(config) as file:
            config = json.load(file)
    init_encoder(self, {**config, **SHORT})


comfy.clip_vision.ClipVisionModel.__init__ = short


def load_checkpoint(self, ckpt_name):
    """Text encoder and VAE of the small SD1.5 checkpoint, also for SDXL."""
    _, clip, vae = load_small_checkpoint(self, "sd15.safetensors")
    return tiny.model(ckpt_name.split(".")[0]), clip, vae


nodes.CheckpointLoaderSimple.load_checkpoint = load_checkpoint


class Difference:
    """Shows how far two latents lie apart, and the range of the second."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "run", "test", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"one": ("LATENT",), "other": ("LATENT",)}}

    def run(self, one, other):
        one, other = one["samples"], other["samples"]
        apart, range = (one - other).abs().max(), other.max() - other.min()
        return {"ui": {"text": (str(apart.item()), str(range.item()))}}


NODE_CLASS_MAPPINGS = {"Difference": Difference}
