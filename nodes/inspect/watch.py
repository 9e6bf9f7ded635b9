"""Watch and Show IPAdapter Attention: where the picture was looked at while sampling, at no cost where not connected."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from comfy_api.latest import io

from ...ipadapter_core.attention.image_part import token_shares
from ...ipadapter_core.attention.keys import NEGATIVE
from ...ipadapter_core.messages import Predicate
from ...ipadapter_core.weights.blocks import Block, blocks_of
from ...ipadapter_core.weights.curves import numbers
from ..drawing import over
from ..pictures import rgb
from ..sampling.image_prompt import ImagePrompt
from ..sampling.layers import layers_of
from ..sampling.patch import WATCH, wrap
from ..sockets import WatchSocket, require_type

NODE, SHOW = "Watch IPAdapter Attention", "Show IPAdapter Attention"
GRID = 64  # longer side of the maps
SHOWN = 32  # tokens that are shown
SEEN = "seen"  # what a run has added up, among what it keeps


class Watch:
    """What to look at, and what the last sampling showed: maps [B, 1 + T, h, w], first where the picture acted at all."""

    def __init__(self, number: int, blocks: frozenset[Block], start: float, end: float):
        self.number, self.blocks, self.start, self.end = number, blocks, start, end
        self.found: Tensor | None = None

    def __deepcopy__(self, memo: dict) -> "Watch":
        return self

    def prompt_of(self, prompts: tuple[ImagePrompt, ...], sigma: Tensor) -> ImagePrompt | None:
        """The prompt to look at now, or None."""
        if self.number > len(prompts) or not self.end <= float(sigma[0]) <= self.start:
            return None
        return prompts[self.number - 1]

    def look(
        self,
        call: Any,
        part: Any,
        query: Tensor,
        key: Tensor,
        image: Tensor,
        text: Tensor,
        mask: Tensor | None,
        extra: dict,
    ) -> None:
        """Add one layer of one call to the run's sums."""
        if tuple(extra["block"]) not in self.blocks:
            return
        shares = token_shares(query, key)
        added = (image if mask is None else image * mask) * part.share
        strength = added.float().norm(dim=-1) / text.float().norm(dim=-1).clamp(min=1e-6)
        seen = torch.cat((strength[:, None], shares.transpose(1, 2)), 1)  # [R * B, 1 + T, N]
        positive = [row for row, role in enumerate(call.rows.roles) if role != NEGATIVE]
        if not positive:
            return
        seen = seen.unflatten(0, (len(call.rows.roles), -1))[positive].mean(0)
        grid = tuple(extra["activations_shape"][-2:])
        longer = max(grid)
        size = [max(1, round(length * GRID / longer)) for length in grid]
        wide = interpolate(seen.unflatten(-1, grid), size, mode="bilinear").cpu()
        store = call.run.once((SEEN, query.device, wide.shape), lambda: [0, 0.0])
        store[0], store[1] = store[0] + 1, store[1] + wide

    def finish(self, cache: Mapping[tuple, Any]) -> None:
        """The mean over all that one sampling added up; the grid that was seen most."""
        counted = [store for key, store in cache.items() if key[0] == SEEN]
        if counted:
            count, total = max(counted, key=lambda pair: pair[0])
            self.found = total / count


class WatchIPAdapterAttention(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="WatchIPAdapterAttention",
            display_name=NODE,
            category="ipadapter/inspect",
            search_aliases=["attention map", "heat map", "attention visualisation"],
            description="Remembers, while the model samples, where in the picture each token of a reference was attended to. Put it between Apply IPAdapter and the sampler.",
            inputs=[
                io.Model.Input("model", tooltip="A model with an adapter on it."),
                io.Int.Input(
                    "number",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="Which of the adapters on the model, as Inspect IPAdapter numbers them.",
                ),
                io.Float.Input(
                    "start_at",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="From when to look.",
                ),
                io.Float.Input(
                    "end_at",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Until when to look.",
                ),
                io.String.Input(
                    "layers",
                    default="",
                    tooltip="Numbers of the blocks to look at, from 0 as in IPAdapter Weight Map, like 3, 6. Empty: all.",
                ),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The model, watched. It gives the same pictures."),
                WatchSocket.Output(
                    "watch", tooltip="For Show IPAdapter Attention, after sampling."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, layers=""):
        try:
            _numbers_in(layers if isinstance(layers, str) else "")
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, model, number, start_at, end_at, layers):
        blocks = blocks_of(layers_of(model.get_model_object("diffusion_model")))
        chosen = _numbers_in(layers) or list(range(len(blocks)))
        for one in chosen:
            if not 0 <= one < len(blocks):
                raise ValueError(
                    f"{NODE}'s 'layers' has no block {one}: the blocks are 0 to {len(blocks) - 1}."
                )
        sampling = model.get_model_object("model_sampling")
        start, end = (float(sampling.percent_to_sigma(moment)) for moment in (start_at, end_at))
        watch = Watch(number, frozenset(blocks[one] for one in chosen), start, end)
        model = model.clone()
        wrap(model)
        model.model_options["transformer_options"][WATCH] = watch
        return io.NodeOutput(model, watch)


def _numbers_in(layers: str) -> list[int]:
    try:
        return [int(one) for one in numbers(layers)]
    except Predicate as error:
        raise error.about(f"{NODE}'s 'layers'") from None


class ShowIPAdapterAttention(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ShowIPAdapterAttention",
            display_name=SHOW,
            category="ipadapter/inspect",
            search_aliases=["attention map", "heat map"],
            description="Heat maps over the picture that was made: first where the reference acted at all, then one for each of its tokens.",
            inputs=[
                WatchSocket.Input("watch", tooltip="From Watch IPAdapter Attention."),
                io.Image.Input(
                    "image", tooltip="The picture that was made with the watched model."
                ),
                io.Int.Input(
                    "tokens",
                    default=4,
                    min=0,
                    max=SHOWN,
                    tooltip="How many tokens to show, those with the strongest preferences first. A base adapter has 4, a plus adapter 16.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "maps", tooltip="For each picture: where the reference acted, then its tokens."
                ),
            ],
        )

    @classmethod
    def execute(cls, watch, image, tokens):
        seen = require_type(watch, Watch, "watch", NODE).found
        if seen is None:
            raise ValueError(
                f"{SHOW} has nothing to show: sample with the 'model' of {NODE} and connect the picture that comes of it, with an adapter of that number on the model."
            )
        pictures, shown = rgb(image, SHOW, "image").float().cpu(), []
        for number, picture in enumerate(pictures):
            maps = seen[min(number, len(seen) - 1)]
            order = maps[1:].flatten(1).std(1).argsort(descending=True)[:tokens]
            chosen = torch.cat((maps[:1], maps[1:][order]))[:, None]
            sized = interpolate(chosen, picture.shape[:2], mode="bilinear")[:, 0]
            shown += [over(picture, heat / heat.max().clamp(min=1e-12)) for heat in sized]
        return io.NodeOutput(torch.stack(shown))
