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
    face_structure: how much FaceID plus v2 takes of the face's picture beside its identity.
    notes: encoder, fit, picture, for files.
    """

    features: Mapping[str, Tensor]
    weights: tuple[float, ...]
    method: str = CONCAT
    projected: bool = False
    silent: bool = False
    face_structure: float = 1.0
    notes: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, image_features: Tensor, feature_name: str, silent: bool = False) -> "References":
        """References of one feature, all with weight 1."""
        return cls({feature_name: image_features}, (1.0,) * len(image_features), silent=silent)

    @classmethod
    def zeros(cls, adapter_inputs: Iterable[FeatureSpec]) -> "References":
        """One reference for the unconditional side of an adapter that takes zeros there."""
        feature_shapes = {
            feature.name: (1, feature.sequence_length or 1, feature.width)
            if feature.source.axes == 3
            else (1, feature.width)
            for feature in adapter_inputs
        }
        zero_features = {name: torch.zeros(shape) for name, shape in feature_shapes.items()}
        return cls(zero_features, (1.0,))

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
        """Everything that counts beside the features."""
        return self.weights, self.method, self.projected, self.silent, self.face_structure

    def token_weights(self, token_count: int) -> list[float]:
        """Of each image token: of its reference, if those stand side by side, else 1."""
        weights = self.weights if self.method == CONCAT else (1.0,)
        return [weight for weight in weights for _ in range(token_count // len(weights))]

    def select(self, adapter_inputs: Iterable[FeatureSpec]) -> tuple[Tensor, ...]:
        """The features that an adapter takes, in its order."""
        return tuple(self.features[feature.name] for feature in adapter_inputs)

    def change_features(self, change: Callable[[Tensor], Tensor]) -> "References":
        """The same references with every feature changed."""
        changed_features = {
            feature_name: change(features) for feature_name, features in self.features.items()
        }
        return replace(self, features=changed_features)


def join(parts: Sequence[References]) -> References:
    """References side by side, with the notes of the first; what was combined before counts as
    one.
    """
    plain_parts = [_as_plain(references) for references in parts]
    return References(
        {
            name: torch.cat([references.features[name] for references in plain_parts])
            for name in parts[0].features
        },
        tuple(weight for references in plain_parts for weight in references.weights),
        face_structure=parts[0].face_structure,
        notes=parts[0].notes,
    )


def _as_plain(references: References) -> References:
    if references.method == CONCAT:
        return references
    combined = references.change_features(
        lambda tensor: combine(tensor, references.weights, references.method)
    )
    return replace(combined, weights=(1.0,))


def unknown_method(method: str, methods: Iterable[str]) -> ValueError:
    return ValueError(
        f"'{method}' is not a method of combining references: choose one of {', '.join(methods)}."
    )


def combine(image_features: Tensor, reference_weights: Sequence[float], method: str) -> Tensor:
    """[N, ...] -> [1, ...], or [N, ...] for concat; a single reference only gets its weight.

    Each reference is multiplied by its weight first; `weighted` and `slerp` use them as shares.
    """
    if method not in METHODS:
        raise unknown_method(method, METHODS)
    feature_axes = [1] * (image_features.ndim - 1)
    broadcast_weights = image_features.new_tensor(reference_weights).view(-1, *feature_axes)
    if method in (WEIGHTED, SLERP):
        total_weight = float(broadcast_weights.sum())
        if abs(total_weight) < 1e-6:
            raise ValueError(
                f"The weights {', '.join(map(str, reference_weights))} add up to 0, "
                f"so '{method}' has no shares: make one of them larger."
            )
        return METHODS[method](image_features, broadcast_weights / total_weight)
    if len(image_features) == 1:
        return image_features * broadcast_weights
    return METHODS[method](image_features, broadcast_weights)


def _subtract(image_features: Tensor, broadcast_weights: Tensor) -> Tensor:
    image_features = image_features * broadcast_weights
    return image_features[:1] - image_features[1:].mean(0, keepdim=True)


def _norm_average(image_features: Tensor, broadcast_weights: Tensor) -> Tensor:
    """The mean of the directions, as long as the references are on average."""
    image_features = image_features * broadcast_weights
    feature_lengths = _length(image_features)
    mean_direction = (image_features / feature_lengths.clamp(min=1e-12)).mean(0, keepdim=True)
    mean_direction = mean_direction / _length(mean_direction).clamp(min=1e-12)
    return mean_direction * feature_lengths.mean(0, keepdim=True)


def _plus_norm_average(image_features: Tensor, broadcast_weights: Tensor) -> Tensor:
    """The norm runs over the references, element by element, as in IPAdapter_plus."""
    image_features = image_features * broadcast_weights
    element_norms = _length(image_features, 0)
    return torch.where(element_norms > 0, image_features / element_norms, 0.0).mean(0, keepdim=True)


def _slerp(image_features: Tensor, weight_shares: Tensor) -> Tensor:
    """Along the great circle from what there is so far to the next one; lengths go along
    linearly.
    """
    interpolated, total_share = image_features[:1], weight_shares[:1]
    for reference_number in range(1, len(image_features)):
        next_share = weight_shares[reference_number : reference_number + 1]
        total_share = total_share + next_share
        next_features = image_features[reference_number : reference_number + 1]
        end_share = next_share / torch.where(total_share == 0, 1.0, total_share)
        interpolated = slerp(interpolated, next_features, end_share)
    return interpolated


def slerp(start: Tensor, end: Tensor, end_share: Tensor | float) -> Tensor:
    """end_share 0: start, 1: end; vectors are along the last axis."""
    start_length, end_length = (_length(vectors).clamp(min=1e-12) for vectors in (start, end))
    start_direction, end_direction = start / start_length, end / end_length
    angle = (start_direction * end_direction).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    is_parallel = sine < 1e-4  # a straight line is the same
    safe_sine = torch.where(is_parallel, 1.0, sine)
    start_share = 1 - end_share
    start_factor = torch.where(
        is_parallel, start_share + 0 * angle, (start_share * angle).sin() / safe_sine
    )
    end_factor = torch.where(
        is_parallel, end_share + 0 * angle, (end_share * angle).sin() / safe_sine
    )
    direction = start_factor * start_direction + end_factor * end_direction
    return direction * (start_length * start_share + end_length * end_share)


def _length(vectors: Tensor, axis: int = -1) -> Tensor:
    return (vectors * vectors).sum(axis, keepdim=True).sqrt()


WEIGHTED, SLERP = "weighted", "slerp"
METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    CONCAT: lambda image_features, weights: image_features * weights,
    "add": lambda image_features, weights: (image_features * weights).sum(0, keepdim=True),
    "subtract": _subtract,
    "average": lambda image_features, weights: (image_features * weights).mean(0, keepdim=True),
    "norm average": _norm_average,
    PLUS_NORM_AVERAGE: _plus_norm_average,
    "max": lambda image_features, weights: (image_features * weights).amax(0, keepdim=True),
    "min": lambda image_features, weights: (image_features * weights).amin(0, keepdim=True),
    WEIGHTED: lambda image_features, shares: (image_features * shares).sum(0, keepdim=True),
    SLERP: _slerp,
}


def many_scales(whole_features: Tensor, tile_features: Tensor, tile_ratio: float) -> Tensor:
    """The image's features [1, ...] and those of its n x n tiles [n * n, ...], row by row, as one
    [1, ...].

    Patches of the tiles are put together as they lie in the image and averaged down to the
    encoder's own grid; class tokens and embeddings are averaged. tile_ratio: share of the tiles;
    0: the whole image alone.
    """
    if tile_features.ndim == 2:
        pooled_features = tile_features.mean(0, keepdim=True)
    else:
        tiles_per_side = int(sqrt(len(tile_features)))
        patches_per_side = int(sqrt(tile_features.shape[1]))
        # class token first
        class_token_count = tile_features.shape[1] - patches_per_side * patches_per_side
        tile_grid = (tiles_per_side, tiles_per_side, patches_per_side, patches_per_side, -1)
        patch_grid = tile_features[:, class_token_count:].reshape(tile_grid)
        # [E, n * a, n * a]
        patch_grid = patch_grid.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)
        pooled_patches = adaptive_avg_pool2d(patch_grid, patches_per_side).flatten(1).T[None]
        class_tokens = tile_features[:, :class_token_count].mean(0, keepdim=True)
        pooled_features = torch.cat((class_tokens, pooled_patches), 1)
    return whole_features * (1 - tile_ratio) + pooled_features * tile_ratio
