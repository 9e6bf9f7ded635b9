"""What the encoder saw becomes keys and values for every layer of one model: once, before
sampling.
"""

from typing import Any

import torch

import comfy.model_management

from ...ipadapter_core.attention.keys import FrameTokens, KeysValues, frame_keys, image_keys
from ...ipadapter_core.references.embeds import References
from ..recall import Recalled, recall
from ..sampling.layers import fitting_layers
from ..sockets import ImageKeys, LoadedAdapter

COMPUTED = (torch.float32, torch.float16, torch.bfloat16)


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
    unseen = negative or References.zeros(adapter.spec.inputs)

    def make() -> ImageKeys:
        comfy.model_management.load_models_gpu([adapter.patcher])
        device, store = adapter.patcher.load_device, comfy.model_management.intermediate_device()
        if by_frame:
            made = frame_keys(adapter.patcher.model, positive, unseen, dtype, store, device)
        else:
            # float32: half precision costs up to 7e-3 of the tokens' unit variance, and this runs
            # once
            sides = (_moved(side, device) for side in (positive, unseen))
            made = image_keys(adapter.patcher.model, *sides, dtype=dtype, store=store)
        _check_finite(made, adapter)
        values = made.silent() if unseen.silent else made
        patcher = adapter.patcher if isinstance(values, FrameTokens) else None
        return ImageKeys(adapter.name, layers, values, patcher)

    negative_features = negative.features.values() if negative else (None,)
    features = (*positive.features.values(), *negative_features)
    return recall(adapter.patcher, Recalled.IMAGE_KEYS, make, features, settings)


def _check_finite(made: KeysValues | FrameTokens, adapter: LoadedAdapter) -> None:
    """Once for a picture, not while sampling, where one NaN would make a black picture."""
    parts = (made.positive, made.negative) if isinstance(made, FrameTokens) else (made.flat,)
    if not all(part.isfinite().all() for part in parts):
        raise ValueError(
            f"'{adapter.name}' gives keys that are not finite for this reference: the "
            "file is damaged (download it again), or the encoder's output is."
        )


def _moved(side: References, device: torch.device) -> References:
    return side.change_features(lambda tensor: tensor.to(device=device, dtype=torch.float32))
