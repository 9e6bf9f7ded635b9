"""IPAdapter_plus's nodes for several regions, and for the tiles of one large reference."""

import node_helpers
import torch

from ...apply.attention_mask import checked_mask
from . import input_specs as w, weight_types
from .adapter_link import opened
from .apply_nodes import hung
from .image_nodes import tiled
from .old_apply import Old
from .old_node import OldNode

FIELDS = ("image", "attn_mask", "weight", "weight_type", "start_at", "end_at")
REGIONS = "IPAdapter Region and Apply IPAdapter Regions"


class IPAdapterRegionalConditioning(OldNode):
    NODE_ID, NAME = "IPAdapterRegionalConditioning", "IPAdapter Regional Conditioning"
    INSTEAD = REGIONS
    RETURN_TYPES = ("IPADAPTER_PARAMS", "CONDITIONING", "CONDITIONING")
    RETURN_NAMES, FUNCTION = ("IPADAPTER_PARAMS", "POSITIVE", "NEGATIVE"), "conditioning"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "image": w.link("IMAGE", "The reference of this region."),
                "image_weight": w.number(1.0, -1.0, 3.0, 0.05, "How strongly it acts."),
                "prompt_weight": w.number(1.0, 0.0, 10.0, 0.05, "How strongly the texts act."),
                "weight_type": w.WEIGHT_TYPE,
                **w.WINDOW,
            },
            {
                "mask": w.link("MASK", "The region."),
                "positive": w.link("CONDITIONING", "The text of this region."),
                "negative": w.link("CONDITIONING", "What this region leads away from."),
            },
        )

    def conditioning(
        self,
        image,
        image_weight,
        prompt_weight,
        weight_type,
        start_at,
        end_at,
        mask=None,
        positive=None,
        negative=None,
    ):
        texts = positive, negative
        if mask is not None:
            values = {"mask": mask, "set_area_to_bounds": False, "mask_strength": prompt_weight}
            texts = tuple(
                None if one is None else node_helpers.conditioning_set_values(one, values)
                for one in texts
            )
        given = (image, mask, image_weight, weight_type, start_at, end_at)
        return {name: [one] for name, one in zip(FIELDS, given, strict=True)}, *texts


class IPAdapterCombineParams(OldNode):
    NODE_ID, NAME, INSTEAD = "IPAdapterCombineParams", "IPAdapter Combine Params", REGIONS
    RETURN_TYPES, FUNCTION = ("IPADAPTER_PARAMS",), "combine"

    @classmethod
    def INPUT_TYPES(cls):
        first, rest = (
            {f"params_{number}": w.PARAMS for number in numbers} for numbers in ((1, 2), (3, 4, 5))
        )
        return w.inputs(first, rest)

    def combine(self, params_1, params_2, params_3=None, params_4=None, params_5=None):
        given = [p for p in (params_1, params_2, params_3, params_4, params_5) if p is not None]
        return ({name: [one for p in given for one in p[name]] for name in FIELDS},)


class IPAdapterTiled(OldNode):
    NODE_ID, NAME = "IPAdapterTiled", "IPAdapter Tiled"
    INSTEAD = "IPAdapter Tiles and Apply IPAdapter Regions"
    RETURN_TYPES, RETURN_NAMES = ("MODEL", "IMAGE", "MASK"), ("MODEL", "tiles", "masks")
    FUNCTION, BY_FRAME = "apply_tiled", False

    @classmethod
    def INPUT_TYPES(cls):
        combine = {} if cls.BY_FRAME else {"combine_embeds": w.COMBINE_EMBEDS}
        last = {"encode_batch_size": w.ENCODE_BATCH} if cls.BY_FRAME else {}
        return w.inputs(
            {
                **w.PICTURE,
                "weight": w.weight(3),
                "weight_type": w.WEIGHT_TYPE,
                **combine,
                **w.WINDOW,
                "sharpening": w.SHARPENING,
                "embeds_scaling": w.SCALING,
                **last,
            },
            w.SOCKETS,
        )

    def apply_tiled(
        self,
        model,
        ipadapter,
        image,
        weight,
        weight_type,
        start_at,
        end_at,
        sharpening,
        combine_embeds="concat",
        image_negative=None,
        attn_mask=None,
        clip_vision=None,
        embeds_scaling=weight_types.V_ONLY,
        encode_batch_size=0,
    ):
        loaded = opened(ipadapter, self.NAME)
        mask = checked_mask(attn_mask, self.NAME)
        tiles, masks = tiled(image, mask, sharpening, self.NAME)
        old = Old(
            self.NAME,
            weight,
            weight_type,
            combine_embeds,
            start_at,
            end_at,
            embeds_scaling,
            self.BY_FRAME,
        )
        for tile, where in zip(tiles, masks, strict=True):
            pictures = {"image": tile, "image_negative": image_negative}
            model = hung(model, loaded, clip_vision, pictures, old, where)
        return model, torch.cat(tiles), torch.cat(masks)


class IPAdapterTiledBatch(IPAdapterTiled):
    NODE_ID, NAME = "IPAdapterTiledBatch", "IPAdapter Tiled Batch"
    BY_FRAME = True


NODES = [
    IPAdapterRegionalConditioning,
    IPAdapterCombineParams,
    IPAdapterTiled,
    IPAdapterTiledBatch,
]
