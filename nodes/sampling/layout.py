"""Models as adapters see them: one ModelLayout for each architecture.

Another architecture is one file with a class of these methods, and an entry in `layers.LAYOUTS`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import torch

from ...ipadapter_core.weights.blocks import Address, Block
from .compiled import LayerAddition, Marking
from .kept_tensors import PartsByLayer
from .model_call import ModelCall

Modules = Mapping[str, Any]  # the parts of a diffusion model, by the names of an uncompiled one


class LayerWidths(NamedTuple):
    """How wide keys and values of a layer are, and the text that they are projected from."""

    inner: int
    text: int


class ModelLayout(Protocol):
    """The attention layers of one architecture, and how something is added to them.

    marking: what the model, once compiled, asks for, so that its guards know of image parts.
    """

    marking: Marking

    def layer_widths(self, modules: Modules) -> dict[Address, LayerWidths]:
        """Every layer that adapters use, in the order of adapter files; empty for another
        architecture.
        """
        ...

    def base_model(self, modules: Modules, layers: Mapping[Address, LayerWidths]) -> str:
        """The base model by name, as an `AdapterSpec` of an adapter for it has it."""
        ...

    def host_problem(self) -> str:
        """The sentence where this ComfyUI is too old for the architecture, else empty."""
        ...

    def attention_names(self, diffusion_model: torch.nn.Module) -> list[tuple[str, str]]:
        """The modules of self- and cross-attention of every layer, in the same order; empty where
        no adapter brings a LoRA for them.
        """
        ...

    def blocks(self, layers: Iterable[Address]) -> tuple[Block, ...]:
        """The blocks that hold these layers, in the order of a forward pass: the columns of a
        weight map.
        """
        ...

    def add_to_call(
        self, options: dict[str, Any], parts: PartsByLayer, call: ModelCall
    ) -> tuple[dict[str, Any], LayerAddition]:
        """The transformer_options of one call, such that its layers add the image parts; and the
        same addition for layers of a compiled model, which call `compiled.add_in_graph`.

        The layout installs whatever patches that takes: at the attention, or around a block. Every
        layer of `parts` is wrapped, active or not. A `LayerSite` says at which layer, and on which
        grid; where the host does not tell a layer's grid, it follows from `call.latent_size`.
        """
        ...
