"""Replacements of transformer blocks, as the host calls them: with the arguments of a block and the
block itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .compiled import marked

DIT, DOUBLE_BLOCK = "dit", "double_block"  # the host's names
BlockArguments = dict[str, Any]  # what the host gives a block and takes from it: img, txt, ...
OriginalBlock = Mapping[str, Callable[[BlockArguments], BlockArguments]]
BlockPatch = Callable[[BlockArguments, OriginalBlock], BlockArguments]


def run_previous(
    previous: BlockPatch | None, arguments: BlockArguments, extra: OriginalBlock
) -> BlockArguments:
    """Run the patch that another pack placed at the block, or the host's block."""
    return previous(arguments, extra) if previous else extra["original_block"](arguments)


def marked_arguments(arguments: BlockArguments, options: dict[str, Any]) -> BlockArguments:
    """The arguments of a block that is compiled by itself, with these transformer_options: its
    graph is another one than that of the plain block.
    """
    return {**arguments, "img": marked(arguments["img"]), "transformer_options": options}
