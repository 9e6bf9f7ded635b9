"""Where the cross-attention layers of a UNet are, in the order in which adapter files number them.

Files count the down blocks, then the up blocks, then the middle block; a forward pass comes through
the middle before the up blocks. (diffusers builds its attention processors in that order:
https://github.com/huggingface/diffusers/blob/v0.35.0/src/diffusers/models/unets/unet_2d_condition.py)
"""

import re
from collections.abc import Iterable

Address = tuple[
    str, int, int
]  # block, its number, transformer block in it: as attention patches are keyed
Block = tuple[str, int]

_ATTN2 = re.compile(
    r"(input_blocks|output_blocks|middle_block)\.(?:(\d+)\.)?\d+\.transformer_blocks\.(\d+)\.attn2"
)
_ORDER = {"input": 0, "output": 1, "middle": 2}
_FORWARD = ["input", "middle", "output"]


def address(name: str) -> Address | None:
    """The address of a module by its name in the UNet, or None if it is no cross-attention layer."""
    match = _ATTN2.fullmatch(name)
    if not match:
        return None
    return match[1].split("_")[0], int(match[2] or 0), int(match[3])


def layer_table(names: Iterable[str]) -> dict[Address, str]:
    """Address -> module name of every cross-attention layer, in the order of adapter files."""
    found = {place: name for name in names if (place := address(name))}
    return dict(sorted(found.items(), key=lambda item: (_ORDER[item[0][0]], *item[0][1:])))


def blocks_of(layers: Iterable[Address]) -> tuple[Block, ...]:
    """The blocks that hold these layers, in the order of a forward pass."""
    found = {(kind, number) for kind, number, _ in layers}
    return tuple(sorted(found, key=lambda block: (_FORWARD.index(block[0]), block[1])))
