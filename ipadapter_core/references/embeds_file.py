"""Embeds as files: tensors and metadata of a safetensors file, and the three older contents of `.ipadpt`."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, cast

import torch
from torch import Tensor

from ..adapter.checkpoint import EMBEDS, ENCODERS, HIDDEN
from ..messages import Predicate, printable
from .embeds import CONCAT, METHODS, References

FORMAT = "ip-adapter-embeds"
Sides = tuple[References, References | None]


def to_file(
    positive: References, negative: References | None, pack: str, thumbnail: Tensor | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata; thumbnail [h, w, 3] bytes."""
    tensors = {"positive": positive.features.contiguous()}
    if negative is not None and not negative.silent:
        tensors["negative"] = negative.features.contiguous()
    if thumbnail is not None:
        tensors["thumbnail"] = thumbnail.contiguous()
    width = positive.features.shape[-1]
    metadata = {
        **positive.notes,
        "format": FORMAT,
        "version": "1",
        "pack": pack,
        "encoder": ENCODERS.get((positive.feature, width), "unknown"),
        "feature": positive.feature,
        "width": str(width),
        "pooling": "class token, projected" if positive.feature == EMBEDS else "none",
        "weights": json.dumps(list(positive.weights)),
        "method": positive.method,
        "projected": json.dumps(positive.projected),
        "negative": "none" if negative is not None and negative.silent else "as stored",
    }
    return tensors, metadata


def from_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Sides:
    """What `to_file` made; its metadata is checked, since anyone can write a file."""
    features = tensors.get("positive")
    if metadata.get("format") != FORMAT or features is None:
        raise Predicate("holds no embeds of this pack: save them with Save IPAdapter Embeds")
    feature = metadata.get("feature", "")
    method = metadata.get("method", CONCAT)
    _check(features, feature)
    if method not in METHODS:
        raise Predicate(
            "combines its references by the unknown method '<1>': update the pack",
            printable(method),
        )
    try:
        weights = tuple(float(weight) for weight in json.loads(metadata["weights"]))
        projected = bool(json.loads(metadata.get("projected", "false")))
        if not all(map(isfinite, weights)):
            raise ValueError("weights that are not finite")
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise Predicate("is damaged: its weights cannot be read") from None
    if len(weights) != len(features):
        raise Predicate(
            "is damaged: it has <1> weights for <2> references", len(weights), len(features)
        )
    notes = {key: metadata[key] for key in NOTES if key in metadata}
    positive = References(features, weights, feature, method, projected, notes=notes)
    unseen = tensors.get("negative")
    if metadata.get("negative") == "none":
        return positive, References.of(torch.zeros_like(features[:1]), feature, silent=True)
    if unseen is None:
        return positive, None
    _check(unseen, feature)
    return positive, References.of(unseen, feature)


NOTES = ("encoder_hash", "fit", "detail", "picture", "box", "encoder_name")


def from_ipadpt(content: Any) -> Sides:
    """A tensor [N, D] or [N, S, D] is one side; a stack [2, N, ...] is positive and negative, as before 2024-03.

    A list, of diffusers, holds one tensor with negative and positive for each adapter: the first is taken.
    """
    if isinstance(content, (list, tuple)):
        listed = cast("Sequence[Any]", content)
        if not listed or not isinstance(listed[0], Tensor) or listed[0].ndim < 2:
            raise Predicate("holds no tensor of embeds")
        found = listed[0].flatten(0, 1) if listed[0].ndim == 4 or _rows(listed[0]) else listed[0]
        unseen, seen = found.chunk(2) if len(found) > 1 else (None, found)
        return _one(seen), None if unseen is None else _one(unseen)
    if not isinstance(content, Tensor):
        raise Predicate("holds a <1> where embeds should be", type(content).__name__)
    if content.shape[:1] == (2,) and (content.ndim == 4 or _rows(content)):
        return _one(content[0]), _one(content[1])
    return _one(content), None


def _rows(tensor: Tensor) -> bool:
    """Whether [a, b, D] are embeds [a, b] and not one list of patches; encoders have more than 64 patches."""
    return tensor.ndim == 3 and tensor.shape[1] <= 64


def _one(features: Tensor) -> References:
    feature = EMBEDS if features.ndim == 2 else HIDDEN
    _check(features, feature)
    return References.of(features.float(), feature)


def _check(features: Tensor, feature: str) -> None:
    if feature not in (EMBEDS, HIDDEN) or features.ndim != (2 if feature == EMBEDS else 3):
        raise Predicate(
            "holds a tensor of shape <1>, which is no output of an image encoder",
            list(features.shape),
        )
    if 0 in features.shape or not features.is_floating_point():
        raise Predicate("is damaged: its embeds are empty or no numbers")
    if not features.isfinite().all():
        raise Predicate("is damaged: its embeds hold NaN or infinite values")
