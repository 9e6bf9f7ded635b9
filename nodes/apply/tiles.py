"""IPAdapter Tiles: a large reference cut into squares, each a region of its own."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from comfy.clip_vision import ClipVisionModel
from comfy_api.latest import io

from ...ipadapter_core.attention.regions import tile_boxes, tile_masks
from ...ipadapter_core.attention.scaling import V_ONLY
from ...ipadapter_core.references.embeds import References
from ..pictures import rgb
from ..recall import Recalled, recall
from ..references.side_inputs import ReferenceEncoder, SideInputs, negative_inputs
from ..sampling.image_prompt import PromptSettings
from ..sockets import (
    EmbedsSocket,
    IPAdapterSocket,
    LoadedAdapter,
    RegionSocket,
    optional_weight_map,
    require_adapter,
)
from .inputs import warn_of_empty_range
from .regions import Region, advanced_inputs, basic_inputs

NODE = "IPAdapter Tiles"


class IPAdapterTiles(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="IPAdapterTiles",
            display_name=NODE,
            category="ipadapter/regions",
            search_aliases=["ipadapter tiled", "large reference", "panorama"],
            description="Keeps the composition of a large reference: cuts it into square tiles "
            "that are encoded one by one, each for its own part of the generated image.",
            inputs=[
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter."),
                *basic_inputs(),
                io.ClipVision.Input(
                    "clip_vision", tooltip="The image encoder that the adapter needs."
                ),
                io.Image.Input("image", tooltip="The large reference image."),
                io.Int.Input(
                    "short_side",
                    default=1,
                    min=1,
                    max=4,
                    tooltip="The number of tiles along the shorter side. A nearly square reference "
                    "is cut into at least 2 x 2 tiles.",
                ),
                *advanced_inputs(),
                EmbedsSocket.Input(
                    "embeds_negative",
                    optional=True,
                    tooltip="The embeds for the negative conditioning, the same for all tiles.",
                ),
            ],
            outputs=[
                RegionSocket.Output("region", tooltip="All tiles, for Apply IPAdapter Regions."),
                io.Image.Output("tiles", tooltip="The tiles, row by row."),
                io.Mask.Output("masks", tooltip="The mask of each tile."),
            ],
        )

    @classmethod
    def execute(
        cls,
        ipadapter: object,
        weight: float,
        start_at: float,
        end_at: float,
        fit: str,
        clip_vision: ClipVisionModel,
        image: Tensor,
        short_side: int,
        weight_map: object = None,
        scaling: str = V_ONLY,
        keep_prompt: float = 0.0,
        embeds_negative: object = None,
    ) -> io.NodeOutput:
        adapter, pictures = require_adapter(ipadapter), rgb(image, NODE, "image")
        _check_inputs(adapter, pictures)
        height, width = pictures.shape[1:3]
        squares = tile_boxes(height, width, short_side)
        tiles = _cut_recalled(clip_vision, image, pictures, squares)
        encoder = ReferenceEncoder(clip_vision, adapter, fit=fit, node=NODE)
        negative_side = negative_inputs(embeds=embeds_negative)
        references = encoder.encode_sides(SideInputs(image=tiles), negative_side)
        assert references is not None  # there is a picture
        warn_of_empty_range(NODE, start_at, end_at)
        settings = PromptSettings(
            weight=weight,
            start_at=start_at,
            end_at=end_at,
            weight_map=optional_weight_map(weight_map),
            scaling=scaling,
            keep_prompt=keep_prompt,
        )
        masks = tile_masks(height, width, squares)
        regions = _regions(adapter, references, settings, masks)
        return io.NodeOutput(regions, tiles, torch.cat(masks), ui=encoder.display)


def _check_inputs(adapter: LoadedAdapter, pictures: Tensor) -> None:
    if not len(pictures):
        raise ValueError(f"{NODE} got an empty 'image': connect an image.")
    if adapter.spec.identity_input is not None:
        raise ValueError(
            f"{NODE} cuts an image into tiles, but '{adapter.name}' takes the identity of a face: "
            "connect the image to Apply IPAdapter or IPAdapter Region."
        )


def _cut_recalled(
    clip_vision: ClipVisionModel,
    image: Tensor,
    pictures: Tensor,
    squares: Sequence[tuple[int, int, int]],
) -> Tensor:
    """The tiles of the first picture: for the same image the same tensor.

    The encoder recalls its output by it.
    """

    def make() -> Tensor:
        return torch.cat(
            [pictures[:1, top : top + side, left : left + side] for top, left, side in squares]
        )

    kind = Recalled.REFERENCE_TILES
    return recall(clip_vision.patcher, kind, make, (image,), tuple(squares))


def _regions(
    adapter: LoadedAdapter,
    references: tuple[References, References | None],
    settings: PromptSettings,
    masks: Sequence[Tensor],
) -> tuple[Region, ...]:
    """One region for each tile, with that tile as its reference."""
    tiles, negative = references
    return tuple(
        Region(adapter, _single_reference(tiles, number), negative, settings=settings, mask=mask)
        for number, mask in enumerate(masks)
    )


def _single_reference(references: References, number: int) -> References:
    single = references.change_features(lambda tensor: tensor[number : number + 1])
    return replace(single, weights=references.weights[number : number + 1])
