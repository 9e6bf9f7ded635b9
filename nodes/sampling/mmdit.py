"""The MMDiT of Stable Diffusion 3.5: in every joint block the generated image attends to itself and
to the reference a second time, and the result is added to its part of the joint attention.

https://github.com/huggingface/diffusers/blob/v0.35.0/src/diffusers/models/attention_processor.py
(SD3IPAdapterJointAttnProcessor2_0)
B images of all rows, N image tokens, H heads of width D, C = H * D, T tokens of the reference.
"""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from ...ipadapter_core.adapter.families import SD35_LARGE
from ...ipadapter_core.attention.image_part import split_heads
from ...ipadapter_core.attention.keys import NEGATIVE
from ...ipadapter_core.attention.timed_keys import TimedKeys
from ...ipadapter_core.weights.blocks import Address, Block
from .attention import AttendedPart, add_image_parts, attend
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
    OVERRIDE,
    LayerAddition,
    Marking,
    add_in_graph,
    ask_for_structure,
    uncompiled,
)
from .kept_tensors import ImagePart, PartsByLayer
from .layout import LayerWidths, Modules
from .model_call import LayerSite, ModelCall

JOINT = "joint"
AnyAttention = Callable[..., Tensor]
_ATTENTION = re.compile(r"joint_blocks\.(\d+)\.x_block\.attn")


class HostAttention(Protocol):
    """The parts used of the host's attention of a block's image."""

    qkv: torch.nn.Linear
    ln_q: torch.nn.Module
    ln_k: torch.nn.Module


class MMDiTLayout:
    """Joint blocks, in which image and text attend to each other."""

    marking = Marking.POOLED_TEXT

    def layer_widths(self, modules: Modules) -> dict[Address, LayerWidths]:
        # reference tokens are as wide as the model's own
        widths = {
            number: attention.qkv.out_features // 3
            for number, attention in _attentions(modules).items()
        }
        return {(JOINT, number, 0): LayerWidths(width, width) for number, width in widths.items()}

    def base_model(self, modules: Modules, layers: Mapping[Address, LayerWidths]) -> str:
        if any(name.endswith("x_block.attn2") for name in modules):
            return "SD3.5 Medium"
        return SD35_LARGE if any(map(_has_norm, _attentions(modules).values())) else "SD3"

    def host_problem(self) -> str:
        return ""

    def attention_names(self, diffusion_model: torch.nn.Module) -> list[tuple[str, str]]:
        return []

    def blocks(self, layers: Iterable[Address]) -> tuple[Block, ...]:
        return tuple(dict.fromkeys((kind, number) for kind, number, _ in layers))

    def add_to_call(
        self, options: dict[str, Any], parts: PartsByLayer, call: ModelCall
    ) -> tuple[dict[str, Any], LayerAddition]:
        replacements: dict[str, Any] = dict(options.get("patches_replace") or {})
        blocks: dict[Any, BlockPatch] = dict(replacements.get(DIT) or {})
        patched_call = PatchedMMDiTCall(parts, call)
        for address in parts:
            key = (DOUBLE_BLOCK, address[1])
            blocks[key] = cast(
                BlockPatch, partial(run_block, patched_call, blocks.get(key), address)
            )
        return {
            **options,
            "patches_replace": {**replacements, DIT: blocks},
        }, patched_call.add_as_operator


class PatchedMMDiTCall:
    """One call of the model: what is added in the block that runs.

    compiled_block: the layer of a block that is compiled by itself, while it runs, and how many
    tokens its text has.
    """

    def __init__(self, parts: PartsByLayer, call: ModelCall):
        self.parts, self.call = parts, call
        self.compiled_block: tuple[Address, int] | None = None

    def attention(self, block_number: int) -> HostAttention:
        name = f"joint_blocks.{block_number}.x_block.attn"
        return cast(HostAttention, self.call.diffusion_model.get_submodule(name))

    def add_as_operator(self, joint: Tensor, tokens: Tensor, site: LayerSite) -> Tensor:
        """The image parts at a block of a compiled model; the attention may be overwritten.

        tokens: queries, keys and values side by side, [B, L, 3 * C].
        """
        if self.compiled_block is not None:
            address, text_length = self.compiled_block
            site = site._replace(address=address, text_length=text_length)
        return self.add(joint, tokens.chunk(3, -1), site, in_place=True)

    def add(
        self, joint: Tensor, tokens: Iterable[Tensor], site: LayerSite, in_place: bool
    ) -> Tensor:
        """The joint attention [B, L, C] with all image parts added to the image's tokens.

        tokens: queries, keys and values, each as long and wide, or with heads [B, L, H, D].
        """
        parts = self.parts.get(site.address, ())
        if not parts:
            return joint
        height, width = self.call.token_grid
        if joint.shape[1] != site.text_length + height * width:
            return joint  # another attention within the block
        site = site._replace(grid=(height, width), latent_size=self.call.latent_size)
        image_attention = joint[:, site.text_length :]
        image_tokens = [tensor[:, site.text_length :] for tensor in tokens]
        image = ImageHeads(image_tokens, site.heads, self.attention(site.address[1]))
        query, attended = image.query.transpose(1, 2).flatten(2), partial(self._attend, image)
        changed = add_image_parts(
            image_attention, query, site, parts, self.call, in_place, attended
        )
        if changed is image_attention:
            return joint
        return torch.cat((joint[:, : site.text_length], changed), 1)

    def _attend(
        self, image: "ImageHeads", part: ImagePart, key: Tensor, value: Tensor
    ) -> AttendedPart:
        """Attention of the generated image to itself and to the reference, with the adapter's
        norms in place of the model's; key, value: [R or R * B, H, T, D].
        """
        query_norm, key_norm = self.call.head_norms(part, image.query)
        query = image.query * (query_norm / image.query_norm)
        image_key = image.key * (key_norm / image.key_norm)
        if (count := len(query) // len(key)) > 1:
            key, value = (tensor.repeat_interleave(count, 0) for tensor in (key, value))
        joint_key = torch.cat((image_key, key), 2)
        joint_value = torch.cat((image.value, value), 2)
        attended: Tensor = attend(None, query, joint_key, joint_value)
        image_output = attended.reshape(len(query), query.shape[2], -1)
        values = part.prompt.keys.values
        if isinstance(values, TimedKeys) and values.is_silent:
            image_output = self._without_negative_rows(image_output)
        return AttendedPart(image_output, query.transpose(1, 2).flatten(2))

    def _without_negative_rows(self, image_output: Tensor) -> Tensor:
        """[B, N, C] with zeros for the images of the negative rows."""
        roles = self.call.rows.roles
        pieces = zip(image_output.chunk(len(roles)), roles, strict=True)
        return torch.cat(
            [torch.zeros_like(piece) if role == NEGATIVE else piece for piece, role in pieces]
        )


def run_block(
    call: PatchedMMDiTCall,
    previous: BlockPatch | None,
    address: Address,
    arguments: BlockArguments,
    extra: OriginalBlock,
) -> BlockArguments:
    """A replacement of a joint block: what another pack placed there, or the host's, with the image
    parts within its attention.

    Another pack's attention within a block that is compiled by itself cannot be told from none:
    with such the block runs uncompiled.
    """
    options: dict[str, Any] = arguments["transformer_options"]
    text_length: int = arguments["txt"].shape[1]
    if torch.compiler.is_compiling():
        ask_for_structure()
    elif not call.call.is_compiled or OVERRIDE in options:
        if not call.parts[address]:
            return run_previous(previous, arguments, extra)
    else:
        call.compiled_block = address, text_length
        arguments = marked_arguments(arguments, {**options, OVERRIDE: attend_in_compiled_block})
        return run_previous(previous, arguments, extra)
    attention = JointAttention(call, address, options, text_length=text_length)
    arguments = {**arguments, "transformer_options": {**options, OVERRIDE: attention}}
    with uncompiled(call.call.is_compiled and not torch.compiler.is_compiling()):
        return run_previous(previous, arguments, extra)


class ImageHeads:
    """Queries, keys and values of the generated image [B, H, N, D], as the model has them, and the
    weights [D] of its norms.

    To divide by these and to multiply by the adapter's is all that another norm takes: heads have
    been brought to a mean square of 1 already.
    """

    def __init__(self, tokens: Iterable[Tensor], heads: int, attention: HostAttention):
        self.query, self.key, self.value = (split_heads(tensor, heads) for tensor in tokens)
        self.query_norm = _norm_weight(attention.ln_q, self.query)
        self.key_norm = _norm_weight(attention.ln_k, self.key)


class JointAttention:
    """The host's attention override for one run of one block.

    The attention is whatever it would be without this one. The joint one is of all tokens, those of
    the text before those of the image.
    """

    def __init__(
        self, call: PatchedMMDiTCall, address: Address, options: dict[str, Any], text_length: int
    ):
        self.call, self.address, self.options = call, address, options
        self.text_length = text_length

    def __call__(
        self,
        function: AnyAttention,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        kwargs["transformer_options"] = self.options
        previous: AnyAttention | None = self.options.get(OVERRIDE)
        attention = partial(previous, function) if previous else function
        joint = attention(query, key, value, *args, **kwargs)
        heads: int = kwargs["heads"] if "heads" in kwargs else args[0]
        site = LayerSite(self.address, heads, text_length=self.text_length)
        if torch.compiler.is_compiling():
            return _add_in_graph(joint, (query, key, value), site)
        # What another pack returns may still be in use there; the host's own result is new.
        return self.call.add(joint, (query, key, value), site, in_place=previous is None)


def attend_in_compiled_block(
    function: AnyAttention, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    """The host's attention override in a block that is compiled by itself: which one it is the call
    knows when the graph runs, since blocks of equal shapes share it.
    """
    joint = function(query, key, value, *args, **kwargs)
    heads: int = kwargs["heads"] if "heads" in kwargs else args[0]
    site = LayerSite((JOINT, 0, 0), heads)
    return _add_in_graph(joint, (query, key, value), site)


def _add_in_graph(joint: Tensor, tokens: Iterable[Tensor], site: LayerSite) -> Tensor:
    return add_in_graph(joint, torch.cat([tensor.flatten(2) for tensor in tokens], -1), site)


def _attentions(modules: Modules) -> dict[int, HostAttention]:
    """The joint attention of the image in each block, by number."""
    return {
        int(match[1]): cast(HostAttention, module)
        for name, module in modules.items()
        if (match := _ATTENTION.fullmatch(name)) and hasattr(module, "qkv")
    }


def _has_norm(attention: HostAttention) -> bool:
    return getattr(attention.ln_q, "weight", None) is not None


def _norm_weight(norm: torch.nn.Module, like: Tensor) -> Tensor:
    """The weight [D] of an RMSNorm, as the host has it in memory: its value for ones. A weight of 0
    leaves nothing that could be restored.
    """
    weight: Tensor = norm(like.new_ones(like.shape[-1]))
    return torch.where(weight == 0, 1, weight)
