"""Inputs that several nodes have: the same name, range and default on each."""

import logging

from comfy_api.latest import io

from ...ipadapter_core.attention.scaling import SCALINGS, V_ONLY
from ..sockets import WeightMapSocket
from .tasks import LAYER_TASKS, WHOLE_IMAGE

LOWEST_WEIGHT, HIGHEST_WEIGHT = -1.0, 5.0
log = logging.getLogger("ipadapter")


def weight(tooltip: str) -> io.Float.Input:
    return io.Float.Input(
        "weight",
        default=1.0,
        min=LOWEST_WEIGHT,
        max=HIGHEST_WEIGHT,
        step=0.05,
        tooltip=tooltip,
    )


def start_at(tooltip: str) -> io.Float.Input:
    return io.Float.Input("start_at", default=0.0, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


def end_at(tooltip: str) -> io.Float.Input:
    return io.Float.Input("end_at", default=1.0, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


def warn_of_empty_range(
    node_name: str,
    start: float,
    end: float,
    input_names: tuple[str, str] = ("start_at", "end_at"),
) -> None:
    """For nodes whose two inputs may be in the wrong order."""
    if start > end:
        log.warning(
            "%s's '%s' (%s) is after its '%s' (%s): the reference has no effect.",
            node_name,
            input_names[0],
            start,
            input_names[1],
            end,
        )


def weight_map(tooltip: str) -> io.Input:
    return WeightMapSocket.Input("weight_map", optional=True, tooltip=tooltip)


def scaling(tooltip: str) -> io.Combo.Input:
    return io.Combo.Input(
        "scaling",
        options=[V_ONLY, *SCALINGS],
        default=V_ONLY,
        optional=True,
        tooltip=tooltip,
        advanced=True,
    )


def keep_prompt(tooltip: str) -> io.Float.Input:
    return io.Float.Input(
        "keep_prompt",
        default=0.0,
        min=0.0,
        max=1.0,
        step=0.05,
        optional=True,
        tooltip=tooltip,
        advanced=True,
    )


def task(tooltip: str) -> io.Combo.Input:
    return io.Combo.Input(
        "task", options=LAYER_TASKS, default=WHOLE_IMAGE, optional=True, tooltip=tooltip
    )


def lora_strength() -> io.Float.Input:
    return io.Float.Input(
        "lora_strength",
        default=1.0,
        min=0.0,
        max=2.0,
        step=0.05,
        optional=True,
        advanced=True,
        tooltip="How strongly the LoRA of a FaceID adapter changes the model: 1 is as trained, 0 "
        "leaves it out. Adapters without a LoRA ignore it.",
    )
