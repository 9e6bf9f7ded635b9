"""The apply nodes of IPAdapter_plus: IPAdapter, Advanced, Batch, FaceID, style and composition, precise and the others."""

from typing import Any

from . import input_specs as w, weight_types
from .adapter_link import Loaded, opened
from .encoder_views import PLAIN, View, features_of, nothing_of, paired
from .old_apply import Old, Sides, apply, is_paper
from .old_node import OldNode

Inputs = dict[str, w.Spec]
APPLY = "Apply IPAdapter"
BATCH = f"{APPLY} with 'batch' set to one for each picture"
MAPPED = f"{APPLY} with IPAdapter Weight Map"


class IPAdapterAdvanced(OldNode):
    """The widest of them; the others differ in their widgets alone."""

    NODE_ID, NAME, INSTEAD = "IPAdapterAdvanced", "IPAdapter Advanced", MAPPED
    BY_FRAME = False

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                **w.PICTURE,
                "weight": w.weight(),
                "weight_type": w.WEIGHT_TYPE,
                "combine_embeds": w.COMBINE_EMBEDS,
                **w.WINDOW,
                "embeds_scaling": w.SCALING,
            },
            w.SOCKETS,
        )

    def apply_ipadapter(
        self,
        model,
        ipadapter,
        start_at=0.0,
        end_at=1.0,
        weight=1.0,
        weight_style=1.0,
        weight_composition=1.0,
        expand_style=False,
        weight_type=weight_types.LINEAR,
        combine_embeds="concat",
        weight_faceidv2=None,
        image=None,
        image_style=None,
        image_composition=None,
        image_negative=None,
        clip_vision=None,
        attn_mask=None,
        insightface=None,
        embeds_scaling=weight_types.V_ONLY,
        layer_weights=None,
        ipadapter_params=None,
        encode_batch_size=0,
        style_boost=None,
        composition_boost=None,
        enhance_tiles=1,
        enhance_ratio=1.0,
        weight_kolors=1.0,
    ):
        """-> model, None: the second was the face of a FaceID adapter."""
        second = None
        if image_style is not None:
            image, weight, second = image_style, weight_style, weight_composition
            weight_type = weight_types.STRONG_BOTH if expand_style else "style and composition"
            image_composition = image_style if image_composition is None else image_composition
        if style_boost is not None:
            weight_type, second = weight_types.PRECISE_STYLE, style_boost
        elif composition_boost is not None:
            weight_type, second = weight_types.PRECISE_LAYOUT, composition_boost
        pictures = {
            "image": image,
            "image_composition": image_composition,
            "image_negative": image_negative,
        }
        given = {
            "weight": weight,
            "weight_type": weight_type,
            "start_at": start_at,
            "end_at": end_at,
        }
        view = View(min(enhance_tiles, 16), enhance_ratio)
        loaded = opened(ipadapter, self.NAME)
        regions = _regions(pictures, given, attn_mask, ipadapter_params)
        for one, settings, mask in regions:
            old = Old(
                self.NAME,
                combine=combine_embeds,
                scaling=embeds_scaling,
                by_frame=self.BY_FRAME,
                second=second,
                layers=layer_weights or "",
                **settings,
            )
            model = hung(model, loaded, clip_vision, one, old, mask, view)
        return model if regions else model.clone(), None


def hung(model, loaded: Loaded, clip_vision, pictures, old: Old, mask, view=PLAIN):
    """The model with one old apply node's pictures on it. Raises ValueError."""
    adapter, encoder = loaded.adapter, loaded.clip_vision(clip_vision)
    if pictures.get("image_composition") is not None and adapter.spec.text_width != 2048:
        raise ValueError(
            f"{old.node} takes style and composition from two pictures for SDXL alone, but '{adapter.name}' is for {adapter.spec.base_model}: use two Apply IPAdapter nodes with IPAdapter Weight Map."
        )
    looks = {"image_negative": PLAIN}
    seen = {
        name: features_of(encoder, adapter, one, name, old.node, looks.get(name, view))
        for name, one in pictures.items()
        if one is not None
    }
    if "image" not in seen:
        raise ValueError(f"{old.node} has no picture: connect 'image'.")
    paper = is_paper(model)
    unseen = seen.get("image_negative", nothing_of(encoder, adapter, paper))
    given = (unseen, old.combine, old.by_frame, paper)
    positive, negative = paired(adapter, seen["image"], *given)
    composition = None
    if "image_composition" in seen:
        composition, _ = paired(adapter, seen["image_composition"], *given)
    return apply(model, adapter, Sides(positive, negative, composition), old, mask)


def _regions(pictures, given, mask, params) -> list[tuple[Any, dict[str, Any], Any]]:
    """Pictures, settings and mask of each region; without regions the node's own."""
    if params is None:
        return [(pictures, given, mask)]
    made = []
    for number, image in enumerate(params["image"]):
        if image is not None:
            settings = {name: params[name][number] for name in given}
            made.append(({**pictures, "image": image}, settings, params["attn_mask"][number]))
    return made


class IPAdapter(IPAdapterAdvanced):
    NODE_ID, NAME, INSTEAD = "IPAdapter", "IPAdapter", APPLY

    @classmethod
    def INPUT_TYPES(cls):
        types = ["standard", "prompt is more important", "style transfer"]
        return w.inputs(
            {
                **w.PICTURE,
                "weight": w.weight(3),
                **w.WINDOW,
                "weight_type": w.choice(types, "What to take from the picture."),
            },
            {"attn_mask": w.MASK},
        )

    def apply_ipadapter(
        self, model, ipadapter, image, weight, start_at, end_at, weight_type, attn_mask=None
    ):
        return super().apply_ipadapter(
            model,
            ipadapter,
            start_at,
            end_at,
            weight,
            weight_type="style transfer" if weight_type.startswith("style") else weight_type,
            image=image,
            attn_mask=attn_mask,
        )


class IPAdapterBatch(IPAdapterAdvanced):
    NODE_ID, NAME, INSTEAD = "IPAdapterBatch", "IPAdapter Batch (Adv.)", BATCH
    BY_FRAME = True

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                **w.PICTURE,
                "weight": w.weight(),
                "weight_type": w.WEIGHT_TYPE,
                **w.WINDOW,
                "embeds_scaling": w.SCALING,
                "encode_batch_size": w.ENCODE_BATCH,
            },
            w.SOCKETS,
        )


NODES = [IPAdapter, IPAdapterAdvanced, IPAdapterBatch]
