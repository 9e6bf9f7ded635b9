"""IPAdapter Weight Map: what to take from a picture, by layer and moment."""

from typing import Any, cast

from torch import Tensor

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io, ui

from ...ipadapter_core.messages import Predicate
from ...ipadapter_core.weights.blocks import Block
from ...ipadapter_core.weights.presets import BALANCED_TAKE, TAKES, is_known_for
from ...ipadapter_core.weights.weight_map import (
    MapSettings,
    WeightMap,
    block_name,
    check_texts,
    make_map,
)
from ..drawing import draw_heat_map
from ..sampling.layers import model_blocks
from ..sockets import KEEPS_SHOWING, WeightMapSocket, optional_weight_map

NODE = "IPAdapter Weight Map"


class IPAdapterWeightMap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="IPAdapterWeightMap",
            display_name=NODE,
            category="ipadapter",
            **KEEPS_SHOWING,
            search_aliases=[
                "weight type",
                "style transfer",
                "composition",
                "layer weights",
                "mad scientist",
                "schedule",
            ],
            description="Chooses what to take from a reference image: a kind such as style or "
            "layout, times a weight for each block of layers, times a curve over the steps. Apply "
            "IPAdapter multiplies the map by its own weight.",
            inputs=[
                io.Model.Input("model", tooltip="The model that the map is for."),
                io.Combo.Input(
                    "take",
                    options=list(TAKES),
                    default=BALANCED_TAKE,
                    tooltip="balanced: everything; style: how the image looks; layout: where "
                    "things are; subject: what the image shows. strong: from neighbouring layers "
                    "as well; precise: the result also moves away from the rest, through the "
                    "negative conditioning. The other kinds weaken or strengthen layers by depth.",
                ),
                _amount("amount", "The weight of the chosen kind."),
                _amount(
                    "second_amount",
                    "The weight of the second part, for the kinds that have two: the layout of "
                    "'style and layout'; for the precise kinds, how strongly the result moves "
                    "away from the rest.",
                ),
                io.String.Input(
                    "layers",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="A factor for each block, in the order of the model: 16 numbers for "
                    "SD1.5, 11 for SDXL, 57 for FLUX.1, 38 for SD3.5 Large. Or give only some "
                    "blocks, by number from 0 or by name: 3:1, middle:0.5. The others are then "
                    "0, or the factor given for 'rest': middle:0, rest:1. Empty: 1 for all.",
                ),
                io.String.Input(
                    "curve",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="A factor over time, where 0 is the first step and 1 the end: "
                    "keyframes like 0:1.0, 0.4:0.6 ease, 1:0. The word says how the curve gets to "
                    "its keyframe: linear, ease, ease in, ease out, ease in-out, hold. Empty: 1 "
                    "throughout.",
                ),
                io.Float.Input(
                    "jitter",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="Changes every weight at random by up to this share of its value: 0.1 "
                    "is up to 10 percent.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    control_after_generate=io.ControlAfterGenerate.fixed,
                    optional=True,
                    tooltip="Seed of the jitter: the same seed gives the same changes.",
                ),
                WeightMapSocket.Input(
                    "multiply", optional=True, tooltip="Another map to multiply this one by."
                ),
                WeightMapSocket.Input(
                    "add", optional=True, tooltip="Another map to add, after 'multiply'."
                ),
            ],
            outputs=[
                WeightMapSocket.Output("weight_map", tooltip="The map, for Apply IPAdapter."),
                io.Image.Output(
                    "picture",
                    tooltip="The map as an image: blocks from top to bottom, time from left to "
                    "right; orange where the result follows the reference, blue where it moves "
                    "away from it.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, layers: object = "", curve: object = "") -> bool | str:
        """Whether the texts make sense for any model; a linked text is unknown before that."""
        texts = [text if isinstance(text, str) else "" for text in (layers, curve)]
        try:
            check_texts(*texts)
        except Predicate as error:
            return str(error.about(f"{NODE}'s"))
        return True

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        take: str,
        amount: float,
        second_amount: float,
        layers: str = "",
        curve: str = "",
        jitter: float = 0.0,
        seed: int = 0,
        multiply: object = None,
        add: object = None,
    ) -> io.NodeOutput:
        blocks = _blocks_for(take, model)
        settings = MapSettings(
            take=take,
            first_amount=amount,
            second_amount=second_amount,
            layers=layers,
            curve=curve,
            jitter=jitter,
            seed=seed,
        )
        try:
            weight_map = make_map(blocks, settings)
        except Predicate as error:
            raise error.about(f"{NODE}'s") from None
        if factor := optional_weight_map(multiply, "multiply"):
            weight_map = weight_map.times(factor)
        if summand := optional_weight_map(add, "add"):
            weight_map = weight_map.plus(summand)
        picture = draw_weight_map(weight_map)
        block_names = [block_name(block) for block in blocks]
        display = cast("dict[str, Any]", ui.PreviewImage(picture, cls=cls).as_dict())
        return io.NodeOutput(weight_map, picture, ui={**display, "blocks": block_names})


def _blocks_for(take: str, model: ModelPatcher) -> tuple[Block, ...]:
    """The model's blocks. Raises ValueError where it has none, or none known to carry that."""
    blocks = model_blocks(model)
    if not blocks:
        raise ValueError(
            f"{NODE}'s 'model' has no attention layers that adapters can use: connect an "
            "SD1.5, SDXL, FLUX.1 or SD3.5 Large model."
        )
    if not is_known_for(take, blocks):
        raise ValueError(
            f"{NODE}'s 'take' is '{take}', but it is not known which blocks of this model "
            "carry that: choose balanced or one of the eases, or give factors in 'layers'."
        )
    return blocks


def draw_weight_map(weight_map: WeightMap) -> Tensor:
    """The map as a heat map; where a block is on both sides, positive less negative."""
    moments = zip(weight_map.positive, weight_map.negative, strict=True)
    differences = [
        [positive - negative for positive, negative in zip(*sides, strict=True)]
        for sides in moments
    ]
    rows_by_block = list(zip(*differences, strict=True))
    block_names = [block_name(block) for block in weight_map.blocks]
    return draw_heat_map(rows_by_block, block_names, "weight by layer")


def _amount(name: str, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=1.0, min=-5.0, max=5.0, step=0.05, tooltip=tooltip)
