"""Whether an encoder's output fits an adapter, and the references that it becomes."""

from typing import Any

from ...ipadapter_core.adapter.checkpoint import EMBEDS, ENCODERS, HIDDEN, AdapterSpec
from ...ipadapter_core.references.embeds import References
from ..files.load import encoder_hint
from ..sockets import LoadedAdapter


def needs_encoded_zeros(adapter: LoadedAdapter) -> bool:
    """Whether its negative side is the encoder's output for zeros; base adapters take zeros themselves."""
    return adapter.spec.feature != EMBEDS


def references_for(output: Any, adapter: LoadedAdapter, name: str) -> References:
    """The output of the encoder that the adapter was trained on; also from an IPADAPTER_EMBEDS link.

    Raises ValueError where adapter and encoder do not belong together.
    """
    spec: AdapterSpec = adapter.spec
    if isinstance(output, References):
        features = output.features if output.feature == spec.feature else None
        found = output
    else:
        features = getattr(output, spec.feature, None)
        found = None if features is None else References.of(features, spec.feature)
    if features is None or found is None or features.shape[-1] != spec.projector.features:
        raise ValueError(
            f"'{adapter.name}' needs {spec.encoder}, but '{name}' was encoded by "
            f"{_encoder_of(output)}: {encoder_hint(spec)} in 'Load CLIP Vision'."
        )
    return found


def _encoder_of(output: Any) -> str:
    if isinstance(output, References):
        width = output.features.shape[-1]
        known = ENCODERS.get((output.feature, width), f"an encoder of width {width}")
        kind = "a base" if output.feature == EMBEDS else "a plus or full-face"
        return f"{known} for {kind} adapter"
    hidden, embeds = (
        0 if getattr(output, key, None) is None else getattr(output, key).shape[-1]
        for key in (HIDDEN, EMBEDS)
    )
    name = ENCODERS.get((HIDDEN, hidden))
    if name and name == ENCODERS.get((EMBEDS, embeds)):
        return name
    return f"an encoder with hidden width {hidden} and embeds of width {embeds}"
