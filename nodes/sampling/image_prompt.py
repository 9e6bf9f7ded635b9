"""What hangs on a model for one Apply IPAdapter: an immutable ImagePrompt, with its settings as plain floats."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ...ipadapter_core.attention.keys import V_ONLY
from ...ipadapter_core.weights.weight_map import STEPS, Rows, WeightMap, constant
from ..sockets import ImageKeys

KEY = "ipadapter"
ALWAYS = 999999999.0  # the host's percent_to_sigma gives a little more for 0
log = logging.getLogger("ipadapter")


@dataclass(frozen=True)
class Settings:
    """One Apply IPAdapter as the user set it, apart from pictures and masks."""

    weight: float = 1.0
    start_at: float = 0.0
    end_at: float = 1.0
    weight_map: WeightMap | None = None
    scaling: str = V_ONLY
    keep_prompt: float = 0.0
    frame_weights: tuple[float, ...] = ()  # one for each picture, the last one goes on
    old_masks: str = ""  # how an old node resizes masks; such a node also takes roles by position


@dataclass(frozen=True)
class Piece:
    """A stretch of the sampling with one weight for each layer, from the larger sigma to the smaller one."""

    start: float
    end: float
    weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """What is added where, how strongly, and from which to which sigma."""

    keys: ImageKeys
    pieces: tuple[Piece, ...]  # where two meet, the later one holds
    mask: Tensor | None = None  # [M, H, W]
    settings: Settings = field(default_factory=Settings)
    against: bool = False  # stands on the negative side

    def __deepcopy__(self, memo: dict) -> "ImagePrompt":
        return self

    @property
    def always(self) -> bool:
        first = self.pieces[0]
        return len(self.pieces) == 1 and first.start >= ALWAYS and first.end <= 0

    def piece_at(self, sigma: float) -> int | None:
        """The number of the piece that holds at a sigma, or None."""
        for number in range(len(self.pieces) - 1, -1, -1):
            if self.pieces[number].end <= sigma <= self.pieces[number].start:
                return number
        return None

    def times(self, factor: float) -> "ImagePrompt":
        pieces = tuple(
            replace(piece, weights=tuple(factor * weight for weight in piece.weights))
            for piece in self.pieces
        )
        settings = replace(self.settings, weight=self.settings.weight * factor)
        return replace(self, pieces=pieces, settings=settings)


def prompts_for(
    model: Any, keys: ImageKeys, settings: Settings, mask: Tensor | None
) -> list[ImagePrompt]:
    """The prompts of one Apply IPAdapter: one for the picture, and one against it where the map has such a side."""
    if settings.start_at > settings.end_at:
        log.warning(
            "Apply IPAdapter's 'start_at' (%s) is after its 'end_at' (%s): the picture never acts.",
            settings.start_at,
            settings.end_at,
        )
    rows, against = _rows(keys, settings)
    made = []
    for turned, side in ((False, rows), (True, against)):
        pieces = _pieces(model.get_model_object("model_sampling"), settings, side)
        if not turned or any(any(piece.weights) for piece in pieces):
            used = replace(keys, values=keys.values.turned()) if turned else keys
            made.append(ImagePrompt(used, pieces, mask, settings, turned))
    return made


def add_prompts(model: Any, prompts: list[ImagePrompt]) -> None:
    """Put the prompts on a clone, after those that are there."""
    options = model.model_options["transformer_options"]
    options[KEY] = (*options.get(KEY, ()), *prompts)
    weights = [prompt.keys.patcher for prompt in options[KEY] if prompt.keys.patcher is not None]
    if weights:  # projected while sampling: the host loads and frees them beside the model
        model.set_additional_models(KEY, list(dict.fromkeys(weights)))


def _rows(keys: ImageKeys, settings: Settings) -> tuple[Rows, Rows]:
    """One weight per layer for every hundredth of the sampling, for the picture and against it."""
    given = settings.weight_map
    if given is None:
        return ((settings.weight,) * len(keys.layers),), ((0.0,) * len(keys.layers),)
    wanted = {(kind, number) for kind, number, _ in keys.layers}
    if wanted != set(given.blocks):
        raise ValueError(
            f"The weight map is for a model with {len(given.blocks)} blocks, this one has {len(wanted)}: connect the same 'model' to IPAdapter Weight Map and Apply IPAdapter."
        )
    sides = (given.over_layers(keys.layers, side) for side in (given.toward, given.against))
    toward, against = (
        tuple(tuple(settings.weight * weight for weight in row) for row in side) for side in sides
    )
    return (toward[:1] if constant(toward) else toward), (
        against[:1] if constant(against) else against
    )


def _pieces(sampling: Any, settings: Settings, rows: Rows) -> tuple[Piece, ...]:
    """Equal rows joined and cut to the window, in the order of sampling."""
    start, end = (
        float(sampling.percent_to_sigma(moment)) for moment in (settings.start_at, settings.end_at)
    )
    if len(rows) == 1 or start < end:
        return (Piece(start, end, rows[0]),)
    firsts = [step for step in range(STEPS + 1) if not step or rows[step] != rows[step - 1]]
    sigmas = [float(sampling.percent_to_sigma(step / STEPS)) for step in firsts]
    pieces = []
    for number, (step, sigma) in enumerate(zip(firsts, sigmas, strict=True)):
        until = sigmas[number + 1] if number + 1 < len(sigmas) else 0.0
        if min(sigma, start) >= max(until, end):
            pieces.append(Piece(min(sigma, start), max(until, end), rows[step]))
    return tuple(pieces) or (Piece(start, end, rows[0]),)
