"""The cross-attention layers of a UNet, in the order in which adapter files number them.

Files count the down blocks, then the up blocks, then the middle block; a forward pass comes through
the middle before the up blocks. (diffusers builds its attention processors in that order:
https://github.com/huggingface/diffusers/blob/v0.35.0/src/diffusers/models/unets/unet_2d_condition.py)
"""

import re
from collections.abc import Iterable

# Block, its number, and which layer in it: for a UNet the transformer block, as in the keys of the
# host's attention patches; for a transformer, where the image part is added (`families.Place`).
Address = tuple[str, int, int]
Block = tuple[str, int]

_ATTN2 = re.compile(
    r"(input_blocks|output_blocks|middle_block)\.(?:(\d+)\.)?\d+\.transformer_blocks\.(\d+)\.attn2"
)
_FILE_ORDER = {"input": 0, "output": 1, "middle": 2}
_FORWARD_ORDER = {"input": 0, "middle": 1, "output": 2, "double": 3, "single": 4}


def address(module_name: str) -> Address | None:
    """The address of a module by its name in the UNet, or None if it is no cross-attention
    layer.
    """
    match = _ATTN2.fullmatch(module_name)
    if not match:
        return None
    return match[1].split("_")[0], int(match[2] or 0), int(match[3])


def layer_table(module_names: Iterable[str]) -> dict[Address, str]:
    """Address -> module name of every cross-attention layer, in the order of adapter files."""
    layer_names = {
        layer_address: module_name
        for module_name in module_names
        if (layer_address := address(module_name))
    }
    return dict(
        sorted(layer_names.items(), key=lambda item: (_FILE_ORDER[item[0][0]], *item[0][1:]))
    )


def blocks_of(layers: Iterable[Address]) -> tuple[Block, ...]:
    """The blocks that hold these layers, in the order of a forward pass."""
    layer_blocks = {(block_kind, block_number) for block_kind, block_number, _ in layers}
    return tuple(sorted(layer_blocks, key=lambda block: (_FORWARD_ORDER[block[0]], block[1])))
