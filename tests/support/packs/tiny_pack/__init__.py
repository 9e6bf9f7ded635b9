"""A pack for tests alone: models and features that cost nothing, and what a server still holds.

`scripts`, `benchmarks` and `tests` must be on PYTHONPATH.
"""

import gc
import hashlib
import os
from pathlib import Path

import counters
from aiohttp import web
from server import PromptServer
from support import tiny

from comfy.patcher_extension import WrappersMP


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@PromptServer.instance.routes.get("/test/alive")
async def alive(request):
    gc.collect()
    return web.json_response({"tensors": counters.alive(), "process": resident()})


class TinyModel:
    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "run", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {"default": 0})}}

    def run(self, seed):
        return (tiny.model("sd15", seed),)


class RandomFeatures:
    RETURN_TYPES, FUNCTION, CATEGORY = ("CLIP_VISION_OUTPUT",), "run", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {"default": 0})}}

    def run(self, seed):
        return (tiny.features(seed),)


class RandomText:
    RETURN_TYPES, FUNCTION, CATEGORY = ("CONDITIONING", "CONDITIONING"), "run", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {"default": 0})}}

    def run(self, seed):
        return tuple(tiny.text("sd15", seed).conds())


class Fails:
    """The model, failing in its second step: `error`, `memory` or `interrupt`; any other word
    passes it on.
    """

    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "run", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "how": ("STRING", {"default": ""})}}

    def run(self, model, how):
        import comfy.model_management as management

        errors = {
            "error": RuntimeError("on purpose"),
            "memory": management.OOM_EXCEPTION("on purpose"),
            "interrupt": management.InterruptProcessingException(),
        }
        model, steps = model.clone(), []

        def fail(executor, *args, **kwargs):
            steps.append(1)
            if len(steps) == 2 and how in errors:
                raise errors[how]
            return executor(*args, **kwargs)

        model.add_wrapper(WrappersMP.DIFFUSION_MODEL, fail)
        return (model,)


class Digest:
    """Shows a hash of the latent."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "run", "test", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"samples": ("LATENT",)}}

    def run(self, samples):
        content = samples["samples"].contiguous().numpy().tobytes()
        return {"ui": {"text": (hashlib.sha256(content).hexdigest(),)}}


NODES = (TinyModel, RandomFeatures, RandomText, Fails, Digest)
NODE_CLASS_MAPPINGS = {node.__name__: node for node in NODES}
