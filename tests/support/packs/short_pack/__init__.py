"""A pack for tests alone: what makes hundreds of samplings cheap, under the host's own node ids.

A checkpoint brings the host's own class of its model in a tenth of its width. `tests` and `scripts`
must be on PYTHONPATH.
"""

import functools

from support import tiny, tiny_flux

import comfy.sd
import folder_paths
import nodes


@functools.cache
def text_encoder_and_vae():
    """Those of the small SD1.5 checkpoint, without its UNet; the other models get them too."""
    path = folder_paths.get_full_path_or_raise("checkpoints", "sd15.safetensors")
    _, text_encoder, vae, _ = comfy.sd.load_checkpoint_guess_config(path, output_model=False)
    return text_encoder, vae


def load_checkpoint(self, ckpt_name):
    kind = ckpt_name.split(".")[0]
    model = tiny_flux.model() if kind == "flux" else tiny.model(kind)
    return model, *text_encoder_and_vae()


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
