"""The cross-attention layers of a model, and whether an adapter fits them."""

from typing import Any

from ...ipadapter_core.adapter.checkpoint import BASE_MODELS
from ...ipadapter_core.weights.blocks import Address, layer_table
from ..sockets import LoadedAdapter


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


def _model_name(model: Any, layers: dict[Address, tuple[int, int]]) -> str:
    if not layers:
        return f"a {type(model.model).__name__} without cross-attention layers that an adapter could use"
    widths = {text for _, text in layers.values()}
    names = "/".join(sorted(BASE_MODELS.get(width, "another kind") for width in widths))
    return f"{names} ({len(layers)} layers, text width {'/'.join(map(str, sorted(widths)))})"
