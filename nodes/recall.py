"""Results computed before, kept on the host's own object that they came from.

ComfyUI's node cache keeps results of nodes only, and those of expanded sub-nodes not even for the
next prompt (its default cache drops what the prompt does not name). So a new weight would run the
encoder again. Here a result stays with the ModelPatcher of the encoder or adapter that made it,
and goes when any of its inputs goes.
"""

import weakref
from collections.abc import Callable, Hashable
from enum import Enum, auto
from typing import Any, TypeVar, cast

from comfy.model_patcher import ModelPatcher

ATTACHMENT = "ipadapter_recall"
T = TypeVar("T")


class Recalled(Enum):
    """The kinds of results; two kinds never answer for each other, whatever their settings."""

    INSTALLED_ADAPTER = auto()  # that no node loads
    INSTALLED_ENCODER = auto()
    ENCODED_REFERENCE = auto()
    UNCONDITIONAL_OUTPUT = auto()
    BLACK_OUTPUT = auto()
    SILENT_REFERENCES = auto()
    DETAILED_FEATURES = auto()
    BOX_EDITOR_PICTURE = auto()
    ENCODER_DIGEST = auto()
    REFERENCE_TILES = auto()
    IMAGE_KEYS = auto()
    RECOGNISER = auto()
    ENCODED_FACES = auto()
    POOLED_OUTPUT = auto()
    NORMALISED_FEATURE = auto()
    ZERO_IDENTITY = auto()
    LORA_PATCHES = auto()  # by which id the host knows them
    PATCHES_ONCE = auto()  # the same without what other nodes added too
    OLD_FEATURES = auto()  # of nodes of old graphs
    OLD_UNCONDITIONAL = auto()


def recall(
    patcher: ModelPatcher,
    kind: Recalled,
    make: Callable[[], T],
    inputs: tuple[object, ...] = (),
    settings: Hashable = None,
    only_latest: bool = False,
) -> T:
    """make(), or its earlier result for the very same objects `inputs` and equal `settings`.

    only_latest: a new result takes the place of all of its kind.
    """
    attachment = cast("dict[tuple[Hashable, ...], Any] | None", patcher.get_attachment(ATTACHMENT))
    results = {} if attachment is None else attachment  # empty too: a result may need another
    patcher.set_attachments(ATTACHMENT, results)  # pyright: ignore[reportUnknownMemberType]
    key = (kind, tuple(map(id, inputs)), settings)
    if key not in results:
        if only_latest:
            for earlier_key in [earlier for earlier in results if earlier[0] is kind]:
                del results[earlier_key]

        def forget(_: object) -> None:
            results.pop(key, None)

        result = make()
        references = [weakref.ref(value, forget) for value in inputs if value is not None]
        results[key] = result, references
    return results[key][0]
