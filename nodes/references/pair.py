"""Whether an encoder's output fits an adapter, and the references that it becomes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from comfy.clip_vision import ClipVisionModel, Output

from ...ipadapter_core.adapter.features import (
    FeatureSpec,
    Source,
    Unconditional,
    encoder_of,
    encoder_of_outputs,
)
from ...ipadapter_core.messages import printable
from ...ipadapter_core.references.embeds import References
from ...ipadapter_core.references.embeds_file import RECOGNISER
from ..files.load import encoder_hint
from ..recall import Recalled, recall
from ..sockets import LoadedAdapter
from .encode import black_output, unconditional_output
from .siglip import pooled_output


def unconditional(adapter: LoadedAdapter, clip_vision: ClipVisionModel) -> References:
    """The embeds for no image, as the adapter was trained with."""
    references = unconditional_references(adapter, lambda: clip_vision, "image")
    return references or References.zeros(adapter.spec.inputs)


def unconditional_references(
    adapter: LoadedAdapter,
    clip_vision: Callable[[], ClipVisionModel],
    input_name: str = "image_negative",
) -> References | None:
    """The negative side where none is connected; None: zeros, which need no encoder."""
    match adapter.spec.unconditional:
        case Unconditional.ZERO_FEATURES:
            return None
        case Unconditional.ZERO_PIXELS:
            return references_for(unconditional_output(clip_vision()), adapter, input_name, True)
        case Unconditional.BLACK_IMAGE:
            return references_for(black_output(clip_vision()), adapter, input_name, True)
        case Unconditional.NOTHING:
            zeros = References.zeros(adapter.spec.inputs)
            silent = replace(zeros, silent=True)
            return recall(adapter.patcher, Recalled.SILENT_REFERENCES, lambda: silent)


def references_for(
    output: Output | References,
    adapter: LoadedAdapter,
    input_name: str,
    is_negative: bool = False,
) -> References:
    """The references in the output of the encoder, or in embeds, that the adapter was trained on;
    vectors that it takes of length 1 have that length, which is recalled.

    is_negative: an encoder's output gets an identity of zeros.
    Raises ValueError where adapter and encoder do not belong together.
    """
    spec = adapter.spec
    references = output
    if not isinstance(references, References):
        references = _references(references, adapter)
        if is_negative and spec.identity_input is not None:
            references = _with_zero_identity(references, adapter, spec.identity_input)
    _check_identity(references, adapter, input_name)
    if not all(_has_feature(references, feature) for feature in spec.inputs):
        raise ValueError(
            f"'{adapter.name}' needs {spec.needs}, but '{input_name}' was encoded by "
            f"{_encoder_of(output)}: {encoder_hint(spec)} in 'Load CLIP Vision'."
        )
    return _normalised(references, adapter)


def _check_identity(references: References, adapter: LoadedAdapter, input_name: str) -> None:
    """Raise ValueError where an adapter takes a face identity and the references have none, or one
    of another recogniser's."""
    identity = adapter.spec.identity_input
    if identity is None:
        return
    if not _has_feature(references, identity):
        raise ValueError(
            f"'{adapter.name}' takes the identity of a face, which '{input_name}' does not hold: "
            "connect an image of the face to 'image' of Apply IPAdapter, or to Encode Face "
            "Identity, whose output goes into 'embeds'."
        )
    recogniser = references.notes.get(RECOGNISER, identity.encoder)
    if recogniser != identity.encoder:
        raise ValueError(
            f"'{adapter.name}' needs identities from the face recogniser {identity.encoder}, but "
            f"'{input_name}' was encoded by {printable(recogniser)}: encode the face again with "
            "this adapter on 'ipadapter' of Encode Face Identity."
        )


def _with_zero_identity(
    references: References, adapter: LoadedAdapter, identity: FeatureSpec
) -> References:
    """The references with an identity of zeros beside them, as in the training."""
    count = max(1, references.count if references.features else 1)

    def make() -> Tensor:
        return torch.zeros(count, identity.width)

    zeros = recall(adapter.patcher, Recalled.ZERO_IDENTITY, make, settings=count)
    features = {identity.name: zeros, **references.features}
    return References(features, (1.0,) * count)


def _normalised(references: References, adapter: LoadedAdapter) -> References:
    features = dict(references.features)
    for feature in adapter.spec.inputs:
        if feature.is_normalised:
            stored = features[feature.name]
            features[feature.name] = recall(
                adapter.patcher,
                Recalled.NORMALISED_FEATURE,
                partial(normalize, stored, dim=-1),
                (stored,),
                feature.name,
            )
    return replace(references, features=features)


def _references(output: Output, adapter: LoadedAdapter) -> References:
    """The outputs that an adapter takes, as far as an encoder gave them."""
    outputs = {
        feature.name: _output_of(output, feature.source, adapter) for feature in adapter.spec.inputs
    }
    features = {name: tensor for name, tensor in outputs.items() if tensor is not None}
    count = max((len(tensor) for tensor in features.values()), default=0)
    return References(features, (1.0,) * count)


def _output_of(output: Output, source: Source, adapter: LoadedAdapter) -> Tensor | None:
    match source:
        case Source.CLIP_EMBEDS | Source.CLIP_HIDDEN:
            return getattr(output, source.value, None)
        case Source.SIGLIP_POOLED:
            return pooled_output(output, adapter)
        case Source.FACE_IDENTITY:
            return None


def _has_feature(references: References, feature: FeatureSpec) -> bool:
    tensor = references.features.get(feature.name)
    return tensor is not None and feature.has_shape(tuple(tensor.shape))


def _encoder_of(output: Output | References) -> str:
    """The encoder that an output came from, in words, as far as its widths tell."""
    if isinstance(output, References):
        return _encoder_of_references(output)
    hidden_shape, embeds_shape = (
        _feature_shape(output, source) for source in (Source.CLIP_HIDDEN, Source.CLIP_EMBEDS)
    )
    return encoder_of_outputs(hidden_shape, embeds_shape) or (
        f"an encoder with hidden width {hidden_shape[-1]} and embeds of width {embeds_shape[-1]}"
    )


def _encoder_of_references(references: References) -> str:
    """The encoder by the first feature of an image encoder, and the adapters that take it."""
    sources = (Source(name) for name in references.features)
    source = next((source for source in sources if not source.is_identity), Source.FACE_IDENTITY)
    match source:
        case Source.CLIP_EMBEDS:
            adapter_kind = "a base"
        case Source.CLIP_HIDDEN:
            adapter_kind = "a plus or full-face"
        case Source.SIGLIP_POOLED:
            adapter_kind = "an InstantX"
        case Source.FACE_IDENTITY:
            return "a face recogniser alone"
    shape = tuple(references.features[source.value].shape)
    encoder = encoder_of(source, shape) or f"an encoder of width {shape[-1]}"
    return f"{encoder} for {adapter_kind} adapter"


def _feature_shape(output: Output, source: Source) -> tuple[int, ...]:
    features = getattr(output, source.value, None)
    return (0,) if features is None else tuple(features.shape)
