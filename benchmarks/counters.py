"""Exact counts: operations, synchronisations with the device, bytes that are alive."""

import gc
import weakref
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SYNCS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal")


class Operations(TorchDispatchMode):
    """Counts what reaches the kernels; a view costs nothing on a device and is not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not is_view(func):
            self.counted[func._schema.name.replace("::", ".")] += 1
        return func(*args, **(kwargs or {}))

    @property
    def syncs(self) -> int:
        return sum(self.counted[name] for name in SYNCS)


class Peak(TorchDispatchMode):
    """The most bytes that the tensors made in its time held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        input_memory = {
            id(tensor.untyped_storage()) for tensor in tree_leaves(args) if _has_memory(tensor)
        }
        for memory in [
            tensor.untyped_storage() for tensor in tree_leaves(out) if _has_memory(tensor)
        ]:
            if id(memory) not in input_memory and id(memory) not in self.alive:
                self.alive[id(memory)] = memory.nbytes()
                self.now += memory.nbytes()
                weakref.finalize(memory, self._forget, id(memory))
        self.most = max(self.most, self.now)
        return out

    def _forget(self, key: int) -> None:
        self.now -= self.alive.pop(key)


def _has_memory(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout == torch.strided


def is_view(func: Any) -> bool:
    """Whether an operation gives back its input's own memory, unwritten."""
    results = [result.alias_info for result in func._schema.returns]
    return bool(results) and all(alias is not None and not alias.is_write for alias in results)


def storages() -> dict[int, int]:
    """Address -> bytes of every tensor's memory that is alive in this process."""
    storages_by_id = {}
    for value in gc.get_objects():
        if issubclass(type(value), torch.Tensor) and value.layout == torch.strided:
            memory = value.untyped_storage()
            if memory.device.type != "meta" and memory.nbytes():
                storages_by_id[memory.data_ptr()] = memory.nbytes()
    return storages_by_id


def alive() -> int:
    """Bytes of all tensors that are alive."""
    gc.collect()
    return sum(storages().values())
