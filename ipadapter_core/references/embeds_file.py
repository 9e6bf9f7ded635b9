"""Embeds as files: tensors and metadata of a safetensors file, and three older contents of
`.ipadpt`.

Version 1 has one feature, as `positive` and `negative`; version 2 several, as `positive.<feature>`.
"""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import cast

import torch
from torch import Tensor

from ..adapter.features import EMBEDS, ENCODERS, HIDDEN, Source
from ..adapter.stored_tensors import EXACT_TYPES, check_number_type
from ..messages import Predicate, printable
from .embeds import CONCAT, METHODS, References

FORMAT = "ip-adapter-embeds"
POSITIVE, NEGATIVE, THUMBNAIL = "positive", "negative", "thumbnail"
NOTES = ("encoder_hash", "fit", "detail", "picture", "box", "encoder_name")
Sides = tuple[References, References | None]


def to_file(
    positive: References, negative: References | None, pack: str, thumbnail: Tensor | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata; thumbnail [h, w, 3] bytes."""
    tensors = _tensors(POSITIVE, positive)
    if negative is not None and not negative.silent:
        tensors |= _tensors(NEGATIVE, negative)
    if thumbnail is not None:
        tensors[THUMBNAIL] = thumbnail.contiguous()
    metadata = {
        **positive.notes,
        "format": FORMAT,
        "pack": pack,
        **_feature_notes(positive.features),
        "weights": json.dumps(list(positive.weights)),
        "method": positive.method,
        "projected": json.dumps(positive.projected),
        "negative": "none" if negative is not None and negative.silent else "as stored",
    }
    return tensors, metadata


def _tensors(side: str, references: References) -> dict[str, Tensor]:
    if len(references.features) == 1:
        return {side: references.single_feature.contiguous()}
    return {f"{side}.{name}": tensor.contiguous() for name, tensor in references.features.items()}


def _feature_notes(features: Mapping[str, Tensor]) -> dict[str, str]:
    """Of the first feature, for people; `features` names all of several."""
    (name, tensor), *further = features.items()
    width, source = tensor.shape[-1], Source(name)
    notes = {
        "version": "2" if further else "1",
        "encoder": ENCODERS.get((source, width), "unknown"),
        "feature": name,
        "width": str(width),
        "pooling": "class token, projected" if source is Source.CLIP_EMBEDS else "none",
    }
    return notes | ({"features": json.dumps(list(features))} if further else {})


def from_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Sides:
    """The references that `to_file` stored; metadata is checked, since anyone can write a file."""
    names = _feature_names(metadata)
    features = _features(POSITIVE, tensors, names)
    if metadata.get("format") != FORMAT or features is None:
        raise Predicate("holds no embeds of this pack: save them with Save IPAdapter Embeds")
    method = metadata.get("method", CONCAT)
    _check_features(features)
    if method not in METHODS:
        raise Predicate(
            "combines its references by the unknown method '<1>': update the pack",
            printable(method),
        )
    weights, projected = _weights(metadata)
    notes = {key: metadata[key] for key in NOTES if key in metadata}
    positive = References(features, weights, method, projected, notes=notes)
    if len(weights) != positive.count:
        raise Predicate(
            "is damaged: it has <1> weights for <2> references", len(weights), positive.count
        )
    if metadata.get("negative") == "none":
        zeros = {name: torch.zeros_like(tensor[:1]) for name, tensor in features.items()}
        return positive, References(zeros, (1.0,), silent=True)
    negative = _features(NEGATIVE, tensors, names)
    if negative is None:
        return positive, None
    _check_features(negative)
    return positive, References(negative, (1.0,) * len(next(iter(negative.values()))))


def _feature_names(metadata: Mapping[str, str]) -> list[str]:
    """The features of a file; one of version 1 has no list of them."""
    if "features" not in metadata:
        return [metadata.get("feature", "")]
    try:
        names: object = json.loads(metadata["features"])
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not names:
        raise Predicate("is damaged: its list of features cannot be read")
    return [str(name) for name in cast("list[object]", names)]


def _features(
    side: str, tensors: Mapping[str, Tensor], names: Sequence[str]
) -> dict[str, Tensor] | None:
    """Name of a feature -> tensor, of one side; None where one is missing."""
    keys = [side] if len(names) == 1 else [f"{side}.{name}" for name in names]
    if any(key not in tensors for key in keys):
        return None
    return {name: tensors[key] for name, key in zip(names, keys, strict=True)}


def _weights(metadata: Mapping[str, str]) -> tuple[tuple[float, ...], bool]:
    """The weights of the references, and whether these are combined after the projection."""
    try:
        weights = tuple(float(weight) for weight in json.loads(metadata["weights"]))
        projected = bool(json.loads(metadata.get("projected", "false")))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        weights, projected = (float("nan"),), False
    if not all(map(isfinite, weights)):
        raise Predicate("is damaged: its weights cannot be read")
    return weights, projected


def from_ipadpt(content: object) -> Sides:
    """A tensor [N, D] or [N, S, D] is one side; a stack [2, N, ...] is positive and negative, as
    before 2024-03.

    A list, of diffusers, holds one tensor with negative and positive for each adapter: the first is
    taken.
    """
    if isinstance(content, list | tuple):
        return _from_diffusers(cast("Sequence[object]", content))
    if not isinstance(content, Tensor):
        raise Predicate("holds a <1> where embeds should be", type(content).__name__)
    if is_stack(content):
        return _references(content[0]), _references(content[1])
    return _references(content), None


def _from_diffusers(content: Sequence[object]) -> Sides:
    first = content[0] if content else None
    if not isinstance(first, Tensor) or first.ndim < 2:
        raise Predicate("holds no tensor of embeds")
    features = first.flatten(0, 1) if first.ndim == 4 or _is_batch_of_embeds(first) else first
    if len(features) < 2:
        return _references(features), None
    negative, positive = features.chunk(2)
    return _references(positive), _references(negative)


def is_stack(content: object) -> bool:
    """Whether a tensor has positive and negative embeds [2, N, ...], as the nodes before March 2024
    had.
    """
    if not isinstance(content, Tensor) or content.shape[:1] != (2,):
        return False
    return content.ndim == 4 or _is_batch_of_embeds(content)


def _is_batch_of_embeds(tensor: Tensor) -> bool:
    """Whether [a, b, E] are embeds [a, b] and not one list of patches; encoders have more than
    64.
    """
    return tensor.ndim == 3 and tensor.shape[1] <= 64


def _references(features: Tensor) -> References:
    """The references of one tensor, which says by its axes what feature it is."""
    name = EMBEDS if features.ndim == 2 else HIDDEN
    _check_features({name: features})
    return References.of(features.float(), name)


def _check_features(features: Mapping[str, Tensor]) -> None:
    """Raise Predicate for what no encoder gives."""
    sources = {source.value: source for source in Source}
    for name, tensor in features.items():
        if name not in sources or tensor.ndim != sources[name].axes:
            raise Predicate(
                "holds a tensor of shape <1>, which is no output of an image encoder",
                list(tensor.shape),
            )
        if 0 in tensor.shape or not tensor.is_floating_point():
            raise Predicate("is damaged: its embeds are empty or no numbers")
        check_number_type(tensor, EXACT_TYPES)
        if not tensor.isfinite().all():
            raise Predicate("is damaged: its embeds hold NaN or infinite values")
    if len({len(tensor) for tensor in features.values()}) != 1:
        raise Predicate("is damaged: its features are of different numbers of references")
