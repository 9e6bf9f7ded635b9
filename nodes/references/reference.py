"""Encode IPAdapter Reference and IPAdapter Negative Reference: pictures become embeds that other nodes combine and save."""

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

import comfy.utils
from comfy_api.latest import io

from ...ipadapter_core.adapter.checkpoint import EMBEDS
from ...ipadapter_core.references.embeds import References, many_scales
from ...ipadapter_core.references.noise import NOISES, noisy
from ..pictures import rgb
from ..recall import recall
from ..sockets import ABSENT, EmbedsSocket, IPAdapterSocket, option_problem, require_adapter
from .boxes import box_input, box_problem, crop_to_box
from .encode import (
    CROP,
    FITS,
    PAD,
    box_editor_picture,
    encode,
    encode_reference,
    pad_to_square,
    unconditional_output,
)
from .pair import needs_encoded_zeros, references_for

NODE, NEGATIVE_NODE = "Encode IPAdapter Reference", "IPAdapter Negative Reference"
NONE, ZEROS, BLACK, PICTURE = "none", "zeros", "black", "image"
KINDS = [ZEROS, NONE, BLACK, PICTURE, *NOISES]
TOKENS, FEATURES = "tokens", "features"
WEIGHED = [TOKENS, FEATURES]
SIDE = 224  # of a noise picture where none is connected


NO_PICTURE = f"{NEGATIVE_NODE}'s kind 'image' needs a picture: connect 'image'."


class EncodeIPAdapterReference(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EncodeIPAdapterReference",
            display_name=NODE,
            category="ipadapter/embeds",
            search_aliases=["ipadapter encoder", "clip vision enhancer", "tiles", "embeds"],
            description="Encodes reference pictures for an adapter, once: the embeds can be "
            "combined, saved as a file and used by many Apply IPAdapter nodes.",
            inputs=[
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter the embeds are for."),
                io.ClipVision.Input("clip_vision", tooltip="The encoder that the adapter needs."),
                io.Image.Input("image", tooltip="The reference; a batch is several references."),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=-5.0,
                    max=5.0,
                    step=0.05,
                    tooltip="How much this reference counts among those it is combined with.",
                ),
                io.Combo.Input(
                    "fit",
                    options=FITS,
                    default=CROP,
                    tooltip="How a reference that is not square becomes square: as in Apply "
                    "IPAdapter.",
                ),
                io.Int.Input(
                    "detail",
                    default=1,
                    min=1,
                    max=16,
                    optional=True,
                    tooltip="From 2 on the picture is also cut into detail x detail tiles, each "
                    "seen by the encoder on its own, and their patches averaged back to one "
                    "grid: a large picture keeps its small things.",
                ),
                io.Float.Input(
                    "detail_ratio",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How much of the tiles: 0 is the whole picture alone, 1 the tiles "
                    "alone.",
                ),
                box_input(),
                io.Combo.Input(
                    "weight_on",
                    options=WEIGHED,
                    default=TOKENS,
                    optional=True,
                    tooltip="What the weight multiplies. tokens: what the adapter makes of the "
                    "reference, so that 0 is nothing at all; features: what the encoder saw, "
                    "before the adapter, which evens most of it out, as IPAdapter_plus has it.",
                ),
            ],
            outputs=[
                EmbedsSocket.Output("embeds", tooltip="The references, encoded."),
                EmbedsSocket.Output(
                    "embeds_negative",
                    tooltip="What this encoder gives for nothing: save it with the embeds, and no "
                    "encoder is needed later.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, box="", weight_on=TOKENS):
        wrong = box_problem(box, NODE) or option_problem(weight_on, WEIGHED, NODE, "weight_on")
        return wrong or True

    @classmethod
    def execute(
        cls,
        ipadapter,
        clip_vision,
        image,
        weight,
        fit,
        detail=1,
        detail_ratio=0.5,
        box="",
        weight_on=TOKENS,
    ):
        adapter = require_adapter(ipadapter)
        found = encode_reference(clip_vision, image, fit, "image", NODE, box)
        if found is None:
            raise ValueError(f"{NODE} got an empty 'image': connect at least one picture.")
        made = references_for(found.output, adapter, "image")
        if detail > 1:
            made = replace(
                made, features=_detailed(clip_vision, image, fit, detail, detail_ratio, made, box)
            )
        notes = {
            "fit": fit,
            "detail": f"{detail} x {detail} tiles, {detail_ratio}" if detail > 1 else "none",
            "picture": _digest(image),
            "box": box.strip() or "none",
            "encoder_hash": _encoder_digest(clip_vision),
        }
        if weight_on == FEATURES:
            made = replace(made, features=made.features * weight, notes=notes)
        else:
            made = replace(made, weights=(weight,) * len(made.features), notes=notes)
        shown = {**found.shown, **box_editor_picture(clip_vision, image)}
        return io.NodeOutput(made, _zeros(adapter, clip_vision), ui=shown)


class IPAdapterNegativeReference(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="IPAdapterNegativeReference",
            display_name=NEGATIVE_NODE,
            category="ipadapter/embeds",
            search_aliases=["ipadapter noise", "negative image", "uncond", "image_negative"],
            description="What the negative side sees in place of a picture. Guidance leads away "
            "from it.",
            inputs=[
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter the embeds are for."),
                io.ClipVision.Input("clip_vision", tooltip="The encoder that the adapter needs."),
                io.Combo.Input(
                    "kind",
                    options=KINDS,
                    default=ZEROS,
                    tooltip="zeros: nothing, as the adapters were trained; none: no image part at "
                    "all on the negative side; black: a black picture, as IPAdapter_plus does; "
                    "image: the picture itself; the others put noise into the picture, or into "
                    "black.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How much noise.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    tooltip="Of the noise: the same seed gives the same noise.",
                ),
                io.Int.Input(
                    "blur",
                    default=0,
                    min=0,
                    max=32,
                    tooltip="Radius in pixels by which the noisy picture is blurred.",
                ),
                io.Image.Input(
                    "image", optional=True, tooltip="The picture for 'image' and the noises."
                ),
                io.Combo.Input(
                    "fit",
                    options=FITS,
                    default=CROP,
                    optional=True,
                    tooltip="As in Apply IPAdapter.",
                ),
            ],
            outputs=[
                EmbedsSocket.Output("embeds", tooltip="For 'embeds_negative' of Apply IPAdapter."),
                io.Image.Output(
                    "image", tooltip="The picture that was encoded; black for none and zeros."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, kind=ZEROS, image=ABSENT):
        if kind == PICTURE and image is ABSENT:
            return NO_PICTURE
        return option_problem(kind, KINDS, NEGATIVE_NODE, "kind") or True

    @classmethod
    def execute(cls, ipadapter, clip_vision, kind, strength, seed, blur, image=None, fit=CROP):
        adapter = require_adapter(ipadapter)
        black = torch.zeros(1, SIDE, SIDE, 3)
        if kind in (NONE, ZEROS):
            made = _zeros(adapter, clip_vision)
            return io.NodeOutput(replace(made, silent=kind == NONE), black)
        if kind == PICTURE and image is None:
            raise ValueError(NO_PICTURE)
        picture = black if image is None or kind == BLACK else rgb(image, NEGATIVE_NODE, "image")
        if kind in NOISES:
            picture = noisy(picture, kind, strength, seed, blur)
        found = encode_reference(clip_vision, picture, fit, "image", NEGATIVE_NODE)
        if found is None:
            raise ValueError(f"{NEGATIVE_NODE} got an empty 'image': connect at least one picture.")
        return io.NodeOutput(references_for(found.output, adapter, "image"), picture)


def _zeros(adapter, clip_vision) -> References:
    if needs_encoded_zeros(adapter):
        return references_for(unconditional_output(clip_vision), adapter, "image")
    return References.of(torch.zeros(1, adapter.spec.projector.features), EMBEDS)


def _detailed(clip_vision, image, fit, tiles, ratio, made: References, box):
    """The features of each picture with those of its tiles, recalled."""

    def make() -> Tensor:
        rows, pictures = [], crop_to_box(rgb(image, NODE, "image"), box, NODE)
        progress = comfy.utils.ProgressBar(len(pictures) * tiles * tiles)
        for number, picture in enumerate(pictures.split(1)):
            cut = _tiles(_squared(picture, fit), tiles)
            output = encode(clip_vision, cut, CROP, progress)
            whole_features = made.features[number : number + 1]
            rows.append(many_scales(whole_features, getattr(output, made.feature), ratio))
        return torch.cat(rows)

    settings = ("detail", fit, tiles, ratio, made.feature, box)
    return recall(clip_vision.patcher, (image,), settings, make)


def _squared(picture, fit):
    """[1, S, S, 3] as the encoder's own crop would show it, at full size."""
    if fit == PAD:
        return pad_to_square(picture, fit)
    height, width = picture.shape[1:3]
    side = min(height, width)
    if fit == CROP:
        top, left = (height - side) // 2, (width - side) // 2
        return picture[:, top : top + side, left : left + side]
    channels = picture.movedim(-1, 1)
    stretched = torch.nn.functional.interpolate(
        channels, (side, side), mode="bicubic", antialias=True
    )
    return stretched.clamp(0, 1).movedim(1, -1)


def _tiles(picture, count):
    """[1, S, S, 3] -> [count * count, s, s, 3], row by row; each tile is as large as the others, cut at the nearest pixel."""
    side = picture.shape[1]
    if side < count:
        raise ValueError(
            f"{NODE}'s 'detail' is {count}, but the picture is only {side} pixels wide: use less."
        )
    size = -(-side // count)
    starts = [round(number * (side - size) / max(1, count - 1)) for number in range(count)]
    return torch.cat([picture[:, y : y + size, x : x + size] for y in starts for x in starts])


def _digest(image) -> str:
    pixels = (image.float().cpu().clamp(0, 1) * 255).round().byte()
    return hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest()


def _encoder_digest(clip_vision) -> str:
    """Of a few weights of every layer: enough to tell two encoders apart, without reading gigabytes."""

    def make() -> str:
        digest = hashlib.sha256()
        for name, weight in sorted(clip_vision.model.state_dict().items()):
            digest.update(f"{name} {tuple(weight.shape)}".encode())
            digest.update(weight.flatten()[:64].float().cpu().numpy().tobytes())
        return digest.hexdigest()

    return recall(clip_vision.patcher, (), "digest", make)
