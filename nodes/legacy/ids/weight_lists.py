"""The weights nodes of IPAdapter_plus: weights for frames, and the pictures between them."""

import random
from collections.abc import Mapping
from math import cos, isfinite, nan, pi, sin
from typing import Any

import torch
from torch import Tensor

from ....ipadapter_core.messages import printable
from .input_specs import TIMINGS
from .old_node import OldNode, unknown_option

REVERSE_IN_OUT = "reverse_in_out"  # a timing that was offered in April 2024 alone
EASES = {  # share of the way at a share of the time; the names are the reverse of the usual ones
    "linear": lambda x: x,
    "ease_in_out": lambda x: (1 - cos(x * pi)) / 2,
    "ease_in": lambda x: sin(x * pi / 2),
    "ease_out": lambda x: 1 - cos(x * pi / 2),
    REVERSE_IN_OUT: lambda x: 1 - sin((1 - x) * pi / 2),
}
DEFAULTS = {
    "weights": "",
    "timing": "custom",
    "frames": 0,
    "start_frame": 0,
    "end_frame": 9999,
    "add_starting_frames": 0,
    "add_ending_frames": 0,
    "method": "full batch",
}


class WeightsList(OldNode):
    """-> weights, reversed weights, their number, two pictures for each frame, and all settings."""

    FUNCTION = "weights"
    POSITIONAL = " ".join((*DEFAULTS, "weights_strategy", "image"))

    def compute(self, weights_strategy=None, image=None, **inputs):
        strategy = weights_strategy or {
            **DEFAULTS,
            **{name: value for name, value in inputs.items() if name in DEFAULTS},
            "frame_count": 0 if image is None else len(image),
        }
        weights = transition(strategy, self.NAME)
        images: tuple[Tensor | None, ...] = (None, None)
        if image is not None:
            weights, images = _take_turns(weights, image, strategy["method"])
            before, after = strategy["add_starting_frames"], strategy["add_ending_frames"]
            if weights:
                weights = [weights[0]] * before + weights + [weights[-1]] * after
            images = tuple(_extend(pictures, image, before, after) for pictures in images)
        return weights, weights[::-1], len(weights), *images, strategy


class PromptSchedule(OldNode):
    FUNCTION = "prompt_schedule"

    def compute(self, weights_strategy, prompt=""):
        frames, count = weights_strategy["frames"], weights_strategy["frame_count"]
        before = weights_strategy["add_starting_frames"]
        lines = [line for line in prompt.split("\n") if line.strip()]
        if not lines or not count:
            return ("",)
        lines = (lines + [lines[-1]] * count)[:count]
        entries = [(0, lines[0])] if before else []
        entries += [(number * frames + before, line) for number, line in enumerate(lines)]
        if weights_strategy["add_ending_frames"]:
            entries.append((count * frames + before, lines[-1]))
        return ("".join(f'"{frame}": "{line}",\n' for frame, line in entries),)


class CombineWeights(OldNode):
    FUNCTION = "combine"

    def compute(self, weights_1, weights_2):
        lists = [x if isinstance(x, list) else [x] for x in (weights_1, weights_2)]
        return lists[0] + lists[1], len(lists[0] + lists[1])


def transition(strategy: Mapping[str, Any], node_name: str) -> list[float]:
    """One weight for each frame. Raises ValueError for a text that holds no numbers."""
    ends = _typed_weights(strategy["weights"], node_name)
    timing = strategy["timing"]
    if timing == "custom":
        return ends or [0.0]
    if timing not in EASES and timing != "random":
        raise unknown_option(node_name, "timing", timing, TIMINGS)
    frames = max(strategy["frames"], 2)
    first, last = (ends[0], ends[-1]) if ends else (0.0, 1.0)
    end_frame = min(strategy["end_frame"], frames)
    start_frame = min(strategy["start_frame"], end_frame)
    ramp = _ramp(timing, first, last, end_frame - start_frame)
    return [first] * start_frame + ramp + [last] * (frames - end_frame)


def _typed_weights(text: str, node_name: str) -> list[float]:
    try:
        weights = [float(entry) for entry in text.replace("\n", ",").split(",") if entry.strip()]
    except ValueError:
        weights = [nan]
    if not all(map(isfinite, weights)):
        raise ValueError(
            f"{node_name}'s 'weights' must be numbers separated by commas, found "
            f"'{printable(text)}': write for example 1.0, 0.5, 0."
        )
    return weights


def _ramp(timing: str, first: float, last: float, count: int) -> list[float]:
    if timing == "random":
        return [random.uniform(first, last) for _ in range(count)]
    ease, steps = EASES[timing], max(1, count - 1)
    ramp = [first + (last - first) * ease(step / steps) for step in range(count)]
    return [*ramp[:-1], last] if ramp else ramp


def _take_turns(
    weights: list[float], images: Tensor, method: str
) -> tuple[list[float], tuple[Tensor, Tensor | None]]:
    """The weights for all pictures, and the one or two pictures of each frame."""
    frames = len(weights)

    def hold(pictures: Tensor) -> Tensor:
        return pictures.repeat_interleave(frames, 0)

    if "shift" in method:
        return weights * (len(images) - 1), (hold(images[:-1]), hold(images[1:]))
    if "alternate" in method:
        odd, even = (images[start::2].repeat_interleave(2, 0) for start in (0, 1))
        odd = odd[1:]
        mirrored = [max(weights) - (weight - min(weights)) for weight in weights]
        in_turns = (weights + mirrored) * (len(odd) // 2)
        if len(images) % 2:
            return in_turns, (hold(odd[:-1]), hold(even))
        return in_turns + weights, (hold(odd), hold(even[:-1]))
    return weights * len(images), (hold(images), None)


def _extend(pictures: Tensor | None, images: Tensor, before: int, after: int) -> Tensor | None:
    """With the first picture before and the last one after."""
    if pictures is None:
        return None
    size = images.shape[1:]
    return torch.cat((images[:1].expand(before, *size), pictures, images[-1:].expand(after, *size)))
