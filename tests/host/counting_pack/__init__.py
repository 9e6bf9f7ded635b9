"""A pack for tests alone: conditioning without a text encoder, a count of the encoder's runs, and less of its depth."""

import torch
from aiohttp import web
from server import PromptServer

import comfy.clip_vision

RUNS = {"encode_image": 0, "pictures": 0}


def counted(run):
    def encode_image(self, image, *args, **kwargs):
        RUNS["encode_image"] += 1
        RUNS["pictures"] += len(image)
        return run(self, image, *args, **kwargs)

    return encode_image


def shallow(load):
    def load_sd(self, sd):
        """The whole file is read; two of its 32 layers, all alike, then do for what is asked over HTTP."""
        found = load(self, sd)
        encoder = self.model.vision_model.encoder
        encoder.layers = encoder.layers[:2]
        return found

    return load_sd


ENCODER = comfy.clip_vision.ClipVisionModel
ENCODER.encode_image = counted(ENCODER.encode_image)
ENCODER.load_sd = shallow(ENCODER.load_sd)


@PromptServer.instance.routes.get("/test/encoder_runs")
async def encoder_runs(request):
    return web.json_response(RUNS)


class RandomConditioning:
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "run"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {"default": 0}), "width": ("INT", {"default": 2048})}}

    def run(self, seed, width):
        source = torch.Generator().manual_seed(seed)
        tokens = torch.randn(1, 77, width, generator=source)
        return ([[tokens, {"pooled_output": torch.randn(1, 1280, generator=source)}]],)


NODE_CLASS_MAPPINGS = {"RandomConditioning": RandomConditioning}
