"""A pack for tests alone: conditioning and a ControlNet without files, nodes in the place of those
of ComfyUI-Kolors-MZ, a count of the encoder's runs, and less of its depth and width.
"""

import json
import os
import tempfile
from pathlib import Path

import torch
from aiohttp import web
from server import PromptServer

import comfy.cldm.cldm
import comfy.clip_vision
import comfy.controlnet
import comfy.sd
import folder_paths

RUNS = {"encode_image": 0, "pictures": 0}


def counted(run):
    def encode_image(self, image, *args, **kwargs):
        RUNS["encode_image"] += 1
        RUNS["pictures"] += len(image)
        return run(self, image, *args, **kwargs)

    return encode_image


def shallow(init):
    def __init__(self, config):
        """As the files of `support.short_encoders` are: that does for what is asked over HTTP."""
        if isinstance(config, str | os.PathLike):
            config = json.loads(Path(config).read_text())
        shallow_config = {**config, "num_hidden_layers": 2, "intermediate_size": 64}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "config.json")  # older hosts take no dict
            path.write_text(json.dumps(shallow_config))
            init(self, str(path))

    return __init__


ENCODER = comfy.clip_vision.ClipVisionModel
ENCODER.encode_image = counted(ENCODER.encode_image)
ENCODER.__init__ = shallow(ENCODER.__init__)


@PromptServer.instance.routes.get("/test/encoder_runs")
async def encoder_runs(request):
    return web.json_response(RUNS)


POOLED_WIDTHS = {2048: 1280, 48: 32}  # of SDXL and the small SD3.5, by the width of the tokens


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
        pooled = torch.randn(1, POOLED_WIDTHS.get(width, width), generator=source)
        return ([[tokens, {"pooled_output": pooled}]],)


SMALL_SD15 = {  # of scripts/make_models.py
    "image_size": 32,
    "in_channels": 4,
    "model_channels": 320,
    "hint_channels": 3,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 1, 1, 1],
    "num_heads": 8,
    "use_spatial_transformer": True,
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "legacy": False,
}


class RandomControlNet:
    RETURN_TYPES = ("CONTROL_NET",)
    FUNCTION = "run"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": {"model": ("MODEL",)}}

    def run(self, model=None):
        """For that model, else for the small SD1.5."""
        config = SMALL_SD15
        if model is not None:
            config = {**model.model.model_config.unet_config, "hint_channels": 3}
            # shallow, which saves memory
            config["transformer_depth"] = [min(depth, 1) for depth in config["transformer_depth"]]
            config["transformer_depth_middle"] = 1
            del config["out_channels"]
        config = {**config, "dtype": torch.float32, "device": "cpu"}
        net = comfy.cldm.cldm.ControlNet(**config)
        source = torch.Generator().manual_seed(0)
        for weight in net.state_dict().values():
            weight.copy_(0.02 * torch.randn(weight.shape, generator=source))
        return (comfy.controlnet.ControlNet(net, load_device=torch.device("cpu")),)


class CheckpointPart:
    """The model or the VAE of a checkpoint, without the other."""

    FUNCTION = "run"
    CATEGORY = "test"
    FILE = "unet_name"
    PLACE = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {cls.FILE: (folder_paths.get_filename_list("checkpoints"),)}}

    def run(self, **inputs):
        path = folder_paths.get_full_path_or_raise("checkpoints", inputs[self.FILE])
        wanted = {"output_model": self.PLACE == 0, "output_vae": self.PLACE == 2}
        parts = comfy.sd.load_checkpoint_guess_config(path, output_clip=False, **wanted)
        return (parts[self.PLACE],)


class KolorsModel(CheckpointPart):
    """Another model, with the inputs of theirs.

    https://github.com/MinusZoneAI/ComfyUI-Kolors-MZ/blob/43ec270/__init__.py
    """

    RETURN_TYPES, RETURN_NAMES = ("MODEL",), ("model",)


class CheckpointVAE(CheckpointPart):
    RETURN_TYPES, FILE, PLACE = ("VAE",), "vae_name", 2


class KolorsTextModel:
    RETURN_TYPES, RETURN_NAMES = ("CHATGLM3MODEL",), ("chatglm3_model",)
    FUNCTION = "run"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"chatglm3_checkpoint": (["chatglm3-fp16.safetensors"],)}}

    def run(self, chatglm3_checkpoint):
        return (RandomConditioning(),)


class KolorsText:
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "run"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        text = ("STRING", {"multiline": True, "dynamicPrompts": True})
        return {"required": {"chatglm3_model": ("CHATGLM3MODEL",), "text": text}}

    def run(self, chatglm3_model, text):
        return chatglm3_model.run(len(text), 768)


NODE_CLASS_MAPPINGS = {
    "RandomConditioning": RandomConditioning,
    "RandomControlNet": RandomControlNet,
    "CheckpointVAE": CheckpointVAE,
    "MZ_KolorsUNETLoaderV2": KolorsModel,
    "MZ_ChatGLM3Loader": KolorsTextModel,
    "MZ_ChatGLM3_V2": KolorsText,
}
