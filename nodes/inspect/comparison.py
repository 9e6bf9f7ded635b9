"""The rows and columns of Compare Image Prompts, from typed texts, each within its limits."""

from typing import TypeVar

from ...ipadapter_core.messages import Predicate, printable
from ...ipadapter_core.weights.curves import entries, numbers
from ..apply.inputs import HIGHEST_WEIGHT, LOWEST_WEIGHT
from ..apply.plan import TASKS
from .grid import MOST_IMAGES

NODE = "Compare Image Prompts"
LONGEST_TEXT = 10_000
MOST_PIXELS = 100_000_000  # of the grid: 1.2 GB as the host keeps images
T = TypeVar("T")


def read_weights(text: str) -> list[float]:
    """Raises a sentence for an entry that is no weight; repeated entries count once."""
    try:
        weights = numbers(_bounded(text, "weights"))
    except Predicate as error:
        raise error.about(f"In {NODE}, 'weights'") from error
    for weight in weights:
        if not LOWEST_WEIGHT <= weight <= HIGHEST_WEIGHT:
            raise ValueError(
                f"In {NODE}, 'weights' has {weight:g}: expected numbers from {LOWEST_WEIGHT:g} to "
                f"{HIGHEST_WEIGHT:g}, separated by commas."
            )
    return list(dict.fromkeys(_filled(weights, "weights", "at least one number, such as 0.7")))


def read_tasks(text: str) -> list[str]:
    tasks = [entry for _, entry in entries(_bounded(text, "tasks")) if entry]
    for task in tasks:
        if task not in TASKS:
            raise ValueError(
                f"In {NODE}, 'tasks' has '{printable(task)}': choose from {', '.join(TASKS)}."
            )
    return list(dict.fromkeys(_filled(tasks, "tasks", "at least one, such as style")))


def read_adapter_names(text: str) -> list[str]:
    """One file name a line: names may have commas."""
    lines = (line.strip() for line in _bounded(text, "adapters").splitlines())
    expected = "the name of a file in models/ipadapter on each line"
    return list(dict.fromkeys(_filled([line for line in lines if line], "adapters", expected)))


def check_count(row_count: int, column_count: int) -> None:
    """Raises a sentence for too many images."""
    count = row_count * column_count
    if count > MOST_IMAGES:
        raise ValueError(
            f"{NODE} would generate {row_count} x {column_count} = {count} images: expected at "
            f"most {MOST_IMAGES}; type fewer weights, or fewer tasks or adapters."
        )


def check_size(count: int, width: int, height: int) -> None:
    """Raises a sentence for a grid that is too large."""
    if count * width * height > MOST_PIXELS:
        raise ValueError(
            f"{NODE} would make a grid of {count} images of {width} x {height}, "
            f"{count * width * height // 10**6} megapixels: expected at most "
            f"{MOST_PIXELS // 10**6}; choose a smaller size, or type fewer weights."
        )


def _bounded(text: str, input_name: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ValueError(
            f"In {NODE}, '{input_name}' has {len(text)} characters: expected "
            f"at most {LONGEST_TEXT}."
        )
    return text


def _filled(values: list[T], input_name: str, expected: str) -> list[T]:
    if not values:
        raise ValueError(f"In {NODE}, '{input_name}' is empty: type {expected}.")
    return values
