"""Pictures of faces in batches, and what their identities have to be."""

import make_models
import numpy
import torch

from support import arcface
from support.pictures import face_photograph

SIDE = 640  # of a picture in a batch
FACEID, PLUS, PORTRAIT = (
    "ip-adapter-faceid_sd15",
    "ip-adapter-faceid-plusv2_sd15",
    "ip-adapter-faceid-portrait_sd15",
)
UNNORM = "ip-adapter-faceid-portrait_sdxl_unnorm"


def batch(*names):
    """Photographs by name in the corner of black squares, [B, 640, 640, 3]."""
    pictures = torch.zeros(len(names), SIDE, SIDE, 3)
    for picture, name in zip(pictures, names, strict=True):
        (photograph,) = face_photograph(name)
        part = photograph[:SIDE, :SIDE]
        picture[: part.shape[0], : part.shape[1]] = part
    return pictures


def insightface_crop(picture, landmarks, side=112):
    """insightface's own crop of a picture [H, W, 3], as floats."""
    from insightface.utils.face_align import norm_crop

    pixels = (picture * 255).round().byte().numpy()
    crop = norm_crop(numpy.ascontiguousarray(pixels), numpy.asarray(landmarks), side)
    return torch.from_numpy(crop).float() / 255


def expected_identity(trained_net, picture, landmarks):
    """The output of the net as it was trained for insightface's crop."""
    return trained_net(arcface.as_input(insightface_crop(picture, landmarks)[None]))


class StandInAnalysis:
    """An INSIGHTFACE object: faces with boxes and landmarks, whatever it is shown."""

    def __init__(self, *faces):
        self.faces, self.pictures = faces, []

    def get(self, picture):
        self.pictures.append(picture)
        return list(self.faces)


def lora_of(model, seed=1):
    """A LoRA in the published form, with the widths of a small model."""
    import comfy.lora

    source, tensors = make_models.generator("lora", seed), {}
    weights = model.model.state_dict()
    for name, key in comfy.lora.model_lora_keys_unet(model.model, {}).items():
        if name.startswith("lora_unet_") and ("_attn1_to_" in name or "_attn2_to_" in name):
            rows, columns = weights[key].shape
            for part, shape in (("down", (128, columns)), ("up", (rows, 128))):
                tensors[f"{name}.lora_{part}.weight"] = torch.randn(shape, generator=source) * 0.02
            tensors[f"{name}.alpha"] = torch.tensor(128.0)
    return tensors


def merge_lora(unet, tensors, strength):
    """The LoRA of a file, added to the weights of diffusers' UNet: W + strength * up @ down."""
    merged = 0
    for number, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        layers = {"q": attention.to_q, "k": attention.to_k, "v": attention.to_v}
        for letter, layer in (layers | {"out": attention.to_out[0]}).items():
            key = f"ip_adapter.{number}.to_{letter}_lora"
            if f"{key}.up.weight" in tensors:
                change = tensors[f"{key}.up.weight"] @ tensors[f"{key}.down.weight"]
                layer.weight.data += strength * change
                merged += 1
    return merged
