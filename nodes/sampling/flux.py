"""FLUX.1: image parts are added to the image after a double block, as XLabs' adapters do it.

Queries are those of the image after their norm and before the rotation: the host shows them to an
`attn1_patch`. Where the addition is done, they are handed over within the call's own object.
"""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from comfy.ldm.flux.layers import DoubleStreamBlock

from ...ipadapter_core.adapter.families import AFTER_BLOCK, FLUX
from ...ipadapter_core.weights.blocks import Address, Block, blocks_of
from .attention import add_image_parts
from .compiled import COMPILED_MODULE, LayerAddition, add_in_graph, named_modules
from .layout import LayerWidths
from .model_call import LayerSite, ModelCall
from .run import PartsByLayer

DOUBLE = "double"
PATCH_SIDE = 2  # latent pixels that a token has in height and width
TOO_OLD = "IP-Adapters for FLUX.1 need ComfyUI 0.18.2 or newer: update ComfyUI."
QUERY_PATCH, DIT, DOUBLE_BLOCK = "attn1_patch", "dit", "double_block"
BlockArguments = dict[str, Any]  # what the host gives a block and takes from it: img, txt, ...
BlockPatch = Callable[[BlockArguments, dict[str, Any]], BlockArguments]
_BLOCK = re.compile(r"double_blocks\.(\d+)")


class FluxLayout:
    """Double blocks, in which image and text attend to each other."""

    def layer_widths(self, diffusion_model: torch.nn.Module) -> dict[Address, LayerWidths]:
        modules: dict[str, Any] = {
            name.replace(f"{COMPILED_MODULE}.", ""): module
            for name, module in named_modules(diffusion_model).items()
        }
        text_width = getattr(modules.get("txt_in"), "in_features", None)
        if text_width is None or "vector_in" not in modules:
            return {}
        return {
            (DOUBLE, int(match[1]), AFTER_BLOCK): LayerWidths(module.hidden_size, text_width)
            for name, module in modules.items()
            if (match := _BLOCK.fullmatch(name))
        }

    def base_model(self, diffusion_model: torch.nn.Module) -> str:
        return FLUX

    def host_problem(self) -> str:
        code = getattr(DoubleStreamBlock.forward, "__code__", None)  # other packs' may have none
        if code is None or QUERY_PATCH in code.co_consts:
            return ""
        return TOO_OLD

    def attention_names(self, diffusion_model: torch.nn.Module) -> list[tuple[str, str]]:
        return []

    def blocks(self, layers: Iterable[Address]) -> tuple[Block, ...]:
        return blocks_of(layers)

    def add_to_call(
        self, options: dict[str, Any], parts: PartsByLayer, call: ModelCall
    ) -> tuple[dict[str, Any], LayerAddition]:
        replacements: dict[str, Any] = dict(options.get("patches_replace") or {})
        blocks: dict[Any, BlockPatch] = dict(replacements.get(DIT) or {})
        patched_call = PatchedCall(parts, call)
        for kind, number, _ in parts:
            previous = blocks.get((DOUBLE_BLOCK, number))
            blocks[DOUBLE_BLOCK, number] = partial(
                patched_call.run_block, previous, (kind, number, AFTER_BLOCK)
            )
        patches: dict[str, Any] = dict(options.get("patches") or {})
        patches[QUERY_PATCH] = [*patches.get(QUERY_PATCH, ()), patched_call.keep_query]
        options = {
            **options,
            "patches_replace": {**replacements, DIT: blocks},
            "patches": patches,
        }
        return options, patched_call.add


class PatchedCall:
    """One call of the model: the queries of the block that runs, and what is added to it."""

    def __init__(self, parts: PartsByLayer, call: ModelCall):
        self.parts, self.call = parts, call
        self.query: Tensor | None = None  # [B, C / D, N, D], of the image alone

    def keep_query(
        self, query: Tensor, *_: Any, extra_options: Mapping[str, Any], **__: Any
    ) -> dict[str, Any]:
        """The host's attn1_patch: changes nothing, but remembers the image's queries."""
        if extra_options["block_type"] == DOUBLE:
            self.query = query[:, :, extra_options["img_slice"][0] :]
        return {}

    def run_block(
        self,
        previous: BlockPatch | None,
        address: Address,
        arguments: BlockArguments,
        extra: dict[str, Any],
    ) -> BlockArguments:
        """A replacement of a double block: what another pack placed there, or the host's, and then
        the image parts.
        """
        self.query = None
        out = previous(arguments, extra) if previous else extra["original_block"](arguments)
        query, self.query = self.query, None
        if query is None:  # the block did not run
            return out
        # The host's own result is new; what another pack returns may still be in use there.
        image = self._add_to_image(out["img"], query, address, in_place=previous is None)
        return {**out, "img": image}

    def _add_to_image(
        self, image: Tensor, query: Tensor, address: Address, in_place: bool
    ) -> Tensor:
        is_compiling = torch.compiler.is_compiling()
        if not is_compiling and not self.parts[address]:
            return image
        tokens = query.transpose(1, 2).flatten(2)
        site = LayerSite(address, query.shape[1], None, (0, 0), (0, 0))
        if is_compiling:
            return add_in_graph(image, tokens, site)
        return self._add_on_grid(image, tokens, site, in_place)

    def add(self, text: Tensor, query: Tensor, site: LayerSite) -> Tensor:
        """The image parts at a layer of a compiled model; the image so far may be overwritten."""
        return self._add_on_grid(text, query, site, in_place=True)

    def _add_on_grid(self, image: Tensor, query: Tensor, site: LayerSite, in_place: bool) -> Tensor:
        """image, query: [B, N, C]. The grid is the call's, since a compiled graph may hold another
        one. Tokens behind it are of references in the latent (FLUX Kontext), and stay as they are.
        """
        height, width = self.call.latent_size
        grid = -(-height // PATCH_SIDE), -(-width // PATCH_SIDE)
        site = site._replace(grid=grid, latent_size=self.call.latent_size)
        parts, count = self.parts.get(site.address, ()), grid[0] * grid[1]
        if image.shape[1] == count:
            return add_image_parts(image, query, site, parts, self.call, in_place)
        on_grid = image[:, :count], query[:, :count]
        changed = add_image_parts(*on_grid, site, parts, self.call, in_place=False)
        return torch.cat((changed, image[:, count:]), 1)
