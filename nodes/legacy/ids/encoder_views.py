"""References of old nodes: pictures and bare embeds, encoded and paired as IPAdapter_plus does it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from comfy.clip_vision import ClipVisionModel, Output

from ....ipadapter_core.adapter.features import EMBEDS, HIDDEN, Unconditional
from ....ipadapter_core.references.embeds import CONCAT, PLUS_NORM_AVERAGE, References, many_scales
from ...files.load import open_encoder
from ...pictures import rgb
from ...recall import Recalled, recall
from ...references.encode import CROP, encode, unconditional_output
from ...references.pair import references_for
from ...sockets import LoadedAdapter
from .input_specs import COMBINE_METHODS

ENCODER_SIZE = 224  # pixels of the square that an image encoder gets


class OldReferences(NamedTuple):
    """References of both sides; composition: another picture for the composition's blocks."""

    positive: References
    negative: References | None
    composition: References | None = None


@dataclass(frozen=True, eq=False)
class OldAdapter:
    """An adapter with its image encoder, as one old node uses them. Raises ValueError where they do not fit."""

    loaded: LoadedAdapter
    encoder: ClipVisionModel | None
    node: str  # its name, for messages

    @cached_property
    def clip_vision(self) -> ClipVisionModel:
        """The encoder that was connected, else the installed one that fits."""
        if self.encoder is not None:
            return self.encoder
        return open_encoder(self.loaded)

    def features(self, image: Tensor, name: str, tiles: int = 1, ratio: float = 1.0) -> Tensor:
        """[N, E] or [N, S, E], recalled. tiles: along a side; ratio: how much the whole picture counts."""

        def make() -> Tensor:
            pictures = rgb(image, self.node, name)
            if not len(pictures):
                raise ValueError(
                    f"{self.node} got an empty '{name}': connect at least one picture."
                )
            return self._encode_with_tiles(pictures, name, tiles, ratio)

        settings = (self.loaded.spec.clip_input.name, tiles, ratio)
        patcher = self.clip_vision.patcher
        features = recall(patcher, Recalled.OLD_FEATURES, make, (image,), settings)
        return self.check(features, name)  # recalled features may be of another adapter

    def unconditional(self, paper: bool = False) -> Tensor | None:
        """The negative side of a node without a negative picture; None: zeros, which base adapters take.

        IPAdapter_plus gives a black picture to plus and full-face adapters, which were trained with pixel
        values of zero.
        """
        if self.loaded.spec.unconditional is Unconditional.ZERO_FEATURES:
            return None
        if paper:
            return self.take(unconditional_output(self.clip_vision), "image_negative")

        def make() -> Tensor:
            return self.encode(torch.zeros(1, ENCODER_SIZE, ENCODER_SIZE, 3), "image_negative")

        feature, patcher = self.loaded.spec.clip_input.name, self.clip_vision.patcher
        return recall(patcher, Recalled.OLD_UNCONDITIONAL, make, settings=feature)

    def embeds_pair(
        self, embeds: Mapping[str, Any], paper: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Both sides from EMBEDS links by the names of their inputs, the positive one first.

        Without a negative one: the other half of a stack, else the unconditional features.
        """
        (name, positive_embeds), *negatives = embeds.items()
        positive = self._embeds_features(positive_embeds, name)
        for negative_name, negative_embeds in negatives:
            if negative_embeds is not None:
                return positive, self._embeds_features(negative_embeds, negative_name)
        if is_stack(positive_embeds):
            return positive, self._embeds_features(positive_embeds[1], name)
        return positive, self.unconditional(paper)

    def pair(
        self,
        positive: Tensor,
        negative: Tensor | None,
        combine: str = CONCAT,
        by_frame: bool = False,
        paper: bool = False,
    ) -> OldReferences:
        """Both sides; if the positive one is reduced to one reference, the first negative one stays."""
        feature = self.loaded.spec.clip_input.name
        if combine not in COMBINE_METHODS:
            raise ValueError(
                f"There is no way '{combine}' to combine references: "
                f"choose one of {', '.join(COMBINE_METHODS)}."
            )
        method = CONCAT if by_frame or len(positive) == 1 else combine
        if negative is not None and len(negative) > 1:
            negative = fit_length(negative, len(positive)) if method == CONCAT else negative[:1]
        if method == "norm average" and not paper:
            method = PLUS_NORM_AVERAGE
        combined = replace(References.of(positive, feature), method=method)
        return OldReferences(
            combined, None if negative is None else References.of(negative, feature)
        )

    def encode(self, pictures: Tensor, name: str) -> Tensor:
        return self.take(encode(self.clip_vision, pictures, CROP), name)

    def take(self, output: Output | References, name: str) -> Tensor:
        """What the adapter takes of an encoder's output."""
        return references_for(output, self.loaded, name).single_feature

    def check(self, features: Tensor, name: str) -> Tensor:
        """The features, if the adapter takes them."""
        return self.take(References.of(features, self.loaded.spec.clip_input.name), name)

    def _embeds_features(self, embeds: object, name: str) -> Tensor:
        """A bare tensor of an EMBEDS link."""
        if not isinstance(embeds, Tensor) or embeds.ndim not in (2, 3, 4):
            raise ValueError(
                f"{self.node}'s '{name}' holds no embeds: "
                "connect the output of IPAdapter Encoder or IPAdapter Load Embeds."
            )
        features = embeds[0] if is_stack(embeds) else embeds
        return self.take(References.of(features, EMBEDS if features.ndim == 2 else HIDDEN), name)

    def _encode_with_tiles(self, pictures: Tensor, name: str, tiles: int, ratio: float) -> Tensor:
        """One picture: side by side with its tiles, to be combined later; several: each mixed with them."""
        whole = self.encode(pictures, name)
        if tiles < 2:
            return whole
        cuts = [_cut(picture, tiles) for picture in pictures.split(1)]
        pooled = torch.cat([_pool(self.encode(cut, name)) for cut in cuts])
        if len(whole) == 1:
            return torch.cat((whole * ratio, pooled))
        return whole * ratio + pooled * (1 - ratio)


def is_stack(embeds: object) -> bool:
    """Whether both sides are in one tensor [2, N, ...], as the nodes before March 2024 had them.

    [a, b, E] is such a stack if b is too few for an encoder's patches.
    """
    if not isinstance(embeds, Tensor) or len(embeds) != 2:
        return False
    return embeds.ndim == 4 or (embeds.ndim == 3 and embeds.shape[1] <= 64)


def fit_length(batch: Tensor, count: int) -> Tensor:
    """A batch of that many: its last entry is repeated, or its end is dropped."""
    if len(batch) >= count:
        return batch[:count]
    return torch.cat((batch, batch[-1:].expand(count - len(batch), *batch.shape[1:])))


def _cut(picture: Tensor, count: int) -> Tensor:
    """[1, H, W, 3] -> [count * count, h, w, 3], row by row, without the rest at the edges."""
    height, width = picture.shape[1] // count, picture.shape[2] // count
    whole_tiles = picture[0, : height * count, : width * count]
    grid = whole_tiles.reshape(count, height, count, width, -1)
    return grid.transpose(1, 2).flatten(0, 1)


def _pool(tiles: Tensor) -> Tensor:
    """[n * n, E] or [n * n, S, E] -> one: patches averaged down to the encoder's own grid.

    IPAdapter_plus reads a vector whose length is a square number as a picture, and so must we.
    """
    side = int(tiles.shape[1] ** 0.5)
    if tiles.ndim == 3 or side * side != tiles.shape[1]:
        return many_scales(torch.zeros_like(tiles[:1]), tiles, 1.0)
    count = int(len(tiles) ** 0.5)
    grid = tiles.reshape(count, count, side, side).permute(0, 2, 1, 3)
    return adaptive_avg_pool2d(grid.reshape(1, count * side, -1), (side, side)).flatten(1)
