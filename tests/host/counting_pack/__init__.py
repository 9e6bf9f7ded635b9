"""A pack for tests alone: conditioning without a text encoder, and a count of the encoder's runs."""

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


comfy.clip_vision.ClipVisionModel.encode_image = counted(
    comfy.clip_vision.ClipVisionModel.encode_image
)


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
