"""References of old nodes, encoded and paired as IPAdapter_plus does it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from comfy.clip_vision import ClipVisionModel, Output

from ....ipadapter_core.adapter.features import EMBEDS, HIDDEN, FeatureSpec, Unconditional
from ....ipadapter_core.references.embeds import References, many_scales
from ....ipadapter_core.references.embeds_file import is_stack
from ...files.load import open_encoder
from ...pictures import rgb
from ...recall import Recalled, recall
from ...references.encode import CROP, encode, unconditional_output
from ...references.pair import references_for
from ...sockets import LoadedAdapter

ENCODER_SIZE = 224  # pixels of the square that an image encoder gets


class OldFeatures(NamedTuple):
    """Features [N, E] or [N, S, E]; no negative ones: zeros; composition: another picture's."""

    positive_features: Tensor
    negative_features: Tensor | None
    composition: Tensor | None = None
    identities: Tensor | None = None  # [N, 512], beside the features of an encoder


@dataclass(frozen=True, eq=False)
class OldAdapter:
    """An adapter and its encoder for one old node. Raises ValueError where they do not fit."""

    loaded: LoadedAdapter
    encoder: ClipVisionModel | None
    node_name: str  # its name, for messages
    analysis: Any = None  # of an INSIGHTFACE link, for faces

    @cached_property
    def clip_vision(self) -> ClipVisionModel:
        """The encoder that was connected, else the installed one that fits."""
        if self.encoder is not None:
            return self.encoder
        return open_encoder(self.loaded)

    @property
    def clip_feature(self) -> FeatureSpec:
        return clip_feature(self.loaded)

    def features(self, image: Tensor, name: str, tiles: int = 1, ratio: float = 1.0) -> Tensor:
        """Recalled. tiles: along a side; ratio: how much the whole picture counts."""

        def make() -> Tensor:
            pictures = rgb(image, self.node_name, name)
            if not len(pictures):
                raise ValueError(
                    f"{self.node_name} got an empty '{name}': connect at least one image."
                )
            return self._encode_with_tiles(pictures, name, tiles, ratio)

        settings = (self.clip_feature.name, tiles, ratio)
        patcher = self.clip_vision.patcher
        features = recall(patcher, Recalled.OLD_FEATURES, make, (image,), settings)
        return self.check(features, name)  # recalled features may be of another adapter

    def unconditional(self, is_paper: bool = False) -> Tensor | None:
        """Without a negative picture; None: zeros, which base adapters take.

        The others were trained with zeros as pixels; IPAdapter_plus gives them a black picture.
        """
        if self.loaded.spec.unconditional is Unconditional.ZERO_FEATURES:
            return None
        if is_paper:
            return self.take(unconditional_output(self.clip_vision), "image_negative")

        def make() -> Tensor:
            return self.encode(torch.zeros(1, ENCODER_SIZE, ENCODER_SIZE, 3), "image_negative")

        feature, patcher = self.clip_feature.name, self.clip_vision.patcher
        return recall(patcher, Recalled.OLD_UNCONDITIONAL, make, settings=feature)

    def embeds_pair(
        self, name: str, positive: object, negative: object = None, is_paper: bool = False
    ) -> OldFeatures:
        """Both sides from EMBEDS links; name: the input of the positive one.

        Without a negative one: the other half of a stack, else the unconditional features.
        """
        features = self._embeds_features(positive, name)
        if negative is not None:
            return OldFeatures(features, self._embeds_features(negative, "neg_embed"))
        if is_stack(positive):
            return OldFeatures(features, self._embeds_features(positive[1], name))
        return OldFeatures(features, self.unconditional(is_paper))

    def encode(self, pictures: Tensor, name: str) -> Tensor:
        return self.take(encode(self.clip_vision, pictures, CROP), name)

    def take(self, output: Output | References, name: str) -> Tensor:
        """The feature of an encoder's output that the adapter takes."""
        return references_for(output, self.loaded, name).single_feature

    def check(self, features: Tensor, name: str) -> Tensor:
        """The features, if the adapter takes them."""
        return self.take(References.of(features, self.clip_feature.name), name)

    def _embeds_features(self, embeds: object, name: str) -> Tensor:
        """A bare tensor of an EMBEDS link."""
        if not isinstance(embeds, Tensor) or embeds.ndim not in (2, 3, 4):
            raise ValueError(
                f"{self.node_name}'s '{name}' holds no embeds: "
                "connect the output of IPAdapter Encoder or IPAdapter Load Embeds."
            )
        features = embeds[0] if is_stack(embeds) else embeds
        return self.take(References.of(features, EMBEDS if features.ndim == 2 else HIDDEN), name)

    def _encode_with_tiles(self, pictures: Tensor, name: str, tiles: int, ratio: float) -> Tensor:
        """One picture: beside its tiles, to be combined later; several: each mixed with them."""
        whole_features = self.encode(pictures, name)
        if tiles < 2:
            return whole_features
        cuts = [_cut(picture, tiles) for picture in pictures.split(1)]
        tile_features = torch.cat([_pool(self.encode(cut, name)) for cut in cuts])
        if len(whole_features) == 1:
            return torch.cat((whole_features * ratio, tile_features))
        return whole_features * ratio + tile_features * (1 - ratio)


def clip_feature(adapter: LoadedAdapter) -> FeatureSpec:
    """The feature of an image encoder that an adapter takes. Raises ValueError where it takes
    none.
    """
    feature = adapter.spec.clip_input
    if feature is None:
        raise ValueError(f"'{adapter.name}' takes no image encoder's output: {adapter.spec.needs}.")
    return feature


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
