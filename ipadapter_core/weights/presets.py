"""What to take from a picture, in words: each kind is a weight for every block of the UNet.

Formulas and block numbers are those of IPAdapter_plus's weight types, with the middle block.
t: a block's number in a forward pass, L: how many blocks there are.
"""

from collections.abc import Callable, Sequence

from .blocks import Block

Row = tuple[float, ...]  # one weight per block
Take = Callable[[Sequence[Block], float, float], tuple[Row, Row]]  # -> for the picture, against it
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


def _layout(blocks: Sequence[Block]) -> Row:
    shares = LAYOUT[base_of(blocks)]
    return tuple(shares.get(block, 0.0) for block in blocks)


def _style(blocks: Sequence[Block]) -> Row:
    return tuple(float(block in STYLE[base_of(blocks)]) for block in blocks)


def _whole_layout(blocks: Sequence[Block]) -> Row:
    return tuple(float(share > 0) for share in _layout(blocks))


def _rest(blocks: Sequence[Block]) -> Row:
    """1 where the layout is not."""
    return tuple(float(share == 0) for share in _layout(blocks))


def _other(blocks: Sequence[Block]) -> Row:
    """1 where the style is, a tenth where neither style nor layout is."""
    layout, style = _layout(blocks), _style(blocks)
    return tuple(s or (TENTH if not c else 0.0) for s, c in zip(style, layout, strict=True))


def _of(row: Row, amount: float) -> Row:
    return tuple(amount * weight for weight in row)


def _sum(one: Row, other: Row) -> Row:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _plain(weight: Callable[[Sequence[Block]], Row]) -> Take:
    return lambda blocks, first, _: (_of(weight(blocks), first), (0.0,) * len(blocks))


def _ease(depth: Callable[[float], float]) -> Take:
    """depth: 0 at the first block to 1 after the last one -> how strong, 0 to 1."""

    def weight(blocks: Sequence[Block]) -> Row:
        count = len(blocks)
        return tuple(LEAST + (1 - LEAST) * depth(t / count) for t in range(count))

    return _plain(weight)


def _kinds(inside: Sequence[str], there: float, elsewhere: float) -> Take:
    return _plain(lambda blocks: tuple(there if b[0] in inside else elsewhere for b in blocks))


def _both(
    style: Callable[[Sequence[Block]], Row], layout: Callable[[Sequence[Block]], Row]
) -> Take:
    """Style with the first amount, layout with the second."""

    def take(blocks: Sequence[Block], first: float, second: float) -> tuple[Row, Row]:
        return _sum(_of(style(blocks), first), _of(layout(blocks), second)), (0.0,) * len(blocks)

    return take


def _turned(toward: Callable[[Sequence[Block]], Row], against: Callable[..., Row]) -> Take:
    return lambda blocks, first, second: (
        _of(toward(blocks), first),
        _of(against(blocks), second),
    )


BALANCED = "balanced"
TAKES: dict[str, Take] = {
    BALANCED: _plain(lambda blocks: (1.0,) * len(blocks)),
    "style": _plain(_style),
    "strong style": _plain(_rest),
    "layout": _plain(_layout),
    "style and layout": _both(_style, _layout),
    "strong style and layout": _both(_rest, _whole_layout),
    "precise style": _turned(_style, _layout),
    "precise layout": _turned(_layout, _other),
    "subject": _plain(lambda blocks: tuple(float(b in SUBJECT[base_of(blocks)]) for b in blocks)),
    "ease in": _ease(lambda depth: 1 - depth),
    "ease out": _ease(lambda depth: depth),
    "ease in-out": _ease(lambda depth: 1 - abs(2 * depth - 1)),
    "reverse in-out": _ease(lambda depth: abs(2 * depth - 1)),
    "weak input": _kinds(["input"], WEAK, 1.0),
    "weak middle": _kinds(["middle"], WEAK, 1.0),
    "weak output": _kinds(["output"], WEAK, 1.0),
    "strong input": _kinds(["input"], 1.0, WEAK),
    "strong middle": _kinds(["middle"], 1.0, WEAK),
    "strong output": _kinds(["output"], 1.0, WEAK),
}
