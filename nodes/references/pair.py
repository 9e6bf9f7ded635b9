"""Whether an encoder's output fits an adapter, and the references that it becomes."""

from collections.abc import Callable
from dataclasses import replace

from comfy.clip_vision import ClipVisionModel, Output

from ...ipadapter_core.adapter.checkpoint import AdapterSpec
from ...ipadapter_core.adapter.features import ENCODERS, FeatureSpec, Source, Unconditional
from ...ipadapter_core.references.embeds import References
from ..files.load import encoder_hint
from ..recall import Recalled, recall
from ..sockets import LoadedAdapter
from .encode import black_output, unconditional_output


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
            return references_for(unconditional_output(clip_vision()), adapter, input_name)
        case Unconditional.BLACK_IMAGE:
            return references_for(black_output(clip_vision()), adapter, input_name)
        case Unconditional.NOTHING:
            zeros = References.zeros(adapter.spec.inputs)
            silent = replace(zeros, silent=True)
            return recall(adapter.patcher, Recalled.SILENT_REFERENCES, lambda: silent)


def references_for(
    output: Output | References, adapter: LoadedAdapter, input_name: str
) -> References:
    """The references in the output of the encoder, or in embeds, that the adapter was trained on.

    Raises ValueError where adapter and encoder do not belong together.
    """
    spec = adapter.spec
    references = output if isinstance(output, References) else _references(output, spec)
    if not all(_has_feature(references, feature) for feature in spec.inputs):
        raise ValueError(
            f"'{adapter.name}' needs {spec.needs}, but '{input_name}' was encoded by "
            f"{_encoder_of(output)}: {encoder_hint(spec)} in 'Load CLIP Vision'."
        )
    return references


def _references(output: Output, spec: AdapterSpec) -> References:
    """The outputs that an adapter takes, as far as an encoder gave them."""
    outputs = {feature.name: getattr(output, feature.source.value, None) for feature in spec.inputs}
    features = {name: tensor for name, tensor in outputs.items() if tensor is not None}
    count = max((len(tensor) for tensor in features.values()), default=0)
    return References(features, (1.0,) * count)


def _has_feature(references: References, feature: FeatureSpec) -> bool:
    tensor = references.features.get(feature.name)
    return tensor is not None and tensor.shape[-1] == feature.width


def _encoder_of(output: Output | References) -> str:
    """The encoder that an output came from, in words, as far as its widths tell."""
    if isinstance(output, References):
        name, tensor = next(iter(output.features.items()))
        source, width = Source(name), tensor.shape[-1]
        encoder = ENCODERS.get((source, width), f"an encoder of width {width}")
        adapter_kind = "a base" if source is Source.CLIP_EMBEDS else "a plus or full-face"
        return f"{encoder} for {adapter_kind} adapter"
    hidden_width, embeds_width = (
        _feature_width(output, source) for source in (Source.CLIP_HIDDEN, Source.CLIP_EMBEDS)
    )
    encoder = ENCODERS.get((Source.CLIP_HIDDEN, hidden_width))
    if encoder and encoder == ENCODERS.get((Source.CLIP_EMBEDS, embeds_width)):
        return encoder
    return f"an encoder with hidden width {hidden_width} and embeds of width {embeds_width}"


def _feature_width(output: Output, source: Source) -> int:
    features = getattr(output, source.value, None)
    return 0 if features is None else features.shape[-1]
