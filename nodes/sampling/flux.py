"""FLUX.1: image parts are added to the attention of blocks, as InstantX's adapter does it, or to
the image after a double block, as XLabs' do.

Queries are those after their norm and before the rotation: the host shows them to an `attn1_patch`.
To where the addition is done they are handed over within the call's own object.
"""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from comfy.ldm.flux.layers import DoubleStreamBlock

from ...ipadapter_core.adapter.families import AFTER_BLOCK, ATTENTION, FLUX
from ...ipadapter_core.weights.blocks import Address, Block, blocks_of
from .attention import add_image_parts
from .compiled import LayerAddition, add_in_graph, plain_modules
from .layout import LayerWidths
from .model_call import LayerSite, ModelCall
from .run import ImagePart, PartsByLayer

DOUBLE, SINGLE = "double", "single"
PLACES = {DOUBLE: (ATTENTION, AFTER_BLOCK), SINGLE: (ATTENTION,)}
TOO_OLD = "IP-Adapters for FLUX.1 need ComfyUI 0.18.2 or newer: update ComfyUI."
QUERY_PATCH, OUTPUT_PATCH = "attn1_patch", "attn1_output_patch"
DIT, DOUBLE_BLOCK = "dit", "double_block"
BlockArguments = dict[str, Any]  # what the host gives a block and takes from it: img, txt, ...
BlockPatch = Callable[[BlockArguments, dict[str, Any]], BlockArguments]
_BLOCK = re.compile(r"(double|single)_blocks\.(\d+)")


class FluxLayout:
    """Double blocks, in which image and text attend to each other with weights of their own, and
    single blocks, in which they are one sequence.
    """

    is_compilable = True

    def layer_widths(self, diffusion_model: torch.nn.Module) -> dict[Address, LayerWidths]:
        modules: dict[str, Any] = {**plain_modules(diffusion_model)}
        text_width = getattr(modules.get("txt_in"), "in_features", None)
        if text_width is None or "vector_in" not in modules:
            return {}
        return {
            (match[1], int(match[2]), place): LayerWidths(module.hidden_size, text_width)
            for name, module in modules.items()
            if (match := _BLOCK.fullmatch(name))
            for place in PLACES[match[1]]
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
        patches: dict[str, Any] = dict(options.get("patches") or {})
        replacements: dict[str, Any] = dict(options.get("patches_replace") or {})
        blocks: dict[Any, BlockPatch] = dict(replacements.get(DIT) or {})
        # What another pack returns may still be in use there; the host's own result is new.
        is_new = not patches.get(OUTPUT_PATCH) and "optimized_attention_override" not in options
        patched_call = PatchedCall(parts, call, is_new)
        for kind, number, place in parts:
            if place == AFTER_BLOCK:
                previous = blocks.get((DOUBLE_BLOCK, number))
                blocks[DOUBLE_BLOCK, number] = partial(
                    patched_call.run_block, previous, (kind, number, place)
                )
        if parts:
            patches[QUERY_PATCH] = [*patches.get(QUERY_PATCH, ()), patched_call.keep_query]
        if any(place == ATTENTION for _, _, place in parts):
            patches[OUTPUT_PATCH] = [*patches.get(OUTPUT_PATCH, ()), patched_call.add_to_attention]
        changes = {"patches_replace": {**replacements, DIT: blocks}, "patches": patches}
        return {**options, **changes}, patched_call.add


class PatchedCall:
    """One call of the model: the queries of the block that runs, and what is added to it."""

    def __init__(self, parts: PartsByLayer, call: ModelCall, is_attention_new: bool):
        self.parts, self.call, self.is_attention_new = parts, call, is_attention_new
        self.text_call = replace(call, watch=None)  # a watch looks at the image alone
        self.query: Tensor | None = None  # [B, H, L, D], of text and image

    def keep_query(self, query: Tensor, *_: Any, **__: Any) -> dict[str, Any]:
        """The host's attn1_patch: changes nothing, but remembers the queries."""
        self.query = query
        return {}

    def add_to_attention(self, output: Tensor, extra: Mapping[str, Any]) -> Tensor:
        """The host's attn1_output_patch: the attention of a block [B, L, C], text first."""
        kind, number = extra["block_type"], extra["block_index"]
        address = kind, number, ATTENTION
        if self.query is None or address not in self.parts:
            return output
        site = LayerSite(address, self.query.shape[1], None, (), (), extra["img_slice"][0])
        return self._add_parts(output, self.query, site, self.is_attention_new)

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
        image: Tensor = out["img"]
        text_length = query.shape[2] - image.shape[1]
        site = LayerSite(address, query.shape[1], None, (), ())
        image = self._add_parts(image, query[:, :, text_length:], site, previous is None)
        return {**out, "img": image}

    def _add_parts(self, tokens: Tensor, query: Tensor, site: LayerSite, in_place: bool) -> Tensor:
        is_compiling = torch.compiler.is_compiling()
        if not is_compiling and not self.parts[site.address]:
            return tokens
        query = query.transpose(1, 2).flatten(2)
        if is_compiling:  # the operator asks this call for sizes: a graph may hold another one's
            return add_in_graph(tokens, query, site._replace(grid=(0, 0), latent_size=(0, 0)))
        return self._add_on_grid(tokens, query, site, in_place)

    def add(self, text: Tensor, query: Tensor, site: LayerSite) -> Tensor:
        """The image parts at a layer of a compiled model; the tokens may be overwritten."""
        return self._add_on_grid(text, query, site, in_place=True)

    def _add_on_grid(
        self, tokens: Tensor, query: Tensor, site: LayerSite, in_place: bool
    ) -> Tensor:
        """tokens, query: [B, L, C], text first if the site has a first row.

        Tokens behind the grid are of references in the latent (FLUX Kontext), and stay as they are.
        Single blocks have the text attend to the image prompt too, unless a mask says where the
        prompt acts.
        """
        grid = self.call.token_grid
        site = site._replace(grid=grid, latent_size=self.call.latent_size)
        first_row, end_row = site.first_row, site.first_row + grid[0] * grid[1]
        parts = self.parts.get(site.address, ())
        text_parts: tuple[ImagePart, ...] = ()
        if site.address[0] == SINGLE:
            text_parts = tuple(part for part in parts if part.prompt.mask is None)
        for rows, row_parts, call in (
            (slice(0, first_row), text_parts, self.text_call),
            (slice(first_row, end_row), parts, self.call),
        ):
            piece = tokens[:, rows]
            changed = add_image_parts(piece, query[:, rows], site, row_parts, call, in_place)
            if changed is not piece:
                tokens = torch.cat((tokens[:, : rows.start], changed, tokens[:, rows.stop :]), 1)
        return tokens
