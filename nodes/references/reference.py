"""Encode IPAdapter Reference: images become embeds that other nodes combine and save."""

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import comfy.utils
from comfy.clip_vision import ClipVisionModel
from comfy_api.latest import io

from ...ipadapter_core.references.embeds import References, many_scales
from ...ipadapter_core.references.images import CROP, cut_tiles, full_size_square, to_bytes
from ..pictures import rgb
from ..recall import Recalled, recall
from ..sockets import EmbedsSocket, IPAdapterSocket, option_problem, require_adapter
from .boxes import box_input, box_problem, crop_to_box
from .encode import box_editor_picture, encode, encode_reference, encoder_digest
from .fit import fit_input
from .pair import references_for, unconditional

NODE = "Encode IPAdapter Reference"
TOKENS, FEATURES = "tokens", "features"
WEIGHT_TARGETS = [TOKENS, FEATURES]


class EncodeIPAdapterReference(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EncodeIPAdapterReference",
            display_name=NODE,
            category="ipadapter/embeds",
            search_aliases=["ipadapter encoder", "clip vision enhancer", "tiles", "embeds"],
            description="Encodes reference images for an adapter once. The embeds can be combined, "
            "saved to a file, and used by many Apply IPAdapter nodes.",
            inputs=[
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter the embeds are for."),
                io.ClipVision.Input(
                    "clip_vision", tooltip="The image encoder that the adapter needs."
                ),
                io.Image.Input(
                    "image", tooltip="The reference image; a batch is several references."
                ),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=-5.0,
                    max=5.0,
                    step=0.05,
                    tooltip="How much this reference counts when it is combined with others.",
                ),
                fit_input(
                    "How a reference that is not square becomes square: as in Apply IPAdapter.",
                ),
                io.Int.Input(
                    "detail",
                    default=1,
                    min=1,
                    max=16,
                    optional=True,
                    tooltip="From 2 on, the image is also cut into detail x detail tiles, which "
                    "are encoded one by one and averaged into one grid. This keeps the small "
                    "details of a large image.",
                ),
                io.Float.Input(
                    "detail_ratio",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How much the tiles count: 0 uses the whole image alone, 1 the tiles "
                    "alone.",
                ),
                box_input(),
                io.Combo.Input(
                    "weight_on",
                    options=WEIGHT_TARGETS,
                    default=TOKENS,
                    optional=True,
                    tooltip="What the weight multiplies. tokens: the image tokens that the adapter "
                    "makes of the reference; 0 removes it. features: the output of the encoder, as "
                    "in IPAdapter_plus; the adapter evens out most of the difference.",
                ),
            ],
            outputs=[
                EmbedsSocket.Output("embeds", tooltip="The encoded references."),
                EmbedsSocket.Output(
                    "embeds_negative",
                    tooltip="The unconditional embeds: what the encoder gives for no image. Save "
                    "them with the embeds, and no encoder is needed later.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, box: object = "", weight_on: object = TOKENS) -> bool | str:
        problem = box_problem(box, NODE) or option_problem(
            weight_on, WEIGHT_TARGETS, NODE, "weight_on"
        )
        return problem or True

    @classmethod
    def execute(
        cls,
        ipadapter: object,
        clip_vision: ClipVisionModel,
        image: Tensor,
        weight: float,
        fit: str,
        detail: int = 1,
        detail_ratio: float = 0.5,
        box: str = "",
        weight_on: str = TOKENS,
    ) -> io.NodeOutput:
        adapter = require_adapter(ipadapter)
        if adapter.spec.identity_input is not None:
            raise ValueError(
                f"'{adapter.name}' takes the identity of a face: encode the image with Encode "
                f"Face Identity instead of {NODE}."
            )
        encoded = encode_reference(clip_vision, image, fit, "image", NODE, box)
        if encoded is None:
            raise ValueError(f"{NODE} got an empty 'image': connect at least one image.")
        references = references_for(encoded.output, adapter, "image")
        if detail > 1:
            tiles = TileSettings(count=detail, ratio=detail_ratio, fit=fit, box=box)
            references = add_detail(references, clip_vision, image, tiles)
        notes = {
            "fit": fit,
            "detail": f"{detail} x {detail} tiles, {detail_ratio}" if detail > 1 else "none",
            "picture": _image_digest(image),
            "box": box.strip() or "none",
            "encoder_hash": encoder_digest(clip_vision),
        }
        if weight_on == FEATURES:
            references = references.change_features(lambda tensor: tensor * weight)
        else:
            references = replace(references, weights=(weight,) * references.count)
        references = replace(references, notes=notes)
        display = {**encoded.display, **box_editor_picture(clip_vision.patcher, image)}
        return io.NodeOutput(references, unconditional(adapter, clip_vision), ui=display)


@dataclass(frozen=True)
class TileSettings:
    """How a reference is also encoded in detail: count x count tiles, and how much they count."""

    count: int
    ratio: float
    fit: str
    box: str


def add_detail(
    references: References, clip_vision: ClipVisionModel, image: Tensor, tiles: TileSettings
) -> References:
    """References whose features are mixed with those of each image's tiles, recalled."""

    def make() -> dict[str, Tensor]:
        images = crop_to_box(rgb(image, NODE, "image"), tiles.box, NODE)
        progress = comfy.utils.ProgressBar(len(images) * tiles.count * tiles.count)
        features_by_image: list[dict[str, Tensor]] = []
        for number in range(len(images)):
            square = full_size_square(images[number : number + 1], tiles.fit)
            if square.shape[1] < tiles.count:
                raise ValueError(
                    f"{NODE}'s 'detail' is {tiles.count}, but the image is only "
                    f"{square.shape[1]} pixels wide: use less."
                )
            output = encode(clip_vision, cut_tiles(square, tiles.count), CROP, progress)
            image_features = {
                name: many_scales(whole[number : number + 1], getattr(output, name), tiles.ratio)
                for name, whole in references.features.items()
            }
            features_by_image.append(image_features)
        return {
            name: torch.cat([image_features[name] for image_features in features_by_image])
            for name in references.features
        }

    settings = (tuple(references.features), tiles)
    kind = Recalled.DETAILED_FEATURES
    features = recall(clip_vision.patcher, kind, make, (image,), settings)
    return replace(references, features=features)


def _image_digest(image: Tensor) -> str:
    pixels = to_bytes(image.float().cpu())
    return hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest()
