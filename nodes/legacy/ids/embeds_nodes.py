"""The embeds nodes of IPAdapter_plus: bare tensors on EMBEDS links, and .ipadpt files."""

import os

import torch
from torch import Tensor

import comfy.clip_model
import comfy.model_management

from ....ipadapter_core.adapter.features import Source
from ....ipadapter_core.messages import Message, Predicate
from ....ipadapter_core.references.embeds import PLUS_NORM_AVERAGE, combine
from ....ipadapter_core.references.embeds_file import OLD_ENDING, from_ipadpt, is_stack
from ...files.folders import NO_NAME
from ...files.open_files import read_embeds
from ...files.output_file import write_output
from ...pictures import rgb
from ...references.embeds import embeds_path
from .adapter_link import open_link
from .encoder_views import ENCODER_SIZE, OldAdapter
from .input_specs import SPECS
from .old_apply import OldApply, apply_features
from .old_graphs_switch import follows_paper
from .old_node import OldNode, unknown_option


class EncodeEmbeds(OldNode):
    """-> features of the pictures, and those of nothing."""

    FUNCTION = "encode"

    def compute(self, ipadapter, image, weight, mask=None, clip_vision=None):
        adapter = open_link(ipadapter, self.NAME, clip_vision)
        if mask is None:
            positive = adapter.features(image, "image")
        else:
            positive = _masked_features(adapter, image, mask)
        negative = adapter.unconditional()
        negative = torch.zeros_like(positive) if negative is None else negative
        return positive if weight == 1 else positive * weight, negative


class CombineEmbeds(OldNode):
    FUNCTION = "batch"

    def compute(self, method, **embeds):
        tensors = [embeds[name] for name in sorted(embeds)]
        if len({tensor.shape[1:] for tensor in tensors}) > 1:
            shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors)
            raise ValueError(
                f"{self.NAME} got embeds of different kinds ({shapes}): "
                "encode all of them with one adapter."
            )
        references, ways = torch.cat(tensors), SPECS["combine_method"][0]
        if method == "concat" or (len(references) == 1 and method in ("subtract", "norm average")):
            return (references,)
        if method not in ways:
            raise unknown_option(self.NAME, "method", method, ways)
        combine_method = PLUS_NORM_AVERAGE if method == "norm average" else method
        return (combine(references, (1.0,) * len(references), combine_method),)


class ApplyEmbeds(OldNode):
    POSITIONAL = (
        "model ipadapter pos_embed weight weight_type start_at end_at neg_embed attn_mask"
        " clip_vision embeds_scaling"
    )

    def compute(self, model, ipadapter, pos_embed=None, neg_embed=None, clip_vision=None, **inputs):
        adapter = open_link(ipadapter, self.NAME, clip_vision)
        is_paper = follows_paper(model)
        features = adapter.embeds_pair("pos_embed", pos_embed, neg_embed, is_paper)
        return apply_features(model, adapter.loaded, features, OldApply.of(self, inputs)), None


class SaveEmbeds(OldNode):
    FUNCTION, OUTPUT_NODE = "save", True

    def compute(self, embeds: Tensor, filename_prefix: str) -> tuple[None]:
        stored = embeds.detach().cpu().clone()
        write_output(filename_prefix, OLD_ENDING, lambda path: torch.save(stored, path), self.NAME)
        return (None,)


class LoadEmbeds(OldNode):
    FUNCTION = "load"

    @classmethod
    def VALIDATE_INPUTS(cls, embeds: object) -> bool | str:
        if not isinstance(embeds, str):
            return NO_NAME
        try:
            return bool(embeds_path(embeds))
        except ValueError as error:
            return str(error)

    @classmethod
    def IS_CHANGED(cls, embeds: str) -> str:
        status = os.stat(embeds_path(embeds))
        return f"{status.st_size} {status.st_mtime_ns}"

    def compute(self, embeds: str) -> tuple[Tensor]:
        try:
            content, metadata = read_embeds(embeds_path(embeds))
            if metadata is not None:
                raise Predicate("is not an .ipadpt file: open it with Load IPAdapter Embeds")
            is_pair = is_stack(content)
            return (content.float() if is_pair else from_ipadpt(content)[0].single_feature,)
        except Predicate as error:
            raise error.about(Message("The embeds file '<1>'", embeds)) from None


def _masked_features(adapter: OldAdapter, image: Tensor, mask: Tensor) -> Tensor:
    """Features of pictures whose normalised pixels are multiplied by a mask."""
    square = _square_mask(mask)
    pictures = rgb(image, adapter.node_name, "image")
    if len(square) not in (1, len(pictures)):
        raise ValueError(
            f"{adapter.node_name}'s 'mask' is a batch of {len(square)} masks for {len(pictures)} "
            "images: connect a single mask."
        )
    clip_vision = adapter.clip_vision
    comfy.model_management.load_model_gpu(clip_vision.patcher)
    device = clip_vision.load_device
    pixels = comfy.clip_model.clip_preprocess(
        pictures.to(device), ENCODER_SIZE, clip_vision.image_mean, clip_vision.image_std
    ).float()
    pixels = pixels * square[:, None].to(device)
    _, hidden, embeds = clip_vision.model(pixel_values=pixels, intermediate_output=-2)[:3]
    source = adapter.clip_feature.source
    features = embeds if source is Source.CLIP_EMBEDS else hidden
    return adapter.check(features.to(comfy.model_management.intermediate_device()), "image")


def _square_mask(mask: Tensor) -> Tensor:
    """[M, 224, 224]: the middle square at the encoder's size."""
    from torchvision.transforms import InterpolationMode, functional as vision

    masks = mask[None] if mask.ndim == 2 else mask
    size = [ENCODER_SIZE, ENCODER_SIZE]
    if list(masks.shape[1:]) == size:
        return masks
    middle = vision.center_crop(masks[:, None], [min(masks.shape[1:])] * 2)
    return vision.resize(middle, size, InterpolationMode.BICUBIC, antialias=True)[:, 0]
