"""Whether an encoder's output fits an adapter, and the references that it becomes."""

import torch

from comfy.clip_vision import ClipVisionModel, Output

from ...ipadapter_core.adapter.checkpoint import EMBEDS, ENCODERS, HIDDEN
from ...ipadapter_core.references.embeds import References
from ..files.load import encoder_hint
from ..sockets import LoadedAdapter
from .encode import unconditional_output


def needs_encoded_zeros(adapter: LoadedAdapter) -> bool:
    """Whether its unconditional embeds come from the encoder; base adapters take plain zeros."""
    return adapter.spec.feature != EMBEDS


def unconditional(adapter: LoadedAdapter, clip_vision: ClipVisionModel) -> References:
    """The embeds for no image, as the adapter was trained with."""
    if needs_encoded_zeros(adapter):
        return references_for(unconditional_output(clip_vision), adapter, "image")
    return References.of(torch.zeros(1, adapter.spec.projector.features), EMBEDS)


def references_for(
    output: Output | References, adapter: LoadedAdapter, input_name: str
) -> References:
    """The references in the output of the encoder, or in embeds, that the adapter was trained on.

    Raises ValueError where adapter and encoder do not belong together.
    """
    spec = adapter.spec
    references = output if isinstance(output, References) else _references(output, spec.feature)
    if (
        references is None
        or references.feature != spec.feature
        or references.features.shape[-1] != spec.projector.features
    ):
        raise ValueError(
            f"'{adapter.name}' needs {spec.encoder}, but '{input_name}' was encoded by "
            f"{_encoder_of(output)}: {encoder_hint(spec)} in 'Load CLIP Vision'."
        )
    return references


def _references(output: Output, feature: str) -> References | None:
    features = getattr(output, feature, None)
    return None if features is None else References.of(features, feature)


def _encoder_of(output: Output | References) -> str:
    """The encoder that an output came from, in words, as far as its widths tell."""
    if isinstance(output, References):
        width = output.features.shape[-1]
        encoder = ENCODERS.get((output.feature, width), f"an encoder of width {width}")
        adapter_kind = "a base" if output.feature == EMBEDS else "a plus or full-face"
        return f"{encoder} for {adapter_kind} adapter"
    hidden_width, embeds_width = (_feature_width(output, feature) for feature in (HIDDEN, EMBEDS))
    encoder = ENCODERS.get((HIDDEN, hidden_width))
    if encoder and encoder == ENCODERS.get((EMBEDS, embeds_width)):
        return encoder
    return f"an encoder with hidden width {hidden_width} and embeds of width {embeds_width}"


def _feature_width(output: Output, feature: str) -> int:
    features = getattr(output, feature, None)
    return 0 if features is None else features.shape[-1]
