"""Watch and Show IPAdapter Attention: where references were attended to while sampling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ...ipadapter_core.attention.image_part import token_shares
from ...ipadapter_core.attention.keys import NEGATIVE
from ...ipadapter_core.messages import Predicate, printable
from ...ipadapter_core.weights.blocks import Block
from ...ipadapter_core.weights.curves import numbers
from ..apply import inputs
from ..drawing import overlay_heat
from ..pictures import rgb
from ..sampling.image_prompt import ImagePrompt, model_sampling, transformer_options
from ..sampling.kept_tensors import WatchTotals
from ..sampling.layers import model_blocks
from ..sampling.model_call import ModelCall, Observation
from ..sampling.patch import WATCH_KEY, add_wrappers
from ..sockets import WatchSocket, require_type

NODE, SHOW_NODE = "Watch IPAdapter Attention", "Show IPAdapter Attention"
GRID = 64  # longer side of the maps
MOST_TOKENS = 32  # that are shown


@dataclass(eq=False)
class Watch:
    """Which adapter to look at, where and when; and the maps of the last sampling.

    maps: [B, 1 + T, h, w], first the strength of the image part, then the attention to each token.
    """

    number: int  # of the prompt on the model, from 1
    blocks: frozenset[Block]
    start_sigma: float
    end_sigma: float
    maps: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> "Watch":
        return self

    def prompt_at(self, prompts: tuple[ImagePrompt, ...], sigma: Tensor) -> ImagePrompt | None:
        """The prompt to look at now, or None."""
        is_active = self.end_sigma <= float(sigma[0]) <= self.start_sigma
        return prompts[self.number - 1] if is_active and self.number <= len(prompts) else None

    def look(self, call: ModelCall, observation: Observation) -> None:
        """Add one layer of one call to the run's totals."""
        site, rows = observation.site, call.rows
        positive_rows = [row for row, role in enumerate(rows.roles) if role != NEGATIVE]
        if site.address[:2] not in self.blocks or not positive_rows:
            return
        token_maps = torch.cat((_strength(observation), _shares(observation)), 1)
        maps_by_row = token_maps.reshape(len(rows.roles), -1, *token_maps.shape[1:])
        positive_maps = maps_by_row[positive_rows].mean(0)
        height, width = site.grid
        size = [max(1, round(length * GRID / max(height, width))) for length in (height, width)]
        grid_maps = positive_maps.reshape(*positive_maps.shape[:-1], height, width)
        resized_maps = interpolate(grid_maps, size, mode="bilinear").cpu()
        totals_key = (observation.query.device, resized_maps.shape)
        empty_totals = WatchTotals(torch.zeros_like(resized_maps))
        call.run.watch_totals.setdefault(totals_key, empty_totals).add(resized_maps)

    def finish(self, totals: Sequence[WatchTotals]) -> None:
        """The mean of the maps of one sampling, on the grid that most of them had."""
        if totals:
            largest_totals = max(totals, key=lambda maps: maps.count)
            self.maps = largest_totals.mean


def _strength(observation: Observation) -> Tensor:
    """The length of the image part as a share of the text's, token by token: [R * B, 1, N]."""
    image, mask = observation.image, observation.mask
    addition = (image if mask is None else image * mask) * observation.part.output_weight
    text_length = _lengths(observation.text).clamp(min=1e-6)
    return (_lengths(addition) / text_length)[:, None]


def _lengths(tokens: Tensor) -> Tensor:
    norm = cast("Callable[..., Tensor]", tokens.float().norm)  # pyright: ignore[reportUnknownMemberType]
    return norm(dim=-1)


def _shares(observation: Observation) -> Tensor:
    """The attention to each image token: [R * B, T, N]."""
    return token_shares(observation.query, observation.key).transpose(1, 2)


class WatchIPAdapterAttention(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="WatchIPAdapterAttention",
            display_name=NODE,
            category="ipadapter/inspect",
            search_aliases=["attention map", "heat map", "attention visualisation"],
            description=(
                "While the model samples, records where in the generated image each image token "
                "of a reference gets attention. Put it between Apply IPAdapter and the sampler."
            ),
            inputs=[
                io.Model.Input("model", tooltip="A model with an applied adapter."),
                io.Int.Input(
                    "number",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="Which of the applied adapters, numbered as in Inspect IPAdapter.",
                ),
                inputs.start_at("When to start recording: 0 is the first step, 1 the end."),
                inputs.end_at("When to stop recording: 0 is the first step, 1 the end."),
                io.String.Input(
                    "layers",
                    default="",
                    tooltip=(
                        "Numbers of the blocks to record, from 0 as in IPAdapter Weight Map, for "
                        "example 3, 6. Empty: all."
                    ),
                ),
            ],
            outputs=[
                io.Model.Output(
                    "model", tooltip="The watched model. It generates the same images as before."
                ),
                WatchSocket.Output(
                    "watch", tooltip="The recorded attention, for Show IPAdapter Attention."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, layers: object = "") -> bool | str:
        try:
            _block_numbers(layers if isinstance(layers, str) else "")
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls, model: ModelPatcher, number: int, start_at: float, end_at: float, layers: str
    ) -> io.NodeOutput:
        blocks = model_blocks(model)
        block_numbers = _block_numbers(layers) or range(len(blocks))
        for block_number in block_numbers:
            if not 0 <= block_number < len(blocks):
                raise ValueError(
                    f"{NODE}'s 'layers' has no block {printable(str(block_number))}: "
                    f"the blocks are 0 to {len(blocks) - 1}."
                )
        sampling = model_sampling(model)
        start_sigma, end_sigma = (
            float(sampling.percent_to_sigma(moment)) for moment in (start_at, end_at)
        )
        watch = Watch(
            number=number,
            blocks=frozenset(blocks[number] for number in block_numbers),
            start_sigma=start_sigma,
            end_sigma=end_sigma,
        )
        model = model.clone()  # pyright: ignore[reportUnknownMemberType]
        add_wrappers(model)
        transformer_options(model)[WATCH_KEY] = watch
        return io.NodeOutput(model, watch)


def _block_numbers(layers: str) -> list[int]:
    try:
        return [int(number) for number in numbers(layers)]
    except Predicate as error:
        raise error.about(f"{NODE}'s 'layers'") from None


class ShowIPAdapterAttention(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ShowIPAdapterAttention",
            display_name=SHOW_NODE,
            category="ipadapter/inspect",
            search_aliases=["attention map", "heat map"],
            description=(
                "Draws heat maps over a generated image: first of the reference's effect, then one "
                "for each of its image tokens."
            ),
            inputs=[
                WatchSocket.Input("watch", tooltip="From Watch IPAdapter Attention."),
                io.Image.Input(
                    "image", tooltip="The image that was generated with the watched model."
                ),
                io.Int.Input(
                    "tokens",
                    default=4,
                    min=0,
                    max=MOST_TOKENS,
                    tooltip=(
                        "How many image tokens to show: those whose attention varies most across "
                        "the image. A base adapter has 4, a plus adapter 16."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(
                    "maps",
                    tooltip="For each image: the effect of the reference, then its image tokens.",
                ),
            ],
        )

    @classmethod
    def execute(cls, watch: Watch, image: Tensor, tokens: int) -> io.NodeOutput:
        frame_maps = require_type(watch, Watch, "watch", NODE).maps
        if frame_maps is None:
            raise ValueError(
                f"{SHOW_NODE} has nothing to show: sample with the 'model' of {NODE}, connect the "
                "image generated with it, and set 'number' to an adapter that is applied to the "
                "model."
            )
        heat_maps: list[Tensor] = []
        for number, picture in enumerate(rgb(image, SHOW_NODE, "image").float().cpu()):
            maps = frame_maps[min(number, len(frame_maps) - 1)]
            heat_maps += heat_maps_over(picture, maps, tokens)
        return io.NodeOutput(torch.stack(heat_maps))


def heat_maps_over(picture: Tensor, maps: Tensor, tokens: int) -> list[Tensor]:
    """The strength over an image, then the tokens that prefer some places most."""
    token_order = maps[1:].flatten(1).std(1).argsort(descending=True)[:tokens]
    shown_maps = torch.cat((maps[:1], maps[1:][token_order]))[:, None]
    height, width = picture.shape[:2]
    resized_maps = interpolate(shown_maps, (height, width), mode="bilinear")[:, 0]
    return [overlay_heat(picture, heat / heat.max().clamp(min=1e-12)) for heat in resized_maps]
