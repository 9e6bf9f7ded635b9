"""Kolors' FaceID: image tokens are as wide as the text is before the model's own projection, which
brings both to the width of its layers.

https://github.com/Kwai-Kolors/Kolors/blob/0fafa56/kolors/pipelines/pipeline_stable_diffusion_xl_chatglm_256_ipadapter_FaceID.py
"""

from functools import partial
from typing import cast

import torch
from torch.nn.functional import linear

from comfy.model_patcher import ModelPatcher

from ...ipadapter_core.adapter.module import AdapterWithModel, AnyAdapter, IPAdapter
from ..sampling.compiled import plain_modules
from ..sockets import LoadedAdapter

TEXT_PROJECTION = "encoder_hid_proj"  # of the UNet, as other packs and diffusers call it
LOADER = "MZ_KolorsUNETLoaderV2 of ComfyUI-Kolors-MZ"


def find_text_projection(model: ModelPatcher, adapter: LoadedAdapter) -> torch.nn.Linear | None:
    """The model's projection of the text, for an adapter whose tokens take the same way; None for
    another adapter. Raises ValueError where the model has none that fits.
    """
    if not adapter.spec.family.is_projected_as_text:
        return None
    modules = plain_modules(model.get_model_object("diffusion_model"))
    projection = cast("torch.nn.Linear | None", modules.get(TEXT_PROJECTION))
    token_width = adapter.spec.projector.token_width
    text_width = projection.in_features if projection is not None else 0
    if projection is None or text_width != token_width:
        own_projection = f"projects a text of width {text_width}" if text_width else "has none"
        raise ValueError(
            f"'{adapter.name}' needs the projection of the text in the Kolors model "
            f"('{TEXT_PROJECTION}', from width {token_width}), but this model {own_projection}: "
            f"load it with {LOADER}."
        )
    return projection


def with_text_projection(adapter: LoadedAdapter, projection: torch.nn.Linear | None) -> AnyAdapter:
    """The adapter's module, which projects its tokens in float32 as the model does its text."""
    module = cast(IPAdapter, adapter.patcher.model)
    if projection is None:
        return module
    device = cast(torch.device, adapter.patcher.load_device)
    parameters = {
        name: parameter.detach().to(device, torch.float32)
        for name, parameter in projection.named_parameters()
    }
    return AdapterWithModel(module, partial(linear, **parameters))
