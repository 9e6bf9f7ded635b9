"""FLUX.1: image parts are added to the attention of blocks, as InstantX's adapter does it, or to
the image after a double block, as XLabs' do.

Queries are those after their norm and before the rotation: the host shows them to an `attn1_patch`.
To where the addition is done they are handed over within the call's own object.
"""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from comfy.ldm.flux.layers import DoubleStreamBlock

from ...ipadapter_core.adapter.families import AFTER_BLOCK, ATTENTION, FLUX
from ...ipadapter_core.weights.blocks import Address, Block, blocks_of
from .attention import add_image_parts
from .block_patches import (
    DIT,
    DOUBLE_BLOCK,
    BlockArguments,
    BlockPatch,
    OriginalBlock,
    marked_arguments,
    run_previous,
)
from .compiled import (
    BLOCK_MARKING,
    OVERRIDE,
    LayerAddition,
    Marking,
    Options,
    add_in_graph,
)
from .kept_tensors import ImagePart, PartsByLayer
from .layout import LayerWidths, Modules
from .model_call import LayerSite, ModelCall

DOUBLE, SINGLE = "double", "single"
PLACES = {DOUBLE: (ATTENTION, AFTER_BLOCK), SINGLE: (ATTENTION,)}
TOO_OLD = "IP-Adapters for FLUX.1 need ComfyUI 0.18.2 or newer: update ComfyUI."
QUERY_PATCH, OUTPUT_PATCH = "attn1_patch", "attn1_output_patch"
QUERY = 2  # like `ATTENTION`: the place in a compiled block where its queries are handed over
_BLOCK = re.compile(r"(double|single)_blocks\.(\d+)")


class FluxLayout:
    """Double blocks, in which image and text attend to each other with weights of their own, and
    single blocks, in which they are one sequence.
    """

    marking = Marking.ARGUMENT

    def layer_widths(self, modules: Modules) -> dict[Address, LayerWidths]:
        text_width = getattr(modules.get("txt_in"), "in_features", None)
        if text_width is None or "vector_in" not in modules:
            return {}
        return {
            (match[1], int(match[2]), place): LayerWidths(module.hidden_size, text_width)
            for name, module in modules.items()
            if (match := _BLOCK.fullmatch(name))
            for place in PLACES[match[1]]
        }

    def base_model(self, modules: Modules, layers: Mapping[Address, LayerWidths]) -> str:
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
        self, options: Options, parts: PartsByLayer, call: ModelCall
    ) -> tuple[Options, LayerAddition]:
        patches: Options = dict(options.get("patches") or {})
        replacements: Options = dict(options.get("patches_replace") or {})
        blocks: dict[Any, BlockPatch] = dict(replacements.get(DIT) or {})
        # What another pack returns may still be in use there; the host's own result is new.
        is_new = not patches.get(OUTPUT_PATCH) and OVERRIDE not in options
        patched_call = PatchedFluxCall(parts, call, is_new)
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
        marking = {BLOCK_MARKING: patched_call.mark_compiled_blocks}
        return {**options, **changes, **marking}, patched_call.add


class PatchedFluxCall:
    """One call of the model: the queries of the block that runs, and what is added to it."""

    def __init__(self, parts: PartsByLayer, call: ModelCall, is_attention_new: bool):
        self.parts, self.call, self.is_attention_new = parts, call, is_attention_new
        self.text_call = replace(call, watch=None)  # a watch looks at the image alone
        self.query: Tensor | None = None  # [B, H, L, D], of text and image
        # that runs: kind, number, text tokens
        self.compiled_block: tuple[str, int, int] | None = None

    def keep_query(self, query: Tensor, *_: Any, **__: Any) -> Options:
        """The host's attn1_patch: changes nothing, but remembers the queries."""
        self.query = query
        return {}

    def add_to_attention(self, output: Tensor, extra: Mapping[str, Any]) -> Tensor:
        """The host's attn1_output_patch: the attention of a block [B, L, C], text first."""
        kind, number = extra["block_type"], extra["block_index"]
        address = kind, number, ATTENTION
        if self.query is None or address not in self.parts:
            return output
        site = LayerSite(address, self.query.shape[1], text_length=extra["img_slice"][0])
        return self._add_parts(output, self.query, site, self.is_attention_new)

    def run_block(
        self,
        previous: BlockPatch | None,
        address: Address,
        arguments: BlockArguments,
        extra: OriginalBlock,
    ) -> BlockArguments:
        """A replacement of a double block: what another pack placed there, or the host's, and then
        the image parts.
        """
        self.query = None
        out = run_previous(previous, arguments, extra)
        query, self.query = self.query, None
        if query is None:  # the block did not run
            return out
        image: Tensor = out["img"]
        text_length = query.shape[2] - image.shape[1]
        site = LayerSite(address, query.shape[1])
        image = self._add_parts(image, query[:, :, text_length:], site, previous is None)
        return {**out, "img": image}

    def _add_parts(self, tokens: Tensor, query: Tensor, site: LayerSite, in_place: bool) -> Tensor:
        is_compiling = torch.compiler.is_compiling()
        if not is_compiling and not self.parts[site.address]:
            return tokens
        query = query.transpose(1, 2)  # flat, it would be a copy
        if is_compiling:  # the operator asks this call for sizes: a graph may hold another one's
            site = site._replace(grid=(0, 0), latent_size=(0, 0))
            return add_in_graph(tokens, query.flatten(2), site)
        return self._add_on_grid(tokens, query, site, in_place)

    def add(self, text: Tensor, query: Tensor, site: LayerSite) -> Tensor:
        """The image parts at a layer of a compiled model; the tokens may be overwritten."""
        if self.compiled_block is None:
            return self._add_on_grid(text, query, site, in_place=True)
        kind, number, text_length = self.compiled_block
        place = site.address[2]
        if place == QUERY:
            self.query = query.clone()  # compiled code may reuse its memory
        elif self.query is not None:
            query = self.query.transpose(1, 2)
            site = LayerSite((kind, number, place), self.query.shape[1], text_length=text_length)
            return self._add_on_grid(text, query, site, in_place=True)
        return text

    def _add_on_grid(
        self, tokens: Tensor, query: Tensor, site: LayerSite, in_place: bool
    ) -> Tensor:
        """tokens: [B, L, C], query: [B, L, C or H, D]; text first, if the site has a text length.

        Tokens behind the grid are of references in the latent (FLUX Kontext), and stay as they are.
        Single blocks have the text attend to the image prompt too, unless a mask says where the
        prompt is applied.
        """
        grid = self.call.token_grid
        site = site._replace(grid=grid, latent_size=self.call.latent_size)
        text_length, end = site.text_length, site.text_length + grid[0] * grid[1]
        parts = self.parts.get(site.address, ())
        text_parts: tuple[ImagePart, ...] = ()
        if site.address[0] == SINGLE:
            text_parts = tuple(part for part in parts if part.prompt.mask is None)
        ranges = [(slice(0, end), parts, self.call)]
        if text_parts != parts:
            text_range = slice(0, text_length), text_parts, self.text_call
            ranges = [text_range, (slice(text_length, end), parts, self.call)]
        for token_range, range_parts, call in ranges:
            if not range_parts:
                continue
            piece = tokens[:, token_range]
            range_query = query[:, token_range]
            changed = add_image_parts(piece, range_query, site, range_parts, call, in_place)
            if changed is not piece:
                before, after = tokens[:, : token_range.start], tokens[:, token_range.stop :]
                tokens = torch.cat((before, changed, after), 1)
        return tokens

    def mark_compiled_blocks(self, options: Options) -> Options:
        """The options of a call whose blocks may be compiled one by one: with patches that hold
        nothing of this call, since equal blocks share a graph, and a later call can find it.
        """
        patches = {
            kind: others
            for kind, kind_patches in options["patches"].items()
            if (others := [patch for patch in kind_patches if not self._is_own(patch)])
        }
        options = {**options, "patches": patches}
        if not patches:
            del options["patches"]
        blocks: dict[Any, BlockPatch] = dict(options["patches_replace"][DIT])
        for kind, number in {(kind, number) for kind, number, _ in self.parts}:
            name = f"{kind}_block", number
            blocks[name] = partial(self.run_compiled_block, blocks.get(name), (kind, number))
        options["patches_replace"] = {**options["patches_replace"], DIT: blocks}
        return options

    def _is_own(self, patch: object) -> bool:
        return getattr(patch, "__self__", None) is self

    def run_compiled_block(
        self,
        previous: BlockPatch | None,
        block: tuple[str, int],
        arguments: BlockArguments,
        extra: OriginalBlock,
    ) -> BlockArguments:
        """A block, or what replaces it, that says to the operator which block it is."""
        options: Options = arguments["transformer_options"]
        text_length = options["img_slice"][0] if block[0] == SINGLE else arguments["txt"].shape[1]
        self.compiled_block = (*block, text_length)
        patches: Options = dict(options.get("patches") or {})
        for kind, patch in IN_COMPILED_BLOCK.items():
            patches[kind] = [*patches.get(kind, ()), patch]
        arguments = marked_arguments(arguments, {**options, "patches": patches})
        return run_previous(previous, arguments, extra)


def hand_over_query(query: Tensor, *_: Any, **__: Any) -> Options:
    """The host's attn1_patch in a compiled block; the operator's result is used, or it would be
    left out.
    """
    return {"q": add_in_graph(query, query, _site_in_compiled_block(QUERY))}


def add_to_compiled_attention(output: Tensor, _: Mapping[str, Any]) -> Tensor:
    """The host's attn1_output_patch in a compiled block."""
    return add_in_graph(output, output, _site_in_compiled_block(ATTENTION))


def _site_in_compiled_block(place: int) -> LayerSite:
    """A layer of no block yet: which one it is the call knows when the graph runs."""
    return LayerSite((DOUBLE, 0, place), heads=0)


IN_COMPILED_BLOCK = {QUERY_PATCH: hand_over_query, OUTPUT_PATCH: add_to_compiled_attention}
