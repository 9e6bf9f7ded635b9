"""What was computed before, kept on the host's own object that it came from.

ComfyUI's node cache keeps results of nodes only, and those of expanded sub-nodes not even for the next prompt
(its default cache drops what the prompt does not name). So a new weight would run the encoder again. Here a
result hangs on the ModelPatcher of the encoder or adapter that made it, and goes when any of its inputs goes.
"""

import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from comfy.model_patcher import ModelPatcher

KEY = "ipadapter_recall"
T = TypeVar("T")


def recall(
    patcher: ModelPatcher, inputs: tuple[Any, ...], settings: Hashable, make: Callable[[], T]
) -> T:
    """make(), or what it gave before for the very same objects `inputs` and equal `settings`."""
    store: dict = patcher.get_attachment(KEY) or {}
    patcher.set_attachments(KEY, store)
    key = (tuple(map(id, inputs)), settings)
    if key not in store:

        def forget(_: object) -> None:
            store.pop(key, None)

        value = make()
        store[key] = value, [weakref.ref(one, forget) for one in inputs if one is not None]
    return store[key][0]
