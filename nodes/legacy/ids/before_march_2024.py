"""Nodes that IPAdapter_plus had until March 2024: what they computed, as they computed it.

They reached every layer, the middle block included, and resized masks bicubically. `IPAdapterEncoder` means another
node today; `prompts.py` tells them apart by their sockets.
"""

import torch
from torch import Tensor

import comfy.utils

from ....ipadapter_core.adapter.checkpoint import EMBEDS
from ...pictures import rgb
from ...references.encode import CROP, encode
from . import input_specs as w, weight_types
from .adapter_link import Loaded, both_of, opened
from .encoder_views import features_of, is_stack, nothing_of, paired
from .image_nodes import prepared
from .image_tiles import TILE, masked_tiles, shuffled
from .loader_nodes import PROVIDERS
from .old_apply import Old, Sides, apply
from .old_node import OldNode

APPLY = "Apply IPAdapter"
FIRST = w.choice(list(weight_types.SCALINGS_BEFORE_MARCH_2024), "What the weight multiplies.")
NOISE = w.number(0.0, 0.0, 1.0, 0.01, "How much of the picture, shuffled, the negative side sees.")
UNFOLD = w.switch(False, "One reference for each picture of the batch.")
WIDGETS = {"weight": w.weight(3), "noise": NOISE, "weight_type": FIRST, **w.WINDOW}


class IPAdapterApply(OldNode):
    NODE_ID, NAME, INSTEAD = "IPAdapterApply", "Apply IPAdapter (before March 2024)", APPLY

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "ipadapter": w.IPADAPTER,
                "clip_vision": w.CLIP_VISION,
                "image": w.IMAGE,
                "model": w.MODEL,
                **WIDGETS,
                "unfold_batch": UNFOLD,
            },
            {"attn_mask": w.MASK},
        )

    def apply_ipadapter(
        self,
        ipadapter,
        model,
        image,
        weight=1.0,
        clip_vision=None,
        weight_type="original",
        noise=0.0,
        attn_mask=None,
        start_at=0.0,
        end_at=1.0,
        unfold_batch=False,
        insightface=None,
        faceid_v2=False,
        weight_v2=1.0,
    ):
        loaded = opened(ipadapter, self.NAME)
        both = _seen(loaded, clip_vision, rgb(image, self.NAME, "image"), noise, self.NAME)
        old = first(self.NAME, weight, weight_type, start_at, end_at, unfold_batch)
        return (hung(model, loaded.adapter, *both, old, attn_mask),)


class IPAdapterApplyEncoded(OldNode):
    NODE_ID, NAME = "IPAdapterApplyEncoded", "Apply IPAdapter from Encoded (before March 2024)"
    INSTEAD = f"{APPLY} with its input 'embeds'"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "ipadapter": w.IPADAPTER,
                "embeds": w.EMBEDS,
                "model": w.MODEL,
                **{name: one for name, one in WIDGETS.items() if name != "noise"},
                "unfold_batch": UNFOLD,
            },
            {"attn_mask": w.MASK},
        )

    def apply_ipadapter(
        self,
        ipadapter,
        model,
        embeds,
        weight=1.0,
        weight_type="original",
        attn_mask=None,
        start_at=0.0,
        end_at=1.0,
        unfold_batch=False,
    ):
        loaded = opened(ipadapter, self.NAME)
        both = both_of(loaded, {"embeds": embeds}, None, self.NAME, paper=False)
        old = first(self.NAME, weight, weight_type, start_at, end_at, unfold_batch)
        return (hung(model, loaded.adapter, *both, old, attn_mask),)


class IPAdapterApplyFaceID(IPAdapterApply):
    NODE_ID, NAME = "IPAdapterApplyFaceID", "Apply IPAdapter FaceID (before March 2024)"
    INSTEAD = f"Face Crop and {APPLY}"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "ipadapter": w.IPADAPTER,
                "clip_vision": w.CLIP_VISION,
                "insightface": w.INSIGHTFACE,
                "image": w.IMAGE,
                "model": w.MODEL,
                **WIDGETS,
                "faceid_v2": w.switch(False, "For FaceID plus v2 adapters."),
                "weight_v2": w.number(1.0, -1, 3, 0.05, "For FaceID plus v2 adapters alone."),
                "unfold_batch": UNFOLD,
            },
            {"attn_mask": w.MASK},
        )


class IPAdapterTilesMasked(OldNode):
    NODE_ID, NAME = "IPAdapterTilesMasked", "IPAdapter Masked Tiles (before March 2024)"
    INSTEAD = "IPAdapter Tiles and Apply IPAdapter Regions"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "ipadapter": w.IPADAPTER,
                "clip_vision": w.CLIP_VISION,
                "image": w.IMAGE,
                "model": w.MODEL,
                **WIDGETS,
                "weight": w.number(0.7, -1, 3, 0.05, "How strongly the picture acts."),
                "short_side_tiles": w.count(1, 0, 12, "Tiles along the shorter side."),
                "tile_weight": w.number(0.6, 0.0, 1.0, 0.05, "How much each tile counts."),
            }
        )

    def apply_ipadapter(
        self,
        ipadapter,
        model,
        image,
        weight=0.7,
        clip_vision=None,
        weight_type="original",
        noise=0.0,
        start_at=0.0,
        end_at=1.0,
        short_side_tiles=1,
        tile_weight=0.6,
    ):
        loaded = opened(ipadapter, self.NAME)
        picture, masks = rgb(image, self.NAME, "image"), [None]
        if short_side_tiles:
            picture, cut = masked_tiles(picture, short_side_tiles, tile_weight)
            masks = list(cut.split(1))
        seen, unseen = _seen(loaded, clip_vision, picture, noise, self.NAME)
        old = first(self.NAME, weight, weight_type, start_at, end_at, by_frame=False)
        for number, mask in enumerate(masks):
            here = slice(number, number + 1) if short_side_tiles else slice(None)
            against = unseen[here] if noise and unseen is not None else unseen
            model = hung(model, loaded.adapter, seen[here], against, old, mask)
        return (model,)


class IPAdapterEncodeImages(OldNode):
    """Until March 2024 this was `IPAdapterEncoder`."""

    NODE_ID, NAME = "IPAdapterEncodeImages", "Encode IPAdapter Image (before March 2024)"
    INSTEAD = "Encode IPAdapter Reference and Combine IPAdapter Embeds"
    RETURN_TYPES, FUNCTION = ("EMBEDS",), "preprocess"

    @classmethod
    def INPUT_TYPES(cls):
        def share(number: int):
            return w.number(1.0, 0, 1.0, 0.01, f"How much 'image_{number}' counts.")

        numbers = (2, 3, 4)
        return w.inputs(
            {
                "clip_vision": w.CLIP_VISION,
                "image_1": w.IMAGE,
                "ipadapter_plus": w.switch(False, "For plus and full-face adapters."),
                "noise": NOISE,
                "weight_1": share(1),
            },
            {
                **{f"image_{n}": w.IMAGE for n in numbers},
                **{f"weight_{n}": share(n) for n in numbers},
            },
        )

    def preprocess(
        self, clip_vision, image_1, ipadapter_plus=False, noise=0.0, weight_1=1.0, **more
    ):
        images, weights = [rgb(image_1, self.NAME, "image_1")], [weight_1]
        for number in (2, 3, 4):
            if (other := more.get(f"image_{number}")) is not None:
                images.append(_as_large(rgb(other, self.NAME, f"image_{number}"), images[0]))
                weights.append(more.get(f"weight_{number}", 1.0))
        pictures = torch.cat(images)
        feature = "penultimate_hidden_states" if ipadapter_plus else EMBEDS
        seen: Tensor = getattr(encode(clip_vision, pictures, CROP), feature)
        if noise:
            unseen = getattr(encode(clip_vision, shuffled(pictures, noise), CROP), feature)
        elif ipadapter_plus:
            black = torch.zeros(1, TILE, TILE, 3)
            unseen = getattr(encode(clip_vision, black, CROP), feature).expand_as(seen)
        else:
            unseen = torch.zeros_like(seen)
        shares = [one * one for one, image in zip(weights, images, strict=True) for _ in image]
        factors = seen.new_tensor(shares).view(-1, *[1] * (seen.ndim - 1))
        return (torch.stack((seen * factors, unseen)),)


class IPAdapterBatchEmbeds(OldNode):
    NODE_ID, NAME = "IPAdapterBatchEmbeds", "IPAdapter Batch Embeds (before March 2024)"
    INSTEAD = "Combine IPAdapter Embeds"
    RETURN_TYPES, FUNCTION = ("EMBEDS",), "batch"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs({"embed1": w.EMBEDS, "embed2": w.EMBEDS})

    def batch(self, embed1, embed2):
        return (torch.cat((embed1, embed2), 1 if is_stack(embed1) else 0),)


class InsightFaceLoader(OldNode):
    NODE_ID, NAME = "InsightFaceLoader", "Load InsightFace (before March 2024)"
    INSTEAD = "nothing: Face Crop finds faces by itself"
    RETURN_TYPES, FUNCTION = ("INSIGHTFACE",), "load_insight_face"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs({"provider": w.choice(PROVIDERS[:3], "What InsightFace runs on.")})

    def load_insight_face(self, provider):
        return ({"provider": provider, "model_name": "buffalo_l"},)


class PrepImageForInsightFace(OldNode):
    NODE_ID, NAME = "PrepImageForInsightFace", "Prep Image For InsightFace (before March 2024)"
    INSTEAD = "Face Crop"
    RETURN_TYPES, FUNCTION = ("IMAGE",), "prep_image"

    @classmethod
    def INPUT_TYPES(cls):
        crops = ["center", "top", "bottom", "left", "right"]
        return w.inputs(
            {
                "image": w.link("IMAGE", "The picture with the face."),
                "crop_position": w.choice(crops, "Which part of it is kept."),
                "sharpening": w.SHARPENING,
                "pad_around": w.switch(True, "A white border around it."),
            }
        )

    def prep_image(self, image, crop_position="center", sharpening=0.0, pad_around=True):
        side, border = (580, 30) if pad_around else (640, 0)
        return (prepared(image, "LANCZOS", crop_position, side, sharpening, self.NAME, border),)


def first(node: str, weight, weight_type: str, start_at, end_at, by_frame: bool) -> Old:
    """A node of the first releases. Raises ValueError for an unknown weight type."""
    if weight_type not in weight_types.SCALINGS_BEFORE_MARCH_2024:
        raise ValueError(
            f"{node} has the unknown weight_type '{weight_type}': choose one of {', '.join(weight_types.SCALINGS_BEFORE_MARCH_2024)}."
        )
    scaling = weight_types.SCALINGS_BEFORE_MARCH_2024[weight_type]
    return Old(
        node,
        weight,
        start_at=start_at,
        end_at=end_at,
        scaling=scaling,
        by_frame=by_frame,
        masks="bicubic",
        middle=True,
    )


def _seen(
    loaded: Loaded, clip_vision, pictures: Tensor, noise: float, node: str
) -> tuple[Tensor, Tensor | None]:
    """Both sides of pictures; with noise the negative one sees each of them shuffled."""
    adapter, encoder = loaded.adapter, loaded.clip_vision(clip_vision)
    seen = features_of(encoder, adapter, pictures, "image", node)
    if noise:
        return seen, features_of(encoder, adapter, shuffled(pictures, noise), "image", node)
    return seen, nothing_of(encoder, adapter, paper=False)


def hung(model, adapter, seen: Tensor, unseen: Tensor | None, old: Old, mask):
    sides = paired(adapter, seen, unseen, "concat", old.by_frame, paper=False)
    return apply(model, adapter, Sides(*sides), old, mask)


def _as_large(other: Tensor, first_image: Tensor) -> Tensor:
    if other.shape[1:] == first_image.shape[1:]:
        return other
    height, width = first_image.shape[1:3]
    channels = comfy.utils.common_upscale(other.movedim(-1, 1), width, height, "bilinear", "center")
    return channels.movedim(1, -1)


NODES = [
    IPAdapterApply,
    IPAdapterApplyEncoded,
    IPAdapterApplyFaceID,
    IPAdapterTilesMasked,
    IPAdapterEncodeImages,
    IPAdapterBatchEmbeds,
    InsightFaceLoader,
    PrepImageForInsightFace,
]
