"""Which rows of a UNet call are positive, which part of the picture each is, and which frames they hold.

`cond_or_uncond` numbers the lists that a guider hands to the host, and guiders order them as they like (SAG hands
over the negative alone, DualCFGGuider puts it first), so the lists themselves are asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ...ipadapter_core.attention.keys import ALONE, NEGATIVE, POSITIVE
from ...ipadapter_core.attention.masks import Area


@dataclass(frozen=True)
class Batch:
    """One call of the host's calc_cond_batch."""

    roles: tuple[int, ...] = ()  # by index in its list of conds
    areas: Mapping[tuple[int, Any], Area] = field(default_factory=dict)  # by index and uuid
    size: tuple[int, int] = (0, 0)  # the whole latent


@dataclass(frozen=True)
class Rows:
    """One call of the UNet: `count` pictures for each row. Hashable, so that what is prepared for it is kept."""

    roles: tuple[int, ...]
    areas: tuple[Area | None, ...]
    size: tuple[int, int]
    count: int
    frames: tuple[int, ...] | None  # which pictures of the whole batch, if not all
    indices: tuple[int, ...] = ()  # the host's own numbers of the rows' conditionings

    @property
    def by_position(self) -> tuple[int, ...]:
        """Roles as IPAdapter_plus has them, which reads the second list of every guider as the negative one."""
        return tuple(NEGATIVE if index == 1 else POSITIVE for index in self.indices)


def batch_of(guider: Any, conds: Sequence[Any], x: Tensor) -> Batch:
    """What is known where the guider's conditionings are still whole."""
    areas = {
        (index, cond.get("uuid")): tuple(cond["area"][:4])
        for index, listed in enumerate(conds)
        for cond in listed or ()
        if len(cond.get("area") or ()) == 4 and all(isinstance(v, int) for v in cond["area"])
    }
    known = getattr(guider, "conds", None) or {}
    roles = tuple(_role(known, listed, index) for index, listed in enumerate(conds))
    if len(conds) == 2 and conds[1] is None:  # CFG 1: the host leaves the negative side out
        roles = tuple(ALONE if role == POSITIVE else role for role in roles)
    return Batch(roles, areas, (x.shape[-2], x.shape[-1]))


def rows_of(batch: Batch | None, options: Mapping[str, Any], x: Tensor) -> Rows:
    """What one UNet call holds; without a batch (a caller that skips the guider) by position."""
    indices = tuple(options.get("cond_or_uncond") or (0,))
    uuids = options.get("uuids") or (None,) * len(indices)
    batch = batch or Batch(size=(x.shape[-2], x.shape[-1]))
    return Rows(
        tuple(batch.roles[i] if i < len(batch.roles) else _by_position(i) for i in indices),
        tuple(batch.areas.get(key) for key in zip(indices, uuids, strict=True)),
        batch.size,
        len(x) // len(indices),
        _frames(options),
        indices,
    )


def _role(known: Mapping[str, Any], listed: Any, index: int) -> int:
    """The list's own identity tells; context windows hand over copies, but their entries keep the uuids."""
    same = [name for name, conds in known.items() if conds is listed]
    if not same and listed:
        uuids = {cond.get("uuid") for cond in listed}
        same = [name for name, conds in known.items() if uuids <= {c.get("uuid") for c in conds}]
    if len(same) == 1:
        return NEGATIVE if "negative" in same[0] else POSITIVE
    return _by_position(index)


def _by_position(index: int) -> int:
    return POSITIVE if index == 0 else NEGATIVE


def _frames(options: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The frames of the host's context window, or of AnimateDiff-Evolved's."""
    window = options.get("context_window")
    if window is not None and getattr(window, "dim", 0) == 0:
        anchor = getattr(window, "causal_anchor_index", None)
        before = [] if anchor is None or anchor < 0 else [anchor]
        return (*before, *window.index_list)
    frames = (options.get("ad_params") or {}).get("sub_idxs")
    return tuple(frames) if frames is not None else None
