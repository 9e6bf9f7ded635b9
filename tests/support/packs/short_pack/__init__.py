"""A pack for tests alone: what makes hundreds of samplings cheap, under the host's own node ids.

A checkpoint brings the host's own class of its model in a tenth of its width, and what an encoder
gave for the same picture is kept. `tests` and `scripts` must be on PYTHONPATH.
"""

import functools
import hashlib
from collections import OrderedDict

from support import tiny, tiny_flux

import comfy.clip_vision
import comfy.sd
import folder_paths
import nodes

REMEMBERED = 24  # results of encoders, of 1 to 20 MB each


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


def remembering(run):
    """The results of last pictures, by what the picture holds and by the encoder's weights."""
    results = OrderedDict()

    def encode_image(self, image, *args, **kwargs):
        weights = next(self.model.parameters()).flatten()[:64].float()
        pixels = hashlib.sha256(image.contiguous().numpy()).digest()
        key = (weights.numpy().tobytes(), pixels, image.shape, args, *sorted(kwargs.items()))
        if key not in results:
            results[key] = run(self, image, *args, **kwargs)
        results.move_to_end(key)
        while len(results) > REMEMBERED:
            results.popitem(last=False)
        return results[key]

    return encode_image


ENCODER = comfy.clip_vision.ClipVisionModel
ENCODER.encode_image = remembering(ENCODER.encode_image)


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
