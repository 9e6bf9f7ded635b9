"""A word, a list and a curve become one float per layer and moment, before sampling.

A map has one row for each hundredth of the sampling and one column for each block of the model that
holds cross-attention, in the order of a forward pass. The kinds and formulas are those of
IPAdapter_plus (t: the block's number in that order, L: how many there are), with the middle block.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import add, mul
from typing import TypeVar, cast

import torch

from ..messages import Predicate, printable
from .blocks import Address, Block
from .curves import entries, numbers, parse, value_at
from .presets import TAKES, BlockWeights

STEPS = 100
REST = "rest"  # in `layers`: every block that is not named
SD15_BLOCKS: list[Block] = [
    *(("input", n) for n in (1, 2, 4, 5, 7, 8)),
    ("middle", 0),
    *(("output", n) for n in range(3, 12)),
]
SDXL_BLOCKS: list[Block] = [
    *(("input", n) for n in (4, 5, 7, 8)),
    ("middle", 0),
    *(("output", n) for n in range(6)),
]
FLUX_BLOCKS: list[Block] = [
    *(("double", n) for n in range(19)),
    *(("single", n) for n in range(38)),
]
SD35_LARGE_BLOCKS: list[Block] = [("joint", n) for n in range(38)]
T = TypeVar("T")
WeightSchedule = tuple[BlockWeights, ...]  # STEPS + 1 of them


@dataclass(frozen=True)
class WeightMap:
    """The weight of the reference at each moment and block.

    negative: weights with which the reference stands on the negative side, so that guidance leads
    away from it.
    """

    blocks: tuple[Block, ...]
    positive: WeightSchedule
    negative: WeightSchedule

    def times(self, factor_map: "WeightMap") -> "WeightMap":
        self._require_same_blocks(factor_map)
        crossed_products = (
            _combine(mul, self.positive, factor_map.negative),
            _combine(mul, self.negative, factor_map.positive),
        )
        positive_product = _combine(mul, self.positive, factor_map.positive)
        return replace(self, positive=positive_product, negative=_combine(add, *crossed_products))

    def plus(self, added_map: "WeightMap") -> "WeightMap":
        self._require_same_blocks(added_map)
        return replace(
            self,
            positive=_combine(add, self.positive, added_map.positive),
            negative=_combine(add, self.negative, added_map.negative),
        )

    def over_layers(self, layers: Sequence[Address], schedule: WeightSchedule) -> WeightSchedule:
        """A schedule with one weight per layer of an adapter, in its order."""
        column_of = {block: block_number for block_number, block in enumerate(self.blocks)}
        layer_columns = [
            column_of[block_kind, block_number] for block_kind, block_number, _ in layers
        ]
        return tuple(
            tuple(step_weights[column] for column in layer_columns) for step_weights in schedule
        )

    def _require_same_blocks(self, weight_map: "WeightMap") -> None:
        if self.blocks != weight_map.blocks:
            raise ValueError(
                "The two weight maps are for different models, one with "
                f"{len(self.blocks)} and one with {len(weight_map.blocks)} blocks: "
                "make both with the same 'model'."
            )


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """A kind with its two amounts, a factor per block, a curve over the steps, noise around 1."""

    take: str = "balanced"
    first_amount: float = 1.0
    second_amount: float = 1.0
    layers: str = ""
    curve: str = ""
    jitter: float = 0.0
    seed: int = 0


def make_map(model_blocks: Sequence[Block], settings: MapSettings) -> WeightMap:
    """The settings' weights, factors, curve and jitter, multiplied.

    Raises Predicate, which begins with the name of the input that is wrong ("'curve' has ...").
    """
    model_blocks = tuple(model_blocks)
    positive_weights, negative_weights = TAKES[settings.take](
        model_blocks, settings.first_amount, settings.second_amount
    )
    block_factors = _about_input("layers", lambda: layer_factors(settings.layers, model_blocks))
    keyframes = _about_input("curve", lambda: parse(settings.curve, 1.0))
    curve_values = [value_at(keyframes, step / STEPS) for step in range(STEPS + 1)]
    noise_by_step = _jitter_factors(len(model_blocks), settings.jitter, settings.seed)

    def schedule(block_weights: BlockWeights) -> WeightSchedule:
        return tuple(
            tuple(
                block_weight * block_factor * curve_value * noise_factor
                for block_weight, block_factor, noise_factor in zip(
                    block_weights, block_factors, step_noise, strict=True
                )
            )
            for curve_value, step_noise in zip(curve_values, noise_by_step, strict=True)
        )

    return WeightMap(model_blocks, schedule(positive_weights), schedule(negative_weights))


def check_texts(layers_text: str, curve_text: str) -> None:
    """Raises `make_map`'s Predicate for texts that are wrong for every model."""
    _about_input("curve", lambda: parse(curve_text, 1.0))
    if ":" not in layers_text:
        _about_input("layers", lambda: numbers(layers_text))
        return
    for model_blocks in (SDXL_BLOCKS, FLUX_BLOCKS, SD35_LARGE_BLOCKS):
        try:
            layer_factors(layers_text, model_blocks)
        except Predicate:
            continue
        return
    _about_input("layers", lambda: layer_factors(layers_text, SD15_BLOCKS))


def layer_factors(text: str, model_blocks: Sequence[Block]) -> BlockWeights:
    """`1, 0.5, ...`: one number for each block; `3:1, middle:0.5, rest:1`: by number from 0 or by
    name.

    Blocks that are not named have the factor of `rest`, else 0.
    """
    if not text.strip():
        return (1.0,) * len(model_blocks)
    if ":" in text:
        return _factors_by_name(text, model_blocks)
    block_factors = numbers(text)
    if len(block_factors) != len(model_blocks):
        raise Predicate(
            "has <1> numbers, but this model has <2> blocks: <3>",
            len(block_factors),
            len(model_blocks),
            block_names(model_blocks),
        )
    return tuple(block_factors)


def block_names(blocks: Iterable[Block]) -> str:
    return ", ".join(block_name(block) for block in blocks)


def block_name(block: Block) -> str:
    return block[0] if block[0] == "middle" else f"{block[0]} {block[1]}"


def is_constant(schedule: WeightSchedule) -> bool:
    return all(step_weights == schedule[0] for step_weights in schedule)


def _factors_by_name(text: str, model_blocks: Sequence[Block]) -> BlockWeights:
    columns = {block_name(block): entry_number for entry_number, block in enumerate(model_blocks)}
    columns |= {str(entry_number): entry_number for entry_number in range(len(model_blocks))}
    rest_factor, named_factors = 0.0, dict[int, float]()
    for entry_number, entry in entries(text):
        block_text, factor = _named_factor(entry, entry_number)
        if block_text == REST:
            rest_factor = factor
        elif block_text in columns:
            named_factors[columns[block_text]] = factor
        else:
            raise Predicate(
                "has the unknown block '<1>' at entry <2>, '<3>': the blocks are 0 to <4>, or "
                "<5>, or <6>",
                printable(block_text),
                entry_number,
                printable(entry),
                len(model_blocks) - 1,
                block_names(model_blocks),
                REST,
            )
    return tuple(
        named_factors.get(entry_number, rest_factor) for entry_number in range(len(model_blocks))
    )


def _named_factor(entry: str, entry_number: int) -> tuple[str, float]:
    """`Middle: 0.5` -> middle and its factor."""
    block_text, _, factor_text = entry.partition(":")
    try:
        return " ".join(block_text.lower().split()), numbers(factor_text)[0]
    except (Predicate, IndexError):
        raise Predicate(
            "has no number at entry <1>, '<2>'", entry_number, printable(entry)
        ) from None


def _jitter_factors(block_count: int, jitter: float, seed: int) -> list[list[float]]:
    """One factor around 1 for every moment and block."""
    generator = torch.Generator().manual_seed(seed)
    noise_by_step = 1 + jitter * (2 * torch.rand(STEPS + 1, block_count, generator=generator) - 1)
    return cast("list[list[float]]", noise_by_step.tolist())  # type: ignore[reportUnknownMemberType]


def _about_input(input_name: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except Predicate as error:
        raise Predicate("'<1>' <2>", input_name, error.message) from None


def _combine(
    operation: Callable[[float, float], float],
    left_schedule: WeightSchedule,
    right_schedule: WeightSchedule,
) -> WeightSchedule:
    return tuple(
        tuple(map(operation, left_row, right_row))
        for left_row, right_row in zip(left_schedule, right_schedule, strict=True)
    )
