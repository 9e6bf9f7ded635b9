"""What a model is, as far as adapters are concerned: one ModelLayout for each architecture.

Another architecture is one file with a class of these methods, and an entry in `layers.LAYOUTS`.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import torch

from ...ipadapter_core.weights.blocks import Address, Block
from .compiled import LayerAddition
from .model_call import ModelCall
from .run import PartsByLayer


class LayerWidths(NamedTuple):
    """How wide keys and values of a layer are, and the text that they are projected from."""

    inner: int
    text: int


class ModelLayout(Protocol):
    """The attention layers of one architecture, and how something is added to them."""

    def layer_widths(self, diffusion_model: torch.nn.Module) -> dict[Address, LayerWidths]:
        """Every layer that adapters act on, in the order of adapter files; empty for another
        architecture.
        """
        ...

    def attention_names(self, diffusion_model: torch.nn.Module) -> list[tuple[str, str]]:
        """The modules of self- and cross-attention of every layer, in the same order."""
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

        Every layer of `parts` is wrapped, active or not. A `LayerSite` says at which layer, and on
        which grid.
        """
        ...
