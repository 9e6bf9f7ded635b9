"""Embeds as files: tensors and metadata of a safetensors file, and three older contents of
`.ipadpt`.

Version 1 has one feature, as `positive` and `negative`; version 2 several, as `positive.<feature>`.
"""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TypeGuard, cast

import torch
from torch import Tensor

from ..adapter.features import EMBEDS, HIDDEN, Source, encoder_of
from ..adapter.stored_tensors import EXACT_TYPES, check_number_type
from ..messages import Predicate, printable
from .embeds import CONCAT, METHODS, References

FORMAT = "ip-adapter-embeds"
ENDING, OLD_ENDING = ".safetensors", ".ipadpt"  # of the files
POSITIVE_SIDE, NEGATIVE_SIDE, THUMBNAIL = "positive", "negative", "thumbnail"
RECOGNISER = "recogniser"  # the note on whose space identities are of
NOTES = ("encoder_hash", "fit", "detail", "picture", "box", "encoder_name", RECOGNISER)
StoredSides = tuple[References, References | None]


def to_file(
    positive: References,
    negative: References | None,
    pack_version: str,
    thumbnail: Tensor | None = None,
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata; thumbnail [h, w, 3] bytes."""
    stored_tensors = _tensors(POSITIVE_SIDE, positive)
    if negative is not None and not negative.silent:
        stored_tensors |= _tensors(NEGATIVE_SIDE, negative)
    if thumbnail is not None:
        stored_tensors[THUMBNAIL] = thumbnail.contiguous()
    metadata = {
        **positive.notes,
        "format": FORMAT,
        "pack": pack_version,
        **_feature_notes(positive.features),
        "weights": json.dumps(list(positive.weights)),
        "method": positive.method,
        "projected": json.dumps(positive.projected),
        "negative": "none" if negative is not None and negative.silent else "as stored",
    }
    return stored_tensors, metadata


def _tensors(side_name: str, references: References) -> dict[str, Tensor]:
    if len(references.features) == 1:
        return {side_name: references.single_feature.contiguous()}
    return {
        f"{side_name}.{feature_name}": tensor.contiguous()
        for feature_name, tensor in references.features.items()
    }


def _feature_notes(image_features: Mapping[str, Tensor]) -> dict[str, str]:
    """Of the first feature, for people; the note `features` names all of several."""
    (feature_name, first_tensor), *further_features = image_features.items()
    feature_width, source = first_tensor.shape[-1], Source(feature_name)
    feature_notes = {
        "version": "2" if further_features else "1",
        "encoder": encoder_of(source, tuple(first_tensor.shape)) or "unknown",
        "feature": feature_name,
        "width": str(feature_width),
        "pooling": _pooling(source),
    }
    if further_features:
        feature_notes["features"] = json.dumps(list(image_features))
    return feature_notes


def _pooling(source: Source) -> str:
    """How the encoder's tokens became the feature, in words."""
    match source:
        case Source.CLIP_EMBEDS:
            return "class token, projected"
        case Source.SIGLIP_POOLED:
            return "pooling head"
        case Source.CLIP_HIDDEN | Source.FACE_IDENTITY:
            return "none"


def from_file(stored_tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> StoredSides:
    """The references that `to_file` stored; metadata is checked, since anyone can write a file."""
    feature_names = _feature_names(metadata)
    positive_features = _features(POSITIVE_SIDE, stored_tensors, feature_names)
    if metadata.get("format") != FORMAT or positive_features is None:
        raise Predicate("holds no embeds of this pack: save them with Save IPAdapter Embeds")
    method = metadata.get("method", CONCAT)
    _check_features(positive_features)
    if method not in METHODS:
        raise Predicate(
            "combines its references by the unknown method '<1>': update the pack",
            printable(method),
        )
    reference_weights, is_projected = _weights(metadata)
    stored_notes = {key: metadata[key] for key in NOTES if key in metadata}
    positive = References(
        features=positive_features,
        weights=reference_weights,
        method=method,
        projected=is_projected,
        notes=stored_notes,
    )
    if len(reference_weights) != positive.count:
        raise Predicate(
            "is damaged: it has <1> weights for <2> references",
            len(reference_weights),
            positive.count,
        )
    if metadata.get("negative") == "none":
        zeros = {
            feature_name: torch.zeros_like(tensor[:1])
            for feature_name, tensor in positive_features.items()
        }
        return positive, References(zeros, (1.0,), silent=True)
    negative_features = _features(NEGATIVE_SIDE, stored_tensors, feature_names)
    if negative_features is None:
        return positive, None
    _check_features(negative_features)
    negative_count = len(next(iter(negative_features.values())))
    return positive, References(negative_features, (1.0,) * negative_count)


def _feature_names(metadata: Mapping[str, str]) -> list[str]:
    """The features of a file; one of version 1 has no list of them."""
    if "features" not in metadata:
        return [metadata.get("feature", "")]
    try:
        feature_names: object = json.loads(metadata["features"])
    except (ValueError, RecursionError):
        feature_names = None
    if not isinstance(feature_names, list) or not feature_names:
        raise Predicate("is damaged: its list of features cannot be read")
    return [str(feature_name) for feature_name in cast("list[object]", feature_names)]


def _features(
    side_name: str, stored_tensors: Mapping[str, Tensor], feature_names: Sequence[str]
) -> dict[str, Tensor] | None:
    """Name of a feature -> tensor, of one side; None where one is missing."""
    tensor_keys = (
        [side_name]
        if len(feature_names) == 1
        else [f"{side_name}.{feature_name}" for feature_name in feature_names]
    )
    if any(tensor_key not in stored_tensors for tensor_key in tensor_keys):
        return None
    return {
        feature_name: stored_tensors[tensor_key]
        for feature_name, tensor_key in zip(feature_names, tensor_keys, strict=True)
    }


def _weights(metadata: Mapping[str, str]) -> tuple[tuple[float, ...], bool]:
    """The weights of the references, and whether these are combined after the projection."""
    try:
        reference_weights = tuple(float(weight) for weight in json.loads(metadata["weights"]))
        is_projected = bool(json.loads(metadata.get("projected", "false")))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        reference_weights, is_projected = (float("nan"),), False
    if not all(map(isfinite, reference_weights)):
        raise Predicate("is damaged: its weights cannot be read")
    return reference_weights, is_projected


def from_ipadpt(stored_content: object) -> StoredSides:
    """A tensor [N, D] or [N, S, D] is one side; a stack [2, N, ...] is positive and negative, as
    before 2024-03.

    A list, of diffusers, holds one tensor with negative and positive for each adapter: the first is
    taken.
    """
    if isinstance(stored_content, list | tuple):
        return _from_diffusers(cast("Sequence[object]", stored_content))
    if not isinstance(stored_content, Tensor):
        raise Predicate("holds a <1> where embeds should be", type(stored_content).__name__)
    if is_stack(stored_content):
        return _references(stored_content[0]), _references(stored_content[1])
    return _references(stored_content), None


def _from_diffusers(adapter_tensors: Sequence[object]) -> StoredSides:
    first_tensor = adapter_tensors[0] if adapter_tensors else None
    if not isinstance(first_tensor, Tensor) or first_tensor.ndim < 2:
        raise Predicate("holds no tensor of embeds")
    is_batch = first_tensor.ndim == 4 or _is_batch_of_embeds(first_tensor)
    image_features = first_tensor.flatten(0, 1) if is_batch else first_tensor
    if len(image_features) < 2:
        return _references(image_features), None
    negative, positive = image_features.chunk(2)
    return _references(positive), _references(negative)


def is_stack(stored_content: object) -> TypeGuard[Tensor]:
    """Whether a tensor has positive and negative embeds [2, N, ...], as the nodes before March 2024
    had.
    """
    if not isinstance(stored_content, Tensor) or stored_content.shape[:1] != (2,):
        return False
    return stored_content.ndim == 4 or _is_batch_of_embeds(stored_content)


def _is_batch_of_embeds(stored_tensor: Tensor) -> bool:
    """Whether [a, b, E] are embeds [a, b] and not one list of patches; encoders have more than
    64.
    """
    return stored_tensor.ndim == 3 and stored_tensor.shape[1] <= 64


def _references(image_features: Tensor) -> References:
    """The references of one tensor, which says by its axes what feature it is."""
    feature_name = EMBEDS if image_features.ndim == 2 else HIDDEN
    _check_features({feature_name: image_features})
    return References.of(image_features.float(), feature_name)


def _check_features(image_features: Mapping[str, Tensor]) -> None:
    """Raise Predicate for what no encoder gives."""
    sources_by_name = {source.value: source for source in Source}
    for feature_name, tensor in image_features.items():
        if feature_name not in sources_by_name or tensor.ndim != sources_by_name[feature_name].axes:
            raise Predicate(
                "holds a tensor of shape <1>, which is not the output of an image encoder",
                list(tensor.shape),
            )
        if 0 in tensor.shape or not tensor.is_floating_point():
            raise Predicate("is damaged: its embeds are empty or not numbers")
        check_number_type(tensor, EXACT_TYPES)
        if not tensor.isfinite().all():
            raise Predicate("is damaged: its embeds hold NaN or infinite values")
    if len({len(tensor) for tensor in image_features.values()}) != 1:
        raise Predicate("is damaged: its features are of different numbers of references")
