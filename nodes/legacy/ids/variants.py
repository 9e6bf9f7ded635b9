"""The other apply nodes of IPAdapter_plus: what differs from IPAdapter Advanced is their widgets."""

from typing import ClassVar

from . import input_specs as w
from .apply_nodes import APPLY, MAPPED, Inputs, IPAdapterAdvanced


class IPAdapterFaceID(IPAdapterAdvanced):
    NODE_ID, NAME, INSTEAD = "IPAdapterFaceID", "IPAdapter FaceID", f"Face Crop and {APPLY}"
    RETURN_TYPES = ("MODEL", "IMAGE")
    RETURN_NAMES = ("MODEL", "face_image")
    KOLORS = False

    @classmethod
    def INPUT_TYPES(cls):
        kolors = {"weight_kolors": w.number(1.0, -1, 5.0, 0.05, "For Kolors adapters alone.")}
        return w.inputs(
            {
                **w.PICTURE,
                "weight": w.weight(3),
                "weight_faceidv2": w.FACE_V2,
                **(kolors if cls.KOLORS else {}),
                "weight_type": w.WEIGHT_TYPE,
                "combine_embeds": w.COMBINE_EMBEDS,
                **w.WINDOW,
                "embeds_scaling": w.SCALING,
            },
            w.FACE_SOCKETS,
        )


class IPAdapterFaceIDKolors(IPAdapterFaceID):
    NODE_ID, NAME = "IPAdapterFaceIDKolors", "IPAdapter FaceID Kolors"
    KOLORS = True


class IPAAdapterFaceIDBatch(IPAdapterFaceID):
    NODE_ID, NAME = "IPAAdapterFaceIDBatch", "IPAdapter FaceID Batch"
    BY_FRAME = True


class IPAdapterStyleComposition(IPAdapterAdvanced):
    NODE_ID, NAME = "IPAdapterStyleComposition", "IPAdapter Style & Composition SDXL"
    INSTEAD = f"two {MAPPED}, one for style and one for layout"
    COMBINE: ClassVar[Inputs] = {
        "combine_embeds": w.choice(w.COMBINE, "How several references become one.", "average")
    }

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "model": w.MODEL,
                "ipadapter": w.IPADAPTER,
                "image_style": w.link("IMAGE", "The picture to take the style from."),
                "image_composition": w.link("IMAGE", "The picture to take the composition from."),
                "weight_style": w.number(1.0, -1, 5, 0.05, "How much style."),
                "weight_composition": w.number(1.0, -1, 5, 0.05, "How much composition."),
                "expand_style": w.switch(False, "Takes style from more layers."),
                **cls.COMBINE,
                **w.WINDOW,
                "embeds_scaling": w.SCALING,
            },
            w.SOCKETS,
        )


class IPAdapterStyleCompositionBatch(IPAdapterStyleComposition):
    NODE_ID = "IPAdapterStyleCompositionBatch"
    NAME = "IPAdapter Style & Composition Batch SDXL"
    BY_FRAME, COMBINE = True, {}


class IPAdapterMS(IPAdapterAdvanced):
    NODE_ID, NAME = "IPAdapterMS", "IPAdapter Mad Scientist"
    INSTEAD = f"{MAPPED}, whose 'layers' takes the same text"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                **w.PICTURE,
                "weight": w.weight(),
                "weight_faceidv2": w.FACE_V2,
                "weight_type": w.WEIGHT_TYPE,
                "combine_embeds": w.COMBINE_EMBEDS,
                **w.WINDOW,
                "embeds_scaling": w.SCALING,
                "layer_weights": w.text("", "Weights of blocks by number, like 3:1, 6:0.5.", True),
            },
            w.FACE_SOCKETS,
        )


class IPAdapterClipVisionEnhancer(IPAdapterAdvanced):
    NODE_ID, NAME = "IPAdapterClipVisionEnhancer", "IPAdapter ClipVision Enhancer"
    INSTEAD = "Encode IPAdapter Reference, whose 'detail' does it"
    RATIO, COMBINE, LAST = 1.0, {"combine_embeds": w.COMBINE_EMBEDS}, {}

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                **w.PICTURE,
                "weight": w.weight(),
                "weight_type": w.WEIGHT_TYPE,
                **cls.COMBINE,
                **w.WINDOW,
                "embeds_scaling": w.SCALING,
                "enhance_tiles": w.count(2, 1, 16, "The picture is cut into so many tiles a side."),
                "enhance_ratio": w.number(
                    cls.RATIO, 0.0, 1.0, 0.05, "How much the whole picture counts."
                ),
                **cls.LAST,
            },
            w.SOCKETS,
        )


class IPAdapterClipVisionEnhancerBatch(IPAdapterClipVisionEnhancer):
    NODE_ID, NAME = "IPAdapterClipVisionEnhancerBatch", "IPAdapter ClipVision Enhancer Batch"
    BY_FRAME, RATIO, COMBINE = True, 0.5, {}
    LAST: ClassVar[Inputs] = {"encode_batch_size": w.ENCODE_BATCH}


class IPAdapterFromParams(IPAdapterAdvanced):
    NODE_ID, NAME = "IPAdapterFromParams", "IPAdapter from Params"
    INSTEAD = "Apply IPAdapter Regions"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "model": w.MODEL,
                "ipadapter": w.IPADAPTER,
                "ipadapter_params": w.PARAMS,
                "combine_embeds": w.COMBINE_EMBEDS,
                "embeds_scaling": w.SCALING,
            },
            {"image_negative": w.IMAGE_NEGATIVE, "clip_vision": w.CLIP_VISION},
        )


class IPAdapterPreciseStyleTransfer(IPAdapterAdvanced):
    NODE_ID, NAME = "IPAdapterPreciseStyleTransfer", "IPAdapter Precise Style Transfer"
    INSTEAD = f"{MAPPED} and 'precise style'"
    BOOST: ClassVar[Inputs] = {
        "style_boost": w.number(1.0, -5, 5, 0.05, "How far the composition is kept away.")
    }

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                **w.PICTURE,
                "weight": w.weight(),
                **cls.BOOST,
                "combine_embeds": w.COMBINE_EMBEDS,
                **w.WINDOW,
                "embeds_scaling": w.SCALING,
            },
            w.SOCKETS,
        )


class IPAdapterPreciseStyleTransferBatch(IPAdapterPreciseStyleTransfer):
    NODE_ID = "IPAdapterPreciseStyleTransferBatch"
    NAME = "IPAdapter Precise Style Transfer Batch"
    BY_FRAME = True


class IPAdapterPreciseComposition(IPAdapterPreciseStyleTransfer):
    NODE_ID, NAME = "IPAdapterPreciseComposition", "IPAdapter Precise Composition"
    INSTEAD = f"{MAPPED} and 'precise layout'"
    BOOST: ClassVar[Inputs] = {
        "composition_boost": w.number(0.0, -5, 5, 0.05, "How far the style is kept away.")
    }


class IPAdapterPreciseCompositionBatch(IPAdapterPreciseComposition):
    NODE_ID, NAME = "IPAdapterPreciseCompositionBatch", "IPAdapter Precise Composition Batch"
    BY_FRAME = True


NODES = [
    IPAdapterFaceID,
    IPAdapterFaceIDKolors,
    IPAAdapterFaceIDBatch,
    IPAdapterStyleComposition,
    IPAdapterStyleCompositionBatch,
    IPAdapterMS,
    IPAdapterClipVisionEnhancer,
    IPAdapterClipVisionEnhancerBatch,
    IPAdapterFromParams,
    IPAdapterPreciseStyleTransfer,
    IPAdapterPreciseStyleTransferBatch,
    IPAdapterPreciseComposition,
    IPAdapterPreciseCompositionBatch,
]
