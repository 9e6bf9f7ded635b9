"""What a picture gives, in words and numbers, becomes one float per layer and moment, before sampling.

A map has one row for each hundredth of the sampling and one column for each block of the UNet that holds
cross-attention, in the order of a forward pass. The kinds and formulas are those of IPAdapter_plus
(t: the block's number in that order, L: how many there are), with the middle block.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import add, mul
from typing import TypeVar, cast

import torch

from ..messages import Predicate
from .blocks import Address, Block
from .curves import entries, numbers, parse, value_at
from .presets import TAKES, Row

STEPS = 100
REST = "rest"  # in `layers`: every block that is not named
SD15: list[Block] = [
    *(("input", n) for n in (1, 2, 4, 5, 7, 8)),
    ("middle", 0),
    *(("output", n) for n in range(3, 12)),
]
SDXL: list[Block] = [
    *(("input", n) for n in (4, 5, 7, 8)),
    ("middle", 0),
    *(("output", n) for n in range(6)),
]
T = TypeVar("T")
Rows = tuple[Row, ...]  # STEPS + 1 of them


@dataclass(frozen=True)
class WeightMap:
    """How strongly the picture acts at each moment and block: for the picture, and against it.

    against: weights with which the picture stands on the negative side, so that guidance leads away from it.
    """

    blocks: tuple[Block, ...]
    toward: Rows
    against: Rows

    def times(self, other: "WeightMap") -> "WeightMap":
        self._check(other)
        crossed = (
            _each(mul, self.toward, other.against),
            _each(mul, self.against, other.toward),
        )
        toward = _each(mul, self.toward, other.toward)
        return replace(self, toward=toward, against=_each(add, *crossed))

    def plus(self, other: "WeightMap") -> "WeightMap":
        self._check(other)
        toward = _each(add, self.toward, other.toward)
        return replace(self, toward=toward, against=_each(add, self.against, other.against))

    def _check(self, other: "WeightMap") -> None:
        if self.blocks != other.blocks:
            raise ValueError(
                f"The two weight maps are for different models, one with {len(self.blocks)} and one with {len(other.blocks)} blocks: make both with the same 'model'."
            )

    @property
    def turns(self) -> bool:
        return any(map(any, self.against))

    def over_layers(self, layers: Sequence[Address], rows: Rows) -> Rows:
        """The rows with one weight per layer of an adapter, in its order."""
        column = {block: number for number, block in enumerate(self.blocks)}
        places = [column[kind, number] for kind, number, _ in layers]
        return tuple(tuple(row[place] for place in places) for row in rows)


def make_map(
    blocks: Sequence[Block],
    take: str = "balanced",
    first: float = 1.0,
    second: float = 1.0,
    layers: str = "",
    curve: str = "",
    jitter: float = 0.0,
    seed: int = 0,
) -> WeightMap:
    """A kind with its two amounts, times a list per block, times a curve over time, times jitter.

    Raises Predicate, which begins with the name of the input that is wrong ("'curve' has ...").
    """
    blocks = tuple(blocks)
    toward, against = TAKES[take](blocks, first, second)
    factors = _named("layers", lambda: layer_factors(layers, blocks))
    keys = _named("curve", lambda: parse(curve, 1.0))
    over_time = [value_at(keys, step / STEPS) for step in range(STEPS + 1)]
    source = torch.Generator().manual_seed(seed)
    noise = 1 + jitter * (2 * torch.rand(STEPS + 1, len(blocks), generator=source) - 1)
    shaken = cast("list[list[float]]", noise.tolist())  # type: ignore[reportUnknownMemberType]

    def rows(weights: Row) -> Rows:
        return tuple(
            tuple(
                weight * factor * now * shake
                for weight, factor, shake in zip(weights, factors, shakes, strict=True)
            )
            for now, shakes in zip(over_time, shaken, strict=True)
        )

    return WeightMap(blocks, rows(toward), rows(against))


def check_texts(layers: str, curve: str) -> None:
    """Raises `make_map`'s Predicate for texts that are wrong for every model."""
    _named("curve", lambda: parse(curve, 1.0))
    if ":" not in layers:
        _named("layers", lambda: numbers(layers))
        return
    try:
        layer_factors(layers, SDXL)
    except Predicate:
        _named("layers", lambda: layer_factors(layers, SD15))


def layer_factors(text: str, blocks: Sequence[Block]) -> Row:
    """`1, 0.5, ...`: one number for each block; `3:1, middle:0.5, rest:1`: by number from 0 or by name.

    Blocks that are not named have what `rest` says, else 0.
    """
    if not text.strip():
        return (1.0,) * len(blocks)
    if ":" not in text:
        found = numbers(text)
        if len(found) != len(blocks):
            raise Predicate(
                "has <1> numbers, but this model has <2> blocks: <3>",
                len(found),
                len(blocks),
                names(blocks),
            )
        return tuple(found)
    places = {block_name(block): number for number, block in enumerate(blocks)}
    places |= {str(number): number for number in range(len(blocks))}
    rest, given = 0.0, dict[int, float]()
    for number, part in entries(text):
        place, _, value = part.partition(":")
        place = " ".join(place.lower().split())
        if place != REST and place not in places:
            raise Predicate(
                "has no block '<1>' at entry <2>, '<3>': the blocks are 0 to <4>, or <5>, or <6>",
                place,
                number,
                part,
                len(blocks) - 1,
                names(blocks),
                REST,
            )
        try:
            factor = numbers(value)[0]
        except (Predicate, IndexError):
            raise Predicate("has no number at entry <1>, '<2>'", number, part) from None
        if place == REST:
            rest = factor
        else:
            given[places[place]] = factor
    return tuple(given.get(number, rest) for number in range(len(blocks)))


def names(blocks: Iterable[Block]) -> str:
    return ", ".join(block_name(block) for block in blocks)


def block_name(block: Block) -> str:
    return block[0] if block[0] == "middle" else f"{block[0]} {block[1]}"


def constant(rows: Rows) -> bool:
    return all(row == rows[0] for row in rows)


def _named(name: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except Predicate as error:
        raise Predicate("'<1>' <2>", name, error.message) from None


def _each(join: Callable[[float, float], float], one: Rows, other: Rows) -> Rows:
    return tuple(tuple(map(join, a, b)) for a, b in zip(one, other, strict=True))
