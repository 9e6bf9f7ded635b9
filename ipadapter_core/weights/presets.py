"""A word for each kind of influence, and its weight for every block of the model.

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

# Block -> share, for each base model. Layout is SD1.5's last two blocks before the middle, SDXL's
# last one.
LAYOUT_BLOCKS = {"sd15": {("input", 7): 0.25, ("input", 8): 1.0}, "sdxl": {("input", 8): 1.0}}
STYLE_BLOCKS = {
    "sd15": [("input", n) for n in (1, 2, 4, 5)] + [("output", n) for n in range(5, 12)],
    "sdxl": [("output", 1)],
}
# Where the UNet is coarsest, without the blocks that carry style: what is in the picture.
SUBJECT_BLOCKS = {
    "sd15": [("input", 7), ("input", 8), ("middle", 0), ("output", 3), ("output", 4)],
    "sdxl": [("input", 7), ("input", 8), ("middle", 0), ("output", 0), ("output", 2)],
}


def base_of(model_blocks: Sequence[Block]) -> str:
    """SDXL, and the models cut from it, have no cross-attention at full resolution."""
    return "sd15" if ("input", 1) in model_blocks else "sdxl"


def _layout(blocks: Sequence[Block]) -> BlockWeights:
    block_shares = LAYOUT_BLOCKS[base_of(blocks)]
    return tuple(block_shares.get(block, 0.0) for block in blocks)


def _style(blocks: Sequence[Block]) -> BlockWeights:
    return tuple(float(block in STYLE_BLOCKS[base_of(blocks)]) for block in blocks)


def _whole_layout(blocks: Sequence[Block]) -> BlockWeights:
    return tuple(float(share > 0) for share in _layout(blocks))


def _all_but_layout(blocks: Sequence[Block]) -> BlockWeights:
    """1 where the layout is not."""
    return tuple(float(share == 0) for share in _layout(blocks))


def _against_layout(blocks: Sequence[Block]) -> BlockWeights:
    """1 where the style is, a tenth where neither style nor layout is."""
    layout_weights, style_weights = _layout(blocks), _style(blocks)
    return tuple(
        s or (TENTH if not c else 0.0) for s, c in zip(style_weights, layout_weights, strict=True)
    )


def _scale(block_weights: BlockWeights, amount: float) -> BlockWeights:
    return tuple(amount * weight for weight in block_weights)


def _sum(left_weights: BlockWeights, right_weights: BlockWeights) -> BlockWeights:
    return tuple(a + b for a, b in zip(left_weights, right_weights, strict=True))


def _with_amount(weighting: BlockWeighting) -> Take:
    return lambda blocks, first_amount, _: (
        _scale(weighting(blocks), first_amount),
        (0.0,) * len(blocks),
    )


def _ease(depth: Callable[[float], float]) -> Take:
    """depth: 0 at the first block to 1 after the last one -> how strong, 0 to 1."""

    def weight(blocks: Sequence[Block]) -> BlockWeights:
        block_count = len(blocks)
        return tuple(LEAST + (1 - LEAST) * depth(t / block_count) for t in range(block_count))

    return _with_amount(weight)


def _by_kind(block_kinds: Sequence[str], kind_weight: float, other_weight: float) -> Take:
    """A weight for blocks of these kinds, another one for the remaining blocks."""
    return _with_amount(
        lambda blocks: tuple(
            kind_weight if block_kind in block_kinds else other_weight for block_kind, _ in blocks
        )
    )


def _style_and_layout(style_weighting: BlockWeighting, layout_weighting: BlockWeighting) -> Take:
    """Style with the first amount, layout with the second."""

    def take(
        blocks: Sequence[Block], first_amount: float, second_amount: float
    ) -> tuple[BlockWeights, BlockWeights]:
        return _sum(
            _scale(style_weighting(blocks), first_amount),
            _scale(layout_weighting(blocks), second_amount),
        ), (0.0,) * len(blocks)

    return take


def _contrast(positive_weighting: BlockWeighting, negative_weighting: BlockWeighting) -> Take:
    """One part on the positive side, the other on the negative one."""
    return lambda blocks, first_amount, second_amount: (
        _scale(positive_weighting(blocks), first_amount),
        _scale(negative_weighting(blocks), second_amount),
    )


def is_known_for(take: str, blocks: Sequence[Block]) -> bool:
    """Whether a kind means something for these blocks.

    Depth is known of every model, and of a UNet what is before and after its middle. Which blocks
    carry style, layout or subject is known of SD1.5, SDXL and the models cut from it.
    """
    if take in BY_DEPTH:
        return True
    if take in BY_PART:
        return any(block_kind == "input" for block_kind, _ in blocks)
    return set(LAYOUT_BLOCKS[base_of(blocks)]).issubset(blocks)


BALANCED_TAKE = "balanced"
BY_DEPTH = (BALANCED_TAKE, "ease in", "ease out", "ease in-out", "reverse in-out")
BY_PART = tuple(
    f"{strength} {block_kind}"
    for strength in ("weak", "strong")
    for block_kind in ("input", "middle", "output")
)
TAKES: dict[str, Take] = {
    BALANCED_TAKE: _with_amount(lambda blocks: (1.0,) * len(blocks)),
    "style": _with_amount(_style),
    "strong style": _with_amount(_all_but_layout),
    "layout": _with_amount(_layout),
    "style and layout": _style_and_layout(_style, _layout),
    "strong style and layout": _style_and_layout(_all_but_layout, _whole_layout),
    "precise style": _contrast(_style, _layout),
    "precise layout": _contrast(_layout, _against_layout),
    "subject": _with_amount(
        lambda blocks: tuple(float(b in SUBJECT_BLOCKS[base_of(blocks)]) for b in blocks)
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
