"""What the encoder saw becomes keys and values for every layer of one model: once, before sampling."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import comfy.model_management

from ...ipadapter_core.adapter.checkpoint import BASE_MODELS, EMBEDS, ENCODERS, HIDDEN, AdapterSpec
from ...ipadapter_core.attention.keys import FrameTokens, KeysValues, frame_keys, image_keys
from ...ipadapter_core.references.embeds import References
from ...ipadapter_core.weights.blocks import Address, layer_table
from ..files.load import encoder_hint
from ..recall import recall
from ..sockets import ImageKeys, LoadedAdapter

COMPUTED = (torch.float32, torch.float16, torch.bfloat16)


def needs_nothing(adapter: LoadedAdapter) -> bool:
    """Whether its negative side is the encoder's output for zeros; base adapters take zeros themselves."""
    return adapter.spec.feature != EMBEDS


def keys_for(
    model: Any,
    adapter: LoadedAdapter,
    positive: References,
    negative: References | None,
    by_frame: bool = False,
) -> ImageKeys:
    """Keys and values of references for a model, in its own precision, recalled if nothing changed.

    negative may be None for a base adapter; by_frame: one reference for each picture of the batch.
    Raises ValueError where adapter and model do not belong together.
    """
    layers = fitting_layers(model, adapter)
    dtype = model.model.get_dtype_inference()
    dtype = dtype if dtype in COMPUTED else torch.float32
    settings = (layers, dtype, by_frame, positive.settings, negative and negative.settings)
    unseen = negative or References.of(torch.zeros_like(positive.features[:1]), EMBEDS)

    def make() -> ImageKeys:
        comfy.model_management.load_models_gpu([adapter.patcher])
        device, store = adapter.patcher.load_device, comfy.model_management.intermediate_device()
        if by_frame:
            made = frame_keys(adapter.patcher.model, positive, unseen, dtype, store, device)
        else:
            # float32: half precision costs up to 7e-3 of the tokens' unit variance, and this runs once
            sides = (_moved(side, device) for side in (positive, unseen))
            made = image_keys(adapter.patcher.model, *sides, dtype=dtype, store=store)
        _check_finite(made, adapter)
        values = made.silent() if unseen.silent else made
        patcher = adapter.patcher if isinstance(values, FrameTokens) else None
        return ImageKeys(adapter.name, layers, values, patcher)

    features = (positive.features, negative and negative.features)
    return recall(adapter.patcher, features, settings, make)


def _check_finite(made: KeysValues | FrameTokens, adapter: LoadedAdapter) -> None:
    """Once for a picture, not while sampling, where one NaN would make a black picture."""
    parts = (made.positive, made.negative) if isinstance(made, FrameTokens) else (made.flat,)
    if not all(part.isfinite().all() for part in parts):
        raise ValueError(
            f"'{adapter.name}' gives keys that are not finite for this reference: the file is damaged (download it again), or the encoder's output is."
        )


def references(output: Any, adapter: LoadedAdapter, name: str) -> References:
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
            f"'{adapter.name}' needs {spec.encoder}, but '{name}' was encoded by {_encoder_of(output)}: {encoder_hint(spec)} in 'Load CLIP Vision'."
        )
    return found


def layers_of(diffusion_model: Any) -> dict[Address, tuple[int, int]]:
    """Address -> (inner width, text width) of each cross-attention layer, in the order of adapter files."""
    modules = {
        name.removeprefix("_orig_mod."): module for name, module in diffusion_model.named_modules()
    }
    keys = {place: modules[name].to_k for place, name in layer_table(modules).items()}
    return {place: (key.out_features, key.in_features) for place, key in keys.items()}


def fitting_layers(model: Any, adapter: LoadedAdapter) -> tuple[Address, ...]:
    found, spec = layers_of(model.get_model_object("diffusion_model")), adapter.spec
    if list(found.values()) != [(width, spec.text_width) for _, width in spec.layers]:
        raise ValueError(
            f"'{adapter.name}' is for {spec.base_model} ({len(spec.layers)} cross-attention layers, text width {spec.text_width}), but the model is {_model_name(model, found)}: connect a model of that kind, or choose another file in 'Load IPAdapter'."
        )
    return tuple(found)


def _moved(side: References, device: torch.device) -> References:
    features: Tensor = side.features.to(device=device, dtype=torch.float32)
    return replace(side, features=features)


def _model_name(model: Any, layers: dict[Address, tuple[int, int]]) -> str:
    if not layers:
        return f"a {type(model.model).__name__} without cross-attention layers that an adapter could use"
    widths = {text for _, text in layers.values()}
    names = "/".join(sorted(BASE_MODELS.get(width, "another kind") for width in widths))
    return f"{names} ({len(layers)} layers, text width {'/'.join(map(str, sorted(widths)))})"


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
