"""The embeds nodes of IPAdapter_plus: bare tensors on EMBEDS links, and .ipadpt files."""

import os

import torch
from torch import Tensor

import comfy.clip_model
import comfy.model_management
import folder_paths

from ....ipadapter_core.adapter.checkpoint import EMBEDS
from ....ipadapter_core.messages import Message, Predicate
from ....ipadapter_core.references.embeds import METHODS, PLUS_NORM_AVERAGE, References, combine
from ....ipadapter_core.references.embeds_file import from_ipadpt
from ...files.open_files import read_embeds
from ...pictures import rgb
from ...references.embeds import embeds_path
from ...references.pair import references_for
from . import input_specs as w, weight_types
from .adapter_link import both_of, opened
from .encoder_views import SIDE, features_of, is_stack, nothing_of, paired
from .old_apply import Old, Sides, apply, is_paper
from .old_node import OldNode

REDUCE = ["concat", "add", "subtract", "average", "norm average", "max", "min"]
FILE = ".ipadpt"


class IPAdapterEncoder(OldNode):
    NODE_ID, NAME = "IPAdapterEncoder", "IPAdapter Encoder"
    INSTEAD = "Encode IPAdapter Reference"
    RETURN_TYPES = ("EMBEDS", "EMBEDS")
    RETURN_NAMES = ("pos_embed", "neg_embed")
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "ipadapter": w.IPADAPTER,
                "image": w.IMAGE,
                "weight": w.number(1.0, -1.0, 3.0, 0.01, "What the embeds are multiplied by."),
            },
            {
                "mask": w.link("MASK", "What of the picture the encoder sees."),
                "clip_vision": w.CLIP_VISION,
            },
        )

    def encode(self, ipadapter, image, weight, mask=None, clip_vision=None):
        loaded = opened(ipadapter, self.NAME)
        adapter, encoder = loaded.adapter, loaded.clip_vision(clip_vision)
        if mask is None:
            seen = features_of(encoder, adapter, image, "image", self.NAME)
        else:
            seen = _behind(encoder, adapter, image, mask, self.NAME)
        unseen = nothing_of(encoder, adapter, paper=False)
        unseen = torch.zeros_like(seen) if unseen is None else unseen
        return seen if weight == 1 else seen * weight, unseen


class IPAdapterCombineEmbeds(OldNode):
    NODE_ID, NAME = "IPAdapterCombineEmbeds", "IPAdapter Combine Embeds"
    INSTEAD = "Combine IPAdapter Embeds"
    RETURN_TYPES = ("EMBEDS",)
    FUNCTION = "batch"

    @classmethod
    def INPUT_TYPES(cls):
        others = {f"embed{n}": w.EMBEDS for n in range(2, 6)}
        method = w.choice(REDUCE, "How they become one.")
        return w.inputs({"embed1": w.EMBEDS, "method": method}, others)

    def batch(self, embed1, method, embed2=None, embed3=None, embed4=None, embed5=None):
        given = [one for one in (embed1, embed2, embed3, embed4, embed5) if one is not None]
        if len({one.shape[1:] for one in given}) > 1:
            raise ValueError(
                f"{self.NAME} got embeds of different kinds ({', '.join(str(list(one.shape)) for one in given)}): encode all of them with one adapter."
            )
        embeds = torch.cat(given)
        if method == "concat" or (len(embeds) == 1 and method in ("subtract", "norm average")):
            return (embeds,)
        ours = PLUS_NORM_AVERAGE if method == "norm average" else method
        if ours not in METHODS:
            raise ValueError(
                f"{self.NAME} has the unknown method '{method}': choose one of {', '.join(REDUCE)}."
            )
        return (combine(embeds, (1.0,) * len(embeds), ours),)


class IPAdapterEmbeds(OldNode):
    NODE_ID, NAME = "IPAdapterEmbeds", "IPAdapter Embeds"
    INSTEAD = "Apply IPAdapter with its input 'embeds'"
    BY_FRAME = False

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "model": w.MODEL,
                "ipadapter": w.IPADAPTER,
                "pos_embed": w.EMBEDS,
                "weight": w.weight(3),
                "weight_type": w.WEIGHT_TYPE,
                **w.WINDOW,
                "embeds_scaling": w.SCALING,
            },
            {
                "neg_embed": w.link("EMBEDS", "What the negative side sees."),
                "attn_mask": w.MASK,
                "clip_vision": w.CLIP_VISION,
            },
        )

    def apply_ipadapter(
        self,
        model,
        ipadapter,
        pos_embed,
        weight,
        weight_type,
        start_at,
        end_at,
        neg_embed=None,
        attn_mask=None,
        clip_vision=None,
        embeds_scaling=weight_types.V_ONLY,
    ):
        loaded, paper = opened(ipadapter, self.NAME), is_paper(model)
        given = {"pos_embed": pos_embed, "neg_embed": neg_embed}
        seen, unseen = both_of(loaded, given, clip_vision, self.NAME, paper)
        old = Old(
            self.NAME,
            weight,
            weight_type,
            start_at=start_at,
            end_at=end_at,
            scaling=embeds_scaling,
            by_frame=self.BY_FRAME,
        )
        sides = Sides(*paired(loaded.adapter, seen, unseen, "concat", self.BY_FRAME, paper))
        return apply(model, loaded.adapter, sides, old, attn_mask), None


class IPAdapterEmbedsBatch(IPAdapterEmbeds):
    NODE_ID, NAME = "IPAdapterEmbedsBatch", "IPAdapter Embeds Batch"
    BY_FRAME = True


class IPAdapterSaveEmbeds(OldNode):
    NODE_ID, NAME = "IPAdapterSaveEmbeds", "IPAdapter Save Embeds"
    INSTEAD = "Save IPAdapter Embeds"
    RETURN_TYPES, FUNCTION, OUTPUT_NODE = (), "save", True

    @classmethod
    def INPUT_TYPES(cls):
        prefix = w.text("IP_embeds", "Where below the output folder, and how the name begins.")
        return w.inputs({"embeds": w.EMBEDS, "filename_prefix": prefix})

    def save(self, embeds, filename_prefix):
        folder, name, counter, *_ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        torch.save(
            embeds.detach().cpu().clone(), os.path.join(folder, f"{name}_{counter:05}{FILE}")
        )
        return (None,)


class IPAdapterLoadEmbeds(OldNode):
    NODE_ID, NAME = "IPAdapterLoadEmbeds", "IPAdapter Load Embeds"
    INSTEAD = "Load IPAdapter Embeds"
    RETURN_TYPES, FUNCTION = ("EMBEDS",), "load"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs({"embeds": w.choice(_files(), "An .ipadpt file in the input folder.")})

    @classmethod
    def VALIDATE_INPUTS(cls, embeds):
        try:
            return bool(embeds_path(embeds))
        except ValueError as error:
            return str(error)

    @classmethod
    def IS_CHANGED(cls, embeds):
        status = os.stat(embeds_path(embeds))
        return f"{status.st_size} {status.st_mtime_ns}"

    def load(self, embeds):
        try:
            content, metadata = read_embeds(embeds_path(embeds))
            if metadata is not None:
                raise Predicate("is no .ipadpt file: open it with Load IPAdapter Embeds")
            return (content.float() if is_stack(content) else from_ipadpt(content)[0].features,)
        except Predicate as error:
            raise error.about(Message("The embeds file '<1>'", embeds)) from None


def _behind(clip_vision, adapter, image, mask, node) -> Tensor:
    """What the encoder sees of a picture whose normalised pixels are multiplied by a mask."""
    from torchvision.transforms import InterpolationMode, functional as T

    if mask.ndim == 2:
        mask = mask[None]
    if mask.shape[1:] != (SIDE, SIDE):
        squared = T.center_crop(mask[:, None], [min(mask.shape[1:])] * 2)
        mask = T.resize(squared, [SIDE, SIDE], InterpolationMode.BICUBIC, antialias=True)[:, 0]
    pictures = rgb(image, node, "image")
    if len(mask) not in (1, len(pictures)):
        raise ValueError(
            f"{node}'s 'mask' is a batch of {len(mask)} for {len(pictures)} pictures: connect one mask."
        )
    comfy.model_management.load_model_gpu(clip_vision.patcher)
    device = clip_vision.load_device
    pixels = comfy.clip_model.clip_preprocess(
        pictures.to(device), SIDE, clip_vision.image_mean, clip_vision.image_std
    ).float()
    pixels = pixels * mask[:, None].to(device)
    _, hidden, embeds = clip_vision.model(pixel_values=pixels, intermediate_output=-2)[:3]
    store = comfy.model_management.intermediate_device()
    feature = adapter.spec.feature
    found = (embeds if feature == EMBEDS else hidden).to(store)
    return references_for(References.of(found, feature), adapter, "image").features


def _files() -> list[str]:
    names, _ = folder_paths.recursive_search(folder_paths.get_input_directory())
    return sorted(name for name in names if name.lower().endswith(FILE))


NODES = [
    IPAdapterEncoder,
    IPAdapterCombineEmbeds,
    IPAdapterEmbeds,
    IPAdapterEmbedsBatch,
    IPAdapterSaveEmbeds,
    IPAdapterLoadEmbeds,
]
