"""A word for each kind of influence, and its weight for every block of the UNet.

Formulas and block numbers are those of IPAdapter_plus's weight types, with the middle block.
t: a block's number in a forward pass, L: the number of blocks.
"""

from collections.abc import Callable, Sequence

from .blocks import Block

BlockWeights = tuple[float, ...]  # one weight per block
BlockWeighting = Callable[[Sequence[Block]], BlockWeights]
# blocks and two amounts -> weights on the positive side and on the negative one
Take = Callable[[Sequence[Block], float, float], tuple[BlockWeights, BlockWeights]]
LEAST = 0.05  # of an ease, where it is weakest
WEAK = 0.2
TENTH = 0.1

# Block -> share, for each base model. Layout is SD1.5's last two blocks before the middle, SDXL's last one.
LAYOUT = {"sd15": {("input", 7): 0.25, ("input", 8): 1.0}, "sdxl": {("input", 8): 1.0}}
STYLE = {
    "sd15": [("input", n) for n in (1, 2, 4, 5)] + [("output", n) for n in range(5, 12)],
    "sdxl": [("output", 1)],
}
# Where the UNet is coarsest, without the blocks that carry style: what is in the picture.
SUBJECT = {
    "sd15": [("input", 7), ("input", 8), ("middle", 0), ("output", 3), ("output", 4)],
    "sdxl": [("input", 7), ("input", 8), ("middle", 0), ("output", 0), ("output", 2)],
}


def base_of(blocks: Sequence[Block]) -> str:
    """SDXL, and the models cut from it, have no cross-attention at full resolution."""
    return "sd15" if ("input", 1) in blocks else "sdxl"


def _layout(blocks: Sequence[Block]) -> BlockWeights:
    shares = LAYOUT[base_of(blocks)]
    return tuple(shares.get(block, 0.0) for block in blocks)


def _style(blocks: Sequence[Block]) -> BlockWeights:
    return tuple(float(block in STYLE[base_of(blocks)]) for block in blocks)


def _whole_layout(blocks: Sequence[Block]) -> BlockWeights:
    return tuple(float(share > 0) for share in _layout(blocks))


def _all_but_layout(blocks: Sequence[Block]) -> BlockWeights:
    """1 where the layout is not."""
    return tuple(float(share == 0) for share in _layout(blocks))


def _against_layout(blocks: Sequence[Block]) -> BlockWeights:
    """1 where the style is, a tenth where neither style nor layout is."""
    layout, style = _layout(blocks), _style(blocks)
    return tuple(s or (TENTH if not c else 0.0) for s, c in zip(style, layout, strict=True))


def _scale(weights: BlockWeights, amount: float) -> BlockWeights:
    return tuple(amount * weight for weight in weights)


def _sum(left: BlockWeights, right: BlockWeights) -> BlockWeights:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _with_amount(weight: BlockWeighting) -> Take:
    return lambda blocks, first, _: (_scale(weight(blocks), first), (0.0,) * len(blocks))


def _ease(depth: Callable[[float], float]) -> Take:
    """depth: 0 at the first block to 1 after the last one -> how strong, 0 to 1."""

    def weight(blocks: Sequence[Block]) -> BlockWeights:
        count = len(blocks)
        return tuple(LEAST + (1 - LEAST) * depth(t / count) for t in range(count))

    return _with_amount(weight)


def _by_kind(block_kinds: Sequence[str], weight: float, remaining: float) -> Take:
    """A weight for blocks of these kinds, another one for the remaining blocks."""
    return _with_amount(
        lambda blocks: tuple(weight if kind in block_kinds else remaining for kind, _ in blocks)
    )


def _style_and_layout(style: BlockWeighting, layout: BlockWeighting) -> Take:
    """Style with the first amount, layout with the second."""

    def take(
        blocks: Sequence[Block], first: float, second: float
    ) -> tuple[BlockWeights, BlockWeights]:
        return _sum(_scale(style(blocks), first), _scale(layout(blocks), second)), (0.0,) * len(
            blocks
        )

    return take


def _contrast(positive: BlockWeighting, negative: BlockWeighting) -> Take:
    """One part on the positive side, the other on the negative one."""
    return lambda blocks, first, second: (
        _scale(positive(blocks), first),
        _scale(negative(blocks), second),
    )


BALANCED = "balanced"
TAKES: dict[str, Take] = {
    BALANCED: _with_amount(lambda blocks: (1.0,) * len(blocks)),
    "style": _with_amount(_style),
    "strong style": _with_amount(_all_but_layout),
    "layout": _with_amount(_layout),
    "style and layout": _style_and_layout(_style, _layout),
    "strong style and layout": _style_and_layout(_all_but_layout, _whole_layout),
    "precise style": _contrast(_style, _layout),
    "precise layout": _contrast(_layout, _against_layout),
    "subject": _with_amount(
        lambda blocks: tuple(float(b in SUBJECT[base_of(blocks)]) for b in blocks)
    ),
    "ease in": _ease(lambda depth: 1 - depth),
    "ease out": _ease(lambda depth: depth),
    "ease in-out": _ease(lambda depth: 1 - abs(2 * depth - 1)),
    "reverse in-out": _ease(lambda depth: abs(2 * depth - 1)),
    "weak input": _by_kind(["input"], WEAK, 1.0),
    "weak middle": _by_kind(["middle"], WEAK, 1.0),
    "weak output": _by_kind(["output"], WEAK, 1.0),
    "strong input": _by_kind(["input"], 1.0, WEAK),
    "strong middle": _by_kind(["middle"], 1.0, WEAK),
    "strong output": _by_kind(["output"], 1.0, WEAK),
}
