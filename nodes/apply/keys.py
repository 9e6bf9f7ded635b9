"""Image features become keys and values for every layer of one model: once, before sampling."""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from dataclasses import replace

import torch
from torch import Tensor

import comfy.model_management
from comfy.model_patcher import ModelPatcher

from ...ipadapter_core.adapter.module import AnyAdapter, TimedAdapter
from ...ipadapter_core.attention.keys import (
    FrameTokens,
    KeysValues,
    frame_keys,
    image_keys,
    tokens_of,
)
from ...ipadapter_core.attention.timed_keys import TimedKeys
from ...ipadapter_core.references.embeds import References
from ..recall import Recalled, recall
from ..sampling.layers import fitting_layers
from ..sockets import ImageKeys, LoadedAdapter
from .text_projection import find_text_projection, with_text_projection

Sides = tuple[References, References]  # the positive and the negative one
ATTENTION_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def keys_for(
    model: ModelPatcher,
    adapter: LoadedAdapter,
    positive: References,
    negative: References | None,
    by_frame: bool = False,
    face_structure: float = 1.0,
) -> ImageKeys:
    """Keys and values of references for a model, in its own precision, recalled if nothing changed.

    negative may be None for a base adapter; by_frame: one reference for each image of the batch;
    face_structure: of both sides, how much FaceID plus v2 and Kolors' take of the face's picture.
    Raises ValueError where adapter and model do not belong together.
    """
    layers, dtype = fitting_layers(model, adapter), _keys_dtype(model)
    text_projection = find_text_projection(model, adapter)
    positive = replace(positive, face_structure=face_structure)
    negative_side = negative or References.zeros(adapter.spec.inputs)
    negative_side = replace(negative_side, face_structure=face_structure)
    settings = (layers, dtype, by_frame, positive.settings, negative and negative_side.settings)

    def make() -> ImageKeys:
        module = with_text_projection(adapter, text_projection)
        values = _keys_or_tokens(module, adapter, (positive, negative_side), dtype, by_frame)
        _check_finite(values, adapter)
        values = values.silent() if negative_side.silent else values
        patcher = adapter.patcher if not isinstance(values, KeysValues) else None
        return ImageKeys(
            name=adapter.name,
            layers=layers,
            values=values,
            patcher=patcher,
            places=adapter.spec.family.places,
        )

    negative_features = negative.features.values() if negative else (None,)
    text_weight = text_projection and text_projection.weight
    features = (*positive.features.values(), *negative_features, text_weight)
    return recall(adapter.patcher, Recalled.IMAGE_KEYS, make, features, settings)


def image_tokens(adapter: LoadedAdapter, references: References) -> Tensor:
    """The tokens of references side by side, [1, N * T, D] in float32."""
    comfy.model_management.load_models_gpu([adapter.patcher])
    moved = _on_device(references, adapter.patcher.load_device)
    tokens = tokens_of(adapter.patcher.model, moved)
    return tokens[None].to(comfy.model_management.intermediate_device())


def _keys_dtype(model: ModelPatcher) -> torch.dtype:
    dtype: torch.dtype = model.model.get_dtype_inference()
    return dtype if dtype in ATTENTION_DTYPES else torch.float32


def _keys_or_tokens(
    module: AnyAdapter,
    adapter: LoadedAdapter,
    sides: Sides,
    dtype: torch.dtype,
    by_frame: bool,
) -> KeysValues | FrameTokens | TimedKeys:
    if not isinstance(module, TimedAdapter):
        return _project(module, adapter, sides, dtype, by_frame)
    # Further tokens take attention from the generated image, so none may be repeated.
    positive, negative = sides
    if not by_frame and positive.count % negative.count:
        raise ValueError(
            f"'{adapter.name}' needs one negative reference, or as many as there are positive "
            f"ones ({positive.count}), but there are {negative.count}: connect other images."
        )
    return TimedKeys(
        adapter=module,
        negative=negative,
        positive=positive,
        head_norms=module.head_norms(),
        by_frame=by_frame,
    )


def _project(
    module: AnyAdapter,
    adapter: LoadedAdapter,
    sides: Sides,
    dtype: torch.dtype,
    by_frame: bool,
) -> KeysValues | FrameTokens:
    comfy.model_management.load_models_gpu([adapter.patcher])
    device, store = adapter.patcher.load_device, comfy.model_management.intermediate_device()
    if by_frame:
        values = frame_keys(module, *sides, dtype, store, device)
        if isinstance(values, FrameTokens):  # which stay, while the model may go
            return replace(values, adapter=adapter.patcher.model)
        return values
    # float32: half precision costs up to 7e-3 of the tokens' unit variance, and this runs once
    on_device = (_on_device(references, device) for references in sides)
    return image_keys(module, *on_device, dtype=dtype, store=store)


def _check_finite(values: KeysValues | FrameTokens | TimedKeys, adapter: LoadedAdapter) -> None:
    """Once for a reference, not while sampling, where one NaN would make a black image."""
    match values:
        case KeysValues():
            tensors = [values.flat]
        case FrameTokens():
            tensors = [values.positive, values.negative]
        case TimedKeys():
            sides = (values.positive, values.negative)
            tensors = [tensor for side in sides for tensor in side.features.values()]
    if not all(tensor.isfinite().all() for tensor in tensors):
        raise ValueError(
            f"'{adapter.name}' gives keys that are NaN or infinite for this reference: the "
            "adapter's file or the encoder's output is damaged; download the file again, or use "
            "another encoder."
        )


def _on_device(references: References, device: torch.device) -> References:
    return references.change_features(lambda tensor: tensor.to(device=device, dtype=torch.float32))
