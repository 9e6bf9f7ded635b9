"""The architectures that adapters exist for, the layers of a model, and whether an adapter fits
them.
"""

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch

from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher

from ...ipadapter_core.adapter.checkpoint import AdapterSpec
from ...ipadapter_core.adapter.families import Place
from ...ipadapter_core.weights.blocks import Address, Block
from ..sockets import LoadedAdapter
from .compiled import plain_modules
from .flux import FluxLayout
from .layout import LayerWidths, ModelLayout
from .mmdit import MMDiTLayout
from .unet import UNetLayout

LAYOUTS: tuple[ModelLayout, ...] = (UNetLayout(), FluxLayout(), MMDiTLayout())


class KnownModel(NamedTuple):
    """A model that adapters can use: its architecture, the base model by name, its layers."""

    layout: ModelLayout
    base_model: str
    layers: dict[Address, LayerWidths]


def find_layout(diffusion_model: torch.nn.Module) -> KnownModel | None:
    """A model with its layers, or None where no adapter can be used."""
    modules = plain_modules(diffusion_model)
    for layout in LAYOUTS:
        if layers := layout.layer_widths(modules):
            return KnownModel(layout, layout.base_model(modules, layers), layers)
    return None


def layers_at(
    layers: Mapping[Address, LayerWidths], places: tuple[Place, ...]
) -> dict[Address, LayerWidths]:
    """The layers of a model at some places, in its order; all of them for none."""
    return {
        address: widths
        for address, widths in layers.items()
        if not places or (address[0], address[2]) in places
    }


class ModelKind(NamedTuple):
    """The base model by name, and the layers that adapters can use."""

    base_model: str
    layers: Mapping[Address, LayerWidths]

    def fits(self, spec: AdapterSpec) -> bool:
        """Whether an adapter was made for it."""
        adapter_widths = [LayerWidths(width, spec.text_width) for _, width in spec.layers]
        own_widths = list(layers_at(self.layers, spec.family.places).values())
        return spec.base_model == self.base_model and own_widths == adapter_widths


def model_blocks(model: ModelPatcher) -> tuple[Block, ...]:
    """The blocks that adapters use, in the order of a forward pass."""
    known_model = _known_model(model)
    return known_model.layout.blocks(known_model.layers) if known_model else ()


def base_model(model: ModelPatcher) -> str:
    """The base model by name, or "" where no adapter can be used."""
    return model_kind(model).base_model


def model_kind(model: ModelPatcher) -> ModelKind:
    """The base model and layers that an adapter must fit; no layers where none can be used."""
    known_model = _known_model(model)
    return (
        ModelKind(known_model.base_model, known_model.layers) if known_model else ModelKind("", {})
    )


def _known_model(model: ModelPatcher) -> KnownModel | None:
    return find_layout(model.get_model_object("diffusion_model"))


def fitting_layers(model: ModelPatcher, adapter: LoadedAdapter) -> tuple[Address, ...]:
    """The model's layers, in the order of the adapter's. Raises ValueError where the two do not
    fit.
    """
    spec, known_model = adapter.spec, _known_model(model)
    if known_model is None:
        raise _other_model(adapter, _unknown_model(model))
    layout, base_model, all_layers = known_model
    layers = layers_at(all_layers, spec.family.places)
    if not ModelKind(base_model, layers).fits(spec):
        raise _other_model(adapter, _model_name(base_model, layers or all_layers))
    if problem := layout.host_problem():
        raise ValueError(problem)
    return tuple(layers)


def _other_model(adapter: LoadedAdapter, model_name: str) -> ValueError:
    spec = adapter.spec
    return ValueError(
        f"'{adapter.name}' is for {spec.base_model} "
        f"({len(spec.layers)} cross-attention layers, text width {spec.text_width}), "
        f"but the model is {model_name}: connect a model of that kind, "
        "or choose another file in 'Load IPAdapter'."
    )


def _unknown_model(model: ModelPatcher) -> str:
    host_model = cast(BaseModel, model.model)
    return f"a {type(host_model).__name__} without cross-attention layers that an adapter could use"


def _model_name(base_model: str, layers: dict[Address, LayerWidths]) -> str:
    text_widths = sorted({widths.text for widths in layers.values()})
    width_list = "/".join(map(str, text_widths))
    return f"{base_model} ({len(layers)} layers, text width {width_list})"
