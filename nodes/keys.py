"""What the encoder saw becomes keys and values for every layer of one model: once, before sampling."""

from typing import Any

import torch
from torch import Tensor

import comfy.model_management
from comfy_api.latest import io

from ..ipadapter_core.adapter import image_keys
from ..ipadapter_core.blocks import Address, layer_table
from ..ipadapter_core.checkpoint import BASE_MODELS, EMBEDS, ENCODERS, AdapterSpec
from .load import encoder_hint
from .sockets import ImageKeys, IPAdapterSocket, KeysSocket, LoadedAdapter, adapter_of

COMPUTED = (torch.float32, torch.float16, torch.bfloat16)


class ApplyIPAdapterKeys(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ApplyIPAdapterKeys",
            display_name="Apply IPAdapter (keys)",
            category="ipadapter/steps",
            description="A step of Apply IPAdapter: projects what the encoder saw to one key and one value for each layer.",
            is_dev_only=True,
            inputs=[
                io.Model.Input("model", tooltip="The model whose layers are fitted."),
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter."),
                io.ClipVisionOutput.Input("positive", tooltip="The references."),
                io.ClipVisionOutput.Input(
                    "negative", optional=True, tooltip="The negative references."
                ),
                io.ClipVisionOutput.Input(
                    "nothing",
                    optional=True,
                    lazy=True,
                    tooltip="The encoder's output for no picture.",
                ),
            ],
            outputs=[KeysSocket.Output("keys", tooltip="Keys and values of every layer.")],
        )

    @classmethod
    def check_lazy_status(cls, ipadapter, positive, negative=None, nothing=None, **_):
        return ["nothing"] if positive is not None and needs_nothing(ipadapter, negative) else []

    @classmethod
    def execute(cls, model, ipadapter, positive, negative=None, nothing=None):
        return io.NodeOutput(make_keys(model, ipadapter, positive, negative or nothing))


def needs_nothing(ipadapter: Any, negative: Any) -> bool:
    """Whether the negative side is the encoder's output for zeros; base adapters take zeros themselves."""
    return negative is None and adapter_of(ipadapter).spec.feature != EMBEDS


def make_keys(model: Any, ipadapter: Any, positive: Any, negative: Any) -> ImageKeys | None:
    """Keys and values in the model's own precision; None where there is no reference.

    Raises ValueError where adapter and model, or adapter and encoder, do not belong together.
    """
    if positive is None:
        return None
    adapter = adapter_of(ipadapter)
    layers = _fitting_layers(model, adapter)
    rows = [
        _features(output, adapter, name)
        for output, name in ((positive, "image"), (negative, "image_negative"))
    ]
    comfy.model_management.load_models_gpu([adapter.patcher])
    # float32: half precision costs up to 7e-3 of the tokens' unit variance, and this runs once per picture
    rows = [
        features if features is None else features.to(adapter.patcher.load_device, torch.float32)
        for features in rows
    ]
    dtype = model.model.get_dtype_inference()
    values = image_keys(
        adapter.patcher.model,
        *rows,
        dtype=dtype if dtype in COMPUTED else torch.float32,
        store=comfy.model_management.intermediate_device(),
    )
    return ImageKeys(adapter.name, layers, values)


def layers_of(diffusion_model: Any) -> dict[Address, tuple[int, int]]:
    """Address -> (inner width, text width) of each cross-attention layer, in the order of adapter files."""
    modules = {
        name.removeprefix("_orig_mod."): module for name, module in diffusion_model.named_modules()
    }
    keys = {place: modules[name].to_k for place, name in layer_table(modules).items()}
    return {place: (key.out_features, key.in_features) for place, key in keys.items()}


def _fitting_layers(model: Any, adapter: LoadedAdapter) -> tuple[Address, ...]:
    found, spec = layers_of(model.get_model_object("diffusion_model")), adapter.spec
    if list(found.values()) != [(width, spec.text_width) for _, width in spec.layers]:
        raise ValueError(
            f"'{adapter.name}' is for {spec.base_model} ({len(spec.layers)} cross-attention layers, text width {spec.text_width}), but the model is {_model_name(model, found)}: connect a model of that kind, or choose another file in 'Load IPAdapter'."
        )
    return tuple(found)


def _model_name(model: Any, layers: dict[Address, tuple[int, int]]) -> str:
    if not layers:
        return f"a {type(model.model).__name__} without cross-attention layers that an adapter could use"
    widths = {text for _, text in layers.values()}
    names = "/".join(sorted(BASE_MODELS.get(width, "another kind") for width in widths))
    return f"{names} ({len(layers)} layers, text width {'/'.join(map(str, sorted(widths)))})"


def _features(output: Any, adapter: LoadedAdapter, name: str) -> Tensor | None:
    """The output of the encoder that the adapter was trained on."""
    if output is None:
        return None
    spec: AdapterSpec = adapter.spec
    features = getattr(output, spec.feature, None)
    if features is None or features.shape[-1] != spec.projector.features:
        raise ValueError(
            f"'{adapter.name}' needs {spec.encoder}, but '{name}' was encoded by {_encoder_of(output)}: {encoder_hint(spec)} in 'Load CLIP Vision'."
        )
    return features


def _encoder_of(output: Any) -> str:
    widths = [getattr(output, key, None) for key in ("penultimate_hidden_states", "image_embeds")]
    hidden, embeds = (None if value is None else value.shape[-1] for value in widths)
    known = {
        ENCODERS.get(("penultimate_hidden_states", hidden)),
        ENCODERS.get(("image_embeds", embeds)),
    }
    if len(known) == 1 and None not in known:
        return known.pop()
    return f"an encoder with hidden width {hidden} and embeds of width {embeds}"
