"""Keyframes as text become numbers: `0:1.0, 0.4:0.6 ease, 1:0`."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import cos, isfinite, pi
from typing import NamedTuple

from ..messages import Message, Predicate

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
    """The keyframes of a text; times may not go back, nor past `last`. An empty text is 1 throughout."""
    keyframes: list[Keyframe] = []
    for number, entry in entries(text):
        keyframe = _keyframe(entry, number)
        if keyframe.time < 0 or (last is not None and keyframe.time > last):
            limits = "0 upward" if last is None else Message("0 to <1>", f"{last:g}")
            raise Predicate(
                "has the time <1> at entry <2>, '<3>': use <4>",
                f"{keyframe.time:g}",
                number,
                entry,
                limits,
            )
        if keyframes and keyframe.time < keyframes[-1].time:
            raise Predicate(
                "goes back in time at entry <1>, '<2>': <3> comes after <4>",
                number,
                entry,
                f"{keyframe.time:g}",
                f"{keyframes[-1].time:g}",
            )
        keyframes.append(keyframe)
    return tuple(keyframes) or (Keyframe(0.0, 1.0, "linear"),)


def _keyframe(entry: str, number: int) -> Keyframe:
    match = _KEYFRAME.fullmatch(entry)
    if not match:
        raise Predicate(
            "has no key frame at entry <1>, '<2>': write time:value, for example 0:1.0, "
            "0.4:0.6 ease, 1:0",
            number,
            entry,
        )
    time, value = (_number(match[group], number, entry) for group in (1, 2))
    easing = " ".join((match[3] or "linear").split())
    if easing not in EASINGS:
        raise Predicate(
            "has the unknown easing '<1>' at entry <2>, '<3>': use one of <4>",
            easing,
            number,
            entry,
            ", ".join(EASINGS),
        )
    return Keyframe(time, value, easing)


def value_at(keyframes: Sequence[Keyframe], time: float) -> float:
    """Before the first keyframe its value, after the last one its value; of two at one time the later."""
    if time < keyframes[0].time:
        return keyframes[0].value
    for start, end in pairwise(keyframes):
        if start.time <= time < end.time:
            share = EASINGS[end.easing]((time - start.time) / (end.time - start.time))
            return start.value + (end.value - start.value) * share
    return keyframes[-1].value


def numbers(text: str) -> list[float]:
    """A list of numbers: 1, 0.5, 0."""
    return [_number(entry, number, entry) for number, entry in entries(text)]


def entries(text: str) -> list[tuple[int, str]]:
    """The entries between commas, semicolons and new lines, numbered from 1; a comma may end a line."""
    texts = [entry.strip() for entry in re.split(r"[,;][ \t\r]*\n|[,;\n]", text)]
    while texts and not texts[-1]:
        texts.pop()
    return list(enumerate(texts, 1))


def _number(text: str, number: int, entry: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise Predicate("has no number at entry <1>, '<2>': '<3>'", number, entry, text)
    return value
