"""Both sides of an old node: pictures or embeds become references as IPAdapter_plus makes them."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ....ipadapter_core.adapter.checkpoint import EMBEDS, HIDDEN
from ....ipadapter_core.references.embeds import CONCAT, PLUS_NORM_AVERAGE, References, many_scales
from ...pictures import rgb
from ...recall import Recalled, recall
from ...references.encode import CROP, encode, unconditional_output
from ...references.pair import needs_encoded_zeros, references_for
from ...sockets import LoadedAdapter

SIDE = 224
COMBINE = ["concat", "add", "subtract", "average", "norm average"]


class View(NamedTuple):
    """How an old node looks at pictures: also cut into tiles x tiles, and how much the whole one counts."""

    tiles: int = 1
    ratio: float = 1.0


PLAIN = View()


def features_of(
    clip_vision: Any,
    adapter: LoadedAdapter,
    image: Tensor,
    name: str,
    node: str,
    view: View = PLAIN,
) -> Tensor:
    """[N, E] or [N, S, E], recalled. Raises ValueError for no picture and for the wrong encoder."""

    def make() -> Tensor:
        pictures = rgb(image, node, name)
        if not len(pictures):
            raise ValueError(f"{node} got an empty '{name}': connect at least one picture.")
        whole = _encoded(clip_vision, pictures, adapter, name)
        if view.tiles < 2:
            return whole
        cuts = [_tiles(one, view.tiles) for one in pictures.split(1)]
        tiles = torch.cat([_pooled(_encoded(clip_vision, cut, adapter, name)) for cut in cuts])
        if len(whole) == 1:  # one picture: side by side, to be combined later
            return torch.cat((whole * view.ratio, tiles))
        return whole * view.ratio + tiles * (1 - view.ratio)

    settings = (adapter.spec.feature, view.tiles, view.ratio)
    features = recall(clip_vision.patcher, Recalled.OLD_FEATURES, make, (image,), settings)
    # what is recalled may have been made for another adapter
    return references_for(References.of(features, adapter.spec.feature), adapter, name).features


def nothing_of(clip_vision: Any, adapter: LoadedAdapter, paper: bool) -> Tensor | None:
    """What the negative side sees without a picture; None: zeros, which base adapters take by themselves.

    IPAdapter_plus gives a black picture to plus and full-face adapters; they were trained with pixel values of zero.
    """
    if not needs_encoded_zeros(adapter):
        return None
    if paper:
        return references_for(unconditional_output(clip_vision), adapter, "image_negative").features

    def make() -> Tensor:
        dark = torch.zeros(1, SIDE, SIDE, 3)
        return _encoded(clip_vision, dark, adapter, "image_negative")

    settings = adapter.spec.feature
    return recall(clip_vision.patcher, Recalled.OLD_UNCONDITIONAL, make, settings=settings)


def paired(
    adapter: LoadedAdapter,
    positive: Tensor,
    negative: Tensor | None,
    combine: str,
    by_frame: bool,
    paper: bool,
) -> tuple[References, References | None]:
    """Both sides; a side that is reduced to one reference keeps the first negative one alone."""
    feature = adapter.spec.feature
    if combine not in COMBINE:
        raise ValueError(
            f"There is no way '{combine}' to combine references: choose one of {', '.join(COMBINE)}."
        )
    method = CONCAT if by_frame or len(positive) == 1 else combine
    if negative is not None and len(negative) > 1:
        negative = to_size(negative, len(positive)) if method == CONCAT else negative[:1]
    if method == "norm average" and not paper:
        method = PLUS_NORM_AVERAGE
    seen = replace(References.of(positive, feature), method=method)
    return seen, None if negative is None else References.of(negative, feature)


def from_embeds(embeds: Any, adapter: LoadedAdapter, name: str, node: str) -> Tensor:
    """A bare tensor of an EMBEDS link, checked against the adapter. Raises ValueError."""
    if not isinstance(embeds, Tensor) or embeds.ndim not in (2, 3, 4):
        raise ValueError(
            f"{node}'s '{name}' holds no embeds: connect the output of IPAdapter Encoder or IPAdapter Load Embeds."
        )
    embeds = embeds[0] if is_stack(embeds) else embeds
    feature = EMBEDS if embeds.ndim == 2 else HIDDEN
    return references_for(References.of(embeds, feature), adapter, name).features


def is_stack(embeds: Any) -> bool:
    """Positive and negative in one tensor [2, N, ...], as the nodes before March 2024 had them.

    [a, b, E] is one if b is too few for an encoder's patches.
    """
    if not isinstance(embeds, Tensor) or len(embeds) != 2:
        return False
    return embeds.ndim == 4 or (embeds.ndim == 3 and embeds.shape[1] <= 64)


def to_size(batch: Tensor, count: int) -> Tensor:
    """The last one goes on; what is too much is dropped."""
    if len(batch) >= count:
        return batch[:count]
    return torch.cat((batch, batch[-1:].expand(count - len(batch), *batch.shape[1:])))


def _encoded(clip_vision: Any, pictures: Tensor, adapter: LoadedAdapter, name: str) -> Tensor:
    return references_for(encode(clip_vision, pictures, CROP), adapter, name).features


def _tiles(picture: Tensor, count: int) -> Tensor:
    """[1, H, W, 3] -> [count * count, h, w, 3], row by row; what is left over at the edge is dropped."""
    height, width = picture.shape[1] // count, picture.shape[2] // count
    rows = range(count)
    return torch.cat(
        [
            picture[:, y * height : (y + 1) * height, x * width : (x + 1) * width]
            for y in rows
            for x in rows
        ]
    )


def _pooled(tiles: Tensor) -> Tensor:
    """[n * n, E] or [n * n, S, E] -> one: patches averaged down to the encoder's own grid.

    A vector whose length is a square is read as a picture: no sense in it, but so it was.
    """
    side = int(tiles.shape[1] ** 0.5)
    if tiles.ndim == 3 or side * side != tiles.shape[1]:
        return many_scales(torch.zeros_like(tiles[:1]), tiles, 1.0)
    count = int(len(tiles) ** 0.5)
    grid = tiles.reshape(count, count, side, side).permute(0, 2, 1, 3)
    return adaptive_avg_pool2d(grid.reshape(1, count * side, -1), (side, side)).flatten(1)
