"""The weights nodes of IPAdapter_plus: lists with one weight for each frame, and the pictures they fade between."""

import random
from math import cos, pi, sin
from typing import Any

import torch
from torch import Tensor

from . import input_specs as w
from .old_node import OldNode

TIMINGS = ["custom", "linear", "ease_in_out", "ease_in", "ease_out", "random"]
METHODS = ["full batch", "shift batches", "alternate batches"]
TAKEN_BACK = "reverse_in_out"  # offered in April 2024 alone
EASES = {  # share of the way at a share of the time; the names are the reverse of the usual ones
    "linear": lambda x: x,
    "ease_in_out": lambda x: (1 - cos(x * pi)) / 2,
    "ease_in": lambda x: sin(x * pi / 2),
    "ease_out": lambda x: 1 - cos(x * pi / 2),
    TAKEN_BACK: lambda x: 1 - sin((1 - x) * pi / 2),
}
RAMP = "frames", "start_frame", "end_frame"
FRAME_INPUTS = "Apply IPAdapter's 'frame_weights', and a batch of references"


class IPAdapterWeights(OldNode):
    NODE_ID, NAME, INSTEAD = "IPAdapterWeights", "IPAdapter Weights", FRAME_INPUTS
    RETURN_TYPES = ("FLOAT", "FLOAT", "INT", "IMAGE", "IMAGE", "WEIGHTS_STRATEGY")
    RETURN_NAMES = (
        "weights",
        "weights_invert",
        "total_frames",
        "image_1",
        "image_2",
        "weights_strategy",
    )
    FUNCTION = "weights"

    @classmethod
    def INPUT_TYPES(cls):
        def frames(default: int, tooltip: str):
            return w.count(default, 0, 9999, tooltip)

        return w.inputs(
            {
                "weights": w.text("1.0, 0.0", "Weights between commas.", True),
                "timing": w.choice(TIMINGS, "How the weights go from first to last.", "linear"),
                "frames": frames(0, "How many frames one transition takes."),
                "start_frame": frames(0, "When the transition begins."),
                "end_frame": frames(9999, "When it ends."),
                "add_starting_frames": frames(0, "Frames before, with the first picture."),
                "add_ending_frames": frames(0, "Frames after, with the last picture."),
                "method": w.choice(METHODS, "How pictures take turns.", "full batch"),
            },
            {"image": w.link("IMAGE", "The pictures, in order.")},
        )

    @classmethod
    def with_current_options(cls, inputs):
        """A timing that was taken back becomes the weights that it makes."""
        given = {name: inputs.get(name) for name in ("weights", "timing", *RAMP)}
        if given["timing"] != TAKEN_BACK or not all(isinstance(given[name], int) for name in RAMP):
            return dict(inputs)
        made = curve(given, cls.NAME)
        return {**inputs, "timing": "custom", "weights": ", ".join(map(str, made))}

    def weights(
        self,
        weights="",
        timing="custom",
        frames=0,
        start_frame=0,
        end_frame=9999,
        add_starting_frames=0,
        add_ending_frames=0,
        method="full batch",
        weights_strategy=None,
        image=None,
    ):
        strategy = weights_strategy or {
            "weights": weights,
            "timing": timing,
            "frames": frames,
            "start_frame": start_frame,
            "end_frame": end_frame,
            "add_starting_frames": add_starting_frames,
            "add_ending_frames": add_ending_frames,
            "method": method,
            "frame_count": 0 if image is None else len(image),
        }
        found = curve(strategy, self.NAME)
        pictures: tuple[Tensor | None, ...] = (None, None)
        if image is not None:
            found, pictures = _with_pictures(found, image, strategy["method"])
            before, after = strategy["add_starting_frames"], strategy["add_ending_frames"]
            found = [found[0]] * before + found + [found[-1]] * after if found else found
            pictures = tuple(
                None if one is None else _longer(one, image, before, after) for one in pictures
            )
        return found, found[::-1], len(found), *pictures, strategy


class IPAdapterWeightsFromStrategy(IPAdapterWeights):
    NODE_ID, NAME = "IPAdapterWeightsFromStrategy", "IPAdapter Weights From Strategy"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {"weights_strategy": w.link("WEIGHTS_STRATEGY", "From IPAdapter Weights.")},
            {"image": w.link("IMAGE", "Other pictures, in order.")},
        )


class IPAdapterPromptScheduleFromWeightsStrategy(OldNode):
    NODE_ID = "IPAdapterPromptScheduleFromWeightsStrategy"
    NAME, INSTEAD = "Prompt Schedule From Weights Strategy", "a text"
    RETURN_TYPES, RETURN_NAMES = ("STRING",), ("prompt_schedule",)
    FUNCTION = "prompt_schedule"

    @classmethod
    def INPUT_TYPES(cls):
        return w.inputs(
            {
                "weights_strategy": w.link("WEIGHTS_STRATEGY", "From IPAdapter Weights."),
                "prompt": w.text("", "One prompt a line, one for each picture.", True),
            }
        )

    def prompt_schedule(self, weights_strategy, prompt=""):
        frames, count = weights_strategy["frames"], weights_strategy["frame_count"]
        before, after = (weights_strategy[f"add_{at}ing_frames"] for at in ("start", "end"))
        lines = [line for line in prompt.split("\n") if line.strip()]
        if not lines or not count:
            return ("",)
        lines = (lines + [lines[-1]] * count)[:count]
        entries = [(0, lines[0])] if before else []
        entries += [(number * frames + before, line) for number, line in enumerate(lines)]
        entries += [(count * frames + before, lines[-1])] if after else []
        return ("".join(f'"{frame}": "{line}",\n' for frame, line in entries),)


class IPAdapterCombineWeights(OldNode):
    NODE_ID, NAME, INSTEAD = "IPAdapterCombineWeights", "IPAdapter Combine Weights", FRAME_INPUTS
    RETURN_TYPES, RETURN_NAMES, FUNCTION = ("FLOAT", "INT"), ("weights", "count"), "combine"

    @classmethod
    def INPUT_TYPES(cls):
        one = w.number(0.0, 0.0, 1.0, 0.05, "A weight, or a list of weights.")
        return w.inputs({"weights_1": one, "weights_2": one})

    def combine(self, weights_1, weights_2):
        both = [x if isinstance(x, list) else [x] for x in (weights_1, weights_2)]
        return both[0] + both[1], len(both[0]) + len(both[1])


def curve(strategy: dict[str, Any], node: str) -> list[float]:
    """One weight for each frame of a transition. Raises ValueError for a text that holds no numbers."""
    try:
        given = [float(x) for x in strategy["weights"].replace("\n", ",").split(",") if x.strip()]
    except ValueError:
        raise ValueError(
            f"{node}'s 'weights' must be numbers between commas, found '{strategy['weights']}': write for example 1.0, 0.5, 0."
        ) from None
    timing = strategy["timing"]
    if timing == "custom":
        return given or [0.0]
    if timing not in EASES and timing != "random":
        raise ValueError(
            f"{node} has the unknown timing '{timing}': choose one of {', '.join(TIMINGS)}."
        )
    frames = max(strategy["frames"], 2)
    first, last = (given[0], given[-1]) if given else (0.0, 1.0)
    end = min(strategy["end_frame"], frames)
    start = min(strategy["start_frame"], end)
    count = end - start
    if timing == "random":
        ramp = [random.uniform(first, last) for _ in range(count)]
    else:
        steps = max(1, count - 1)
        ramp = [first + (last - first) * EASES[timing](n / steps) for n in range(count)]
        ramp = [*ramp[:-1], last] if ramp else ramp
    return [first] * start + ramp + [last] * (frames - end)


def _with_pictures(weights: list[float], image: Tensor, method: str):
    """The weights for all pictures, and the one or two pictures of each frame."""
    frames = len(weights)

    def held(pictures: Tensor) -> Tensor:
        return pictures.repeat_interleave(frames, 0)

    if "shift" in method:
        return weights * (len(image) - 1), (held(image[:-1]), held(image[1:]))
    if "alternate" in method:
        odd, even = (image[start::2].repeat_interleave(2, 0) for start in (0, 1))
        odd = odd[1:]
        turned = [max(weights) - (one - min(weights)) for one in weights]
        both = (weights + turned) * (len(odd) // 2)
        if len(image) % 2:
            return both, (held(odd[:-1]), held(even))
        return both + weights, (held(odd), held(even[:-1]))
    return weights * len(image), (held(image), None)


def _longer(pictures: Tensor, image: Tensor, before: int, after: int) -> Tensor:
    parts = (image[:1].expand(before, -1, -1, -1), pictures, image[-1:].expand(after, -1, -1, -1))
    return torch.cat(parts)


NODES = [
    IPAdapterWeights,
    IPAdapterCombineWeights,
    IPAdapterWeightsFromStrategy,
    IPAdapterPromptScheduleFromWeightsStrategy,
]
