"""References: what encoders made of one or several images, combined, scaled in detail, given
weights.

The methods are those of IPAdapter_plus, and what it lacks.
N references, S encoder tokens, E features.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..adapter.features import FeatureSpec

CONCAT = "concat"
PLUS_NORM_AVERAGE = "norm average (IPAdapter_plus)"


@dataclass(frozen=True, eq=False)
class References:
    """References of one side, and how they become one: the structure on an IPADAPTER_EMBEDS link.

    features: name of a feature -> [N, E] or [N, S, E]; N is the same for all of them.
    method: how references are combined, after the projection if `projected`.
    silent: this side gets no image part at all.
    notes: encoder, fit, picture, for files.
    """

    features: Mapping[str, Tensor]
    weights: tuple[float, ...]
    method: str = CONCAT
    projected: bool = False
    silent: bool = False
    notes: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, features: Tensor, name: str, silent: bool = False) -> "References":
        """References of one feature, all with weight 1."""
        return cls({name: features}, (1.0,) * len(features), silent=silent)

    @classmethod
    def zeros(cls, inputs: Iterable[FeatureSpec]) -> "References":
        """One reference for the unconditional side of an adapter that takes zeros there."""
        shapes = {
            feature.name: (1,) * (feature.source.axes - 1) + (feature.width,) for feature in inputs
        }
        return cls({name: torch.zeros(shape) for name, shape in shapes.items()}, (1.0,))

    @property
    def count(self) -> int:
        return len(next(iter(self.features.values())))

    @property
    def single_feature(self) -> Tensor:
        """The tensor of references that have one feature alone."""
        (features,) = self.features.values()
        return features

    @property
    def settings(self) -> tuple[object, ...]:
        """What counts beside the features."""
        return self.weights, self.method, self.projected, self.silent

    def select(self, inputs: Iterable[FeatureSpec]) -> tuple[Tensor, ...]:
        """The features that an adapter takes, in its order."""
        return tuple(self.features[feature.name] for feature in inputs)

    def change_features(self, change: Callable[[Tensor], Tensor]) -> "References":
        """The same references with every feature changed."""
        features = {name: change(features) for name, features in self.features.items()}
        return replace(self, features=features)


def combine(features: Tensor, weights: Sequence[float], method: str) -> Tensor:
    """[N, ...] -> [1, ...], or [N, ...] for concat; a single reference only gets its weight.

    Each reference is multiplied by its weight first; `weighted` and `slerp` use them as shares.
    """
    if method not in METHODS:
        raise ValueError(f"There is no way '{method}' to combine references: {', '.join(METHODS)}.")
    weight = features.new_tensor(weights).view(-1, *[1] * (features.ndim - 1))
    if method in (WEIGHTED, SLERP):
        total = float(weight.sum())
        if abs(total) < 1e-6:
            raise ValueError(
                f"The weights {', '.join(map(str, weights))} add up to 0, so '{method}' has "
                "no shares: make one of them larger."
            )
        return METHODS[method](features, weight / total)
    if len(features) == 1:
        return features * weight
    return METHODS[method](features, weight)


def _subtract(features: Tensor, weight: Tensor) -> Tensor:
    features = features * weight
    return features[:1] - features[1:].mean(0, keepdim=True)


def _norm_average(features: Tensor, weight: Tensor) -> Tensor:
    """The mean of the directions, as long as the references are on average."""
    features = features * weight
    lengths = _length(features)
    directions = (features / lengths.clamp(min=1e-12)).mean(0, keepdim=True)
    directions = directions / _length(directions).clamp(min=1e-12)
    return directions * lengths.mean(0, keepdim=True)


def _plus_norm_average(features: Tensor, weight: Tensor) -> Tensor:
    """The norm runs over the references, element by element, as in IPAdapter_plus."""
    features = features * weight
    norm = _length(features, 0)
    return torch.where(norm > 0, features / norm, 0.0).mean(0, keepdim=True)


def _slerp(features: Tensor, share: Tensor) -> Tensor:
    """Along the great circle from what there is so far to the next one; lengths go along
    linearly.
    """
    out, total = features[:1], share[:1]
    for number in range(1, len(features)):
        part = share[number : number + 1]
        total = total + part
        out = slerp(out, features[number : number + 1], part / torch.where(total == 0, 1.0, total))
    return out


def slerp(start: Tensor, end: Tensor, share: Tensor | float) -> Tensor:
    """share 0: start, 1: end; vectors are along the last axis."""
    lengths = [_length(vectors).clamp(min=1e-12) for vectors in (start, end)]
    first, last = start / lengths[0], end / lengths[1]
    angle = (first * last).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    near = sine < 1e-4  # parallel: a straight line is the same
    safe = torch.where(near, 1.0, sine)
    a = torch.where(near, 1 - share + 0 * angle, ((1 - share) * angle).sin() / safe)
    b = torch.where(near, share + 0 * angle, (share * angle).sin() / safe)
    return (a * first + b * last) * (lengths[0] * (1 - share) + lengths[1] * share)


def _length(vectors: Tensor, axis: int = -1) -> Tensor:
    return (vectors * vectors).sum(axis, keepdim=True).sqrt()


WEIGHTED, SLERP = "weighted", "slerp"
METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    CONCAT: lambda features, weight: features * weight,
    "add": lambda features, weight: (features * weight).sum(0, keepdim=True),
    "subtract": _subtract,
    "average": lambda features, weight: (features * weight).mean(0, keepdim=True),
    "norm average": _norm_average,
    PLUS_NORM_AVERAGE: _plus_norm_average,
    "max": lambda features, weight: (features * weight).amax(0, keepdim=True),
    "min": lambda features, weight: (features * weight).amin(0, keepdim=True),
    WEIGHTED: lambda features, share: (features * share).sum(0, keepdim=True),
    SLERP: _slerp,
}


def many_scales(whole: Tensor, tiles: Tensor, ratio: float) -> Tensor:
    """The picture's features [1, ...] and those of its n x n tiles [n * n, ...], row by row, as one
    [1, ...].

    Patches of the tiles are put together as they lie in the picture and averaged down to the
    encoder's own grid; class tokens and embeddings are averaged. ratio: how much of the tiles, 0:
    the whole picture alone.
    """
    if tiles.ndim == 2:
        pooled = tiles.mean(0, keepdim=True)
    else:
        side, across = int(sqrt(len(tiles))), int(sqrt(tiles.shape[1]))
        extra = tiles.shape[1] - across * across  # class token first
        grid = tiles[:, extra:].reshape(side, side, across, across, -1)
        grid = grid.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)  # [E, n * a, n * a]
        patches = adaptive_avg_pool2d(grid, across).flatten(1).T[None]
        pooled = torch.cat((tiles[:, :extra].mean(0, keepdim=True), patches), 1)
    return whole * (1 - ratio) + pooled * ratio
