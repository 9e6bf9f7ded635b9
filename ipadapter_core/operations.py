"""Layer classes that nets are built from: `torch.nn`, or the host's, which manage memory."""

from typing import Protocol

import torch
from torch import nn

Device = torch.device | str | None


class Operations(Protocol):
    """`torch.nn` itself is one, and so is each class of `comfy.ops`."""

    @property
    def Linear(self) -> type[nn.Linear]: ...

    @property
    def LayerNorm(self) -> type[nn.LayerNorm]: ...

    @property
    def Conv2d(self) -> type[nn.Conv2d]: ...
