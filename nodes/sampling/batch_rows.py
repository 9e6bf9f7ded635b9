"""Which rows of a model call are positive, which area of the image each is, and which frames they
hold.

`cond_or_uncond` numbers the lists that a guider hands to the host, and guiders order them as they
like (SAG hands over the negative alone, DualCFGGuider puts it first), so the lists themselves are
asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from comfy.samplers import CFGGuider

from ...ipadapter_core.attention.keys import ALONE, NEGATIVE, POSITIVE
from ...ipadapter_core.attention.masks import Area

Areas = dict[tuple[int, Any], Area]  # by index in a list of conds, and uuid
Cond = dict[str, Any]  # one conditioning, as the host's samplers pass it on


@dataclass(frozen=True)
class CondBatch:
    """One call of the host's calc_cond_batch."""

    roles: tuple[int, ...] = ()  # by index in its list of conds
    areas: Areas = field(default_factory=Areas)
    latent_size: tuple[int, int] = (0, 0)  # of the whole image


@dataclass(frozen=True)
class BatchRows:
    """The rows of one model call, each with `count` images. Hashable: results are kept for it."""

    roles: tuple[int, ...]
    areas: tuple[Area | None, ...]
    latent_size: tuple[int, int]
    count: int
    frames: tuple[int, ...] | None  # which images of the whole batch, if not all
    indices: tuple[int, ...] = ()  # the host's own numbers of the rows' conditionings

    @property
    def roles_by_position(self) -> tuple[int, ...]:
        """Roles as in IPAdapter_plus, which takes every guider's second list as the negative
        one.
        """
        return tuple(NEGATIVE if index == 1 else POSITIVE for index in self.indices)

    @property
    def all_frames(self) -> tuple[int, ...]:
        return self.frames or tuple(range(self.count))


def read_cond_batch(
    guider: CFGGuider | None, conds: Sequence[Sequence[Cond] | None], x: Tensor
) -> CondBatch:
    """The roles and areas, read where the guider's conditionings are still whole."""
    guider_conds: Mapping[str, Sequence[Cond]] = getattr(guider, "conds", None) or {}
    roles = tuple(_role(guider_conds, cond_list, index) for index, cond_list in enumerate(conds))
    if len(conds) == 2 and conds[1] is None:  # CFG 1: the host leaves the negative side out
        roles = tuple(ALONE if role == POSITIVE else role for role in roles)
    return CondBatch(roles, _areas(conds), (x.shape[-2], x.shape[-1]))


def read_batch_rows(batch: CondBatch | None, options: Mapping[str, Any], x: Tensor) -> BatchRows:
    """The rows of one model call; by position where a caller skips the guider, so that there is no
    batch.
    """
    indices = tuple(options.get("cond_or_uncond") or (0,))
    uuids = options.get("uuids") or (None,) * len(indices)
    batch = batch or CondBatch(latent_size=(x.shape[-2], x.shape[-1]))
    return BatchRows(
        roles=tuple(
            batch.roles[index] if index < len(batch.roles) else _role_by_position(index)
            for index in indices
        ),
        areas=tuple(batch.areas.get(key) for key in zip(indices, uuids, strict=True)),
        latent_size=batch.latent_size,
        count=len(x) // len(indices),
        frames=_window_frames(options),
        indices=indices,
    )


def _areas(conds: Sequence[Sequence[Cond] | None]) -> Areas:
    return {
        (index, cond.get("uuid")): area
        for index, cond_list in enumerate(conds)
        for cond in cond_list or ()
        if (area := _area(cond)) is not None
    }


def _area(cond: Cond) -> Area | None:
    """The area of a two-dimensional conditioning in latent pixels."""
    area = cond.get("area") or ()
    if len(area) != 4 or not all(isinstance(length, int) for length in area):
        return None
    height, width, top, left = area
    return height, width, top, left


def _role(
    guider_conds: Mapping[str, Sequence[Cond]], cond_list: Sequence[Cond] | None, index: int
) -> int:
    """By the list's own identity; context windows hand over copies, but their entries keep the
    uuids.
    """
    names = [name for name, conds in guider_conds.items() if conds is cond_list]
    if not names and cond_list:
        uuids = {cond.get("uuid") for cond in cond_list}
        names = [name for name, conds in guider_conds.items() if uuids <= _uuids(conds)]
    if len(names) != 1:
        return _role_by_position(index)
    return NEGATIVE if "negative" in names[0] else POSITIVE


def _uuids(conds: Sequence[Cond]) -> set[Any]:
    return {cond.get("uuid") for cond in conds}


def _role_by_position(index: int) -> int:
    return POSITIVE if index == 0 else NEGATIVE


def _window_frames(options: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The frames of the host's context window, or of AnimateDiff-Evolved's."""
    window = options.get("context_window")
    if window is not None and getattr(window, "dim", 0) == 0:
        anchor = getattr(window, "causal_anchor_index", None)
        anchor_frames = [] if anchor is None or anchor < 0 else [anchor]
        return (*anchor_frames, *window.index_list)
    evolved: Mapping[str, Any] = options.get("ad_params") or {}
    frames = evolved.get("sub_idxs")
    return tuple(frames) if frames is not None else None
