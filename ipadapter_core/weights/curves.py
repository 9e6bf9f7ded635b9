"""Keyframes as text become numbers: `0:1.0, 0.4:0.6 ease, 1:0`."""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import cos, isfinite, pi
from typing import NamedTuple

from ..messages import Message, Predicate, printable

EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "hold": lambda x: float(x >= 1),
    "ease": lambda x: (1 - cos(pi * x)) / 2,
    "ease in": lambda x: 1 - cos(pi * x / 2),  # slow at first
    "ease out": lambda x: cos(pi * (1 - x) / 2),  # slow at last
    "ease in-out": lambda x: (1 - cos(pi * x)) / 2,
}
_KEYFRAME = re.compile(r"([^:\s]+)\s*:\s*(\S+)(?:\s+(.+))?", re.DOTALL)


class Keyframe(NamedTuple):
    """A value at a moment, and how it is reached from the keyframe before."""

    time: float
    value: float
    easing: str


def parse(text: str, last: float | None = None) -> tuple[Keyframe, ...]:
    """The keyframes of a text; times may not go back, nor past `last`. An empty text is 1
    throughout.
    """
    keyframes: list[Keyframe] = []
    for entry_number, entry in entries(text):
        keyframe = _keyframe(entry, entry_number)
        if keyframe.time < 0 or (last is not None and keyframe.time > last):
            time_limits = "0 upward" if last is None else Message("0 to <1>", f"{last:g}")
            raise Predicate(
                "has the time <1> at entry <2>, '<3>': use <4>",
                f"{keyframe.time:g}",
                entry_number,
                printable(entry),
                time_limits,
            )
        if keyframes and keyframe.time < keyframes[-1].time:
            raise Predicate(
                "goes back in time at entry <1>, '<2>': <3> comes after <4>",
                entry_number,
                printable(entry),
                f"{keyframe.time:g}",
                f"{keyframes[-1].time:g}",
            )
        keyframes.append(keyframe)
    return tuple(keyframes) or (Keyframe(0.0, 1.0, "linear"),)


def _keyframe(entry: str, entry_number: int) -> Keyframe:
    match = _KEYFRAME.fullmatch(entry)
    if not match:
        raise Predicate(
            "has no keyframe at entry <1>, '<2>': write time:value, for example 0:1.0, "
            "0.4:0.6 ease, 1:0",
            entry_number,
            printable(entry),
        )
    time, value = (_number(match[group], entry_number, entry) for group in (1, 2))
    easing_name = " ".join((match[3] or "linear").split())
    if easing_name not in EASINGS:
        raise Predicate(
            "has the unknown easing '<1>' at entry <2>, '<3>': use one of <4>",
            printable(easing_name),
            entry_number,
            printable(entry),
            ", ".join(EASINGS),
        )
    return Keyframe(time, value, easing_name)


def value_at(keyframes: Sequence[Keyframe], time: float) -> float:
    """Before the first keyframe its value, after the last its value; of two at a time the later."""
    position = bisect_right(keyframes, time, key=lambda keyframe: keyframe.time)
    if position == 0:
        return keyframes[0].value
    if position == len(keyframes):
        return keyframes[-1].value
    start, end = keyframes[position - 1], keyframes[position]
    eased_share = EASINGS[end.easing]((time - start.time) / (end.time - start.time))
    return start.value + (end.value - start.value) * eased_share


def numbers(text: str) -> list[float]:
    """A list of numbers: 1, 0.5, 0."""
    return [_number(entry, entry_number, entry) for entry_number, entry in entries(text)]


def entries(text: str) -> list[tuple[int, str]]:
    """The entries between commas, semicolons and new lines, numbered from 1; a comma may end a
    line.
    """
    entry_texts = [entry.strip() for entry in re.split(r"[,;][ \t\r]*\n|[,;\n]", text)]
    while entry_texts and not entry_texts[-1]:
        entry_texts.pop()
    return list(enumerate(entry_texts, 1))


def _number(text: str, entry_number: int, entry: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise Predicate(
            "has no number at entry <1>, '<2>': '<3>'",
            entry_number,
            printable(entry),
            printable(text),
        )
    return value
