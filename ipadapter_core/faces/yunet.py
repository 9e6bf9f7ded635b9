"""YuNet: pictures become candidate faces; 53 thousand parameters, plain torch.

Wu, Peng and Yu 2023, https://doi.org/10.1007/s11633-023-1423-y; the weights (2023mar) and their
origin stand in `weights/`. The batch norms are folded into the convolutions, as in the published
file.
Letters: B batch, H and W the picture's sides, h and w a level's, N candidates.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad

from ..operations import Operations
from .candidates import Candidates

WEIGHTS = Path(__file__).parent / "weights" / "yunet_2023mar.safetensors"
STRIDES = (8, 16, 32)
# Channels into and out of each convolution of a stage; between two stages the size is halved.
STAGES = (
    ((16, 16),),
    ((16, 16), (16, 32), (32, 32), (32, 64)),
    ((64, 64), (64, 64)),
    ((64, 64), (64, 64)),
    ((64, 64), (64, 64)),
)


class SeparableConv(nn.Module):
    """Pointwise, then depthwise convolution."""

    def __init__(
        self, channels_in: int, channels_out: int, operations: Operations, has_relu: bool = True
    ):
        super().__init__()
        self.point = operations.Conv2d(channels_in, channels_out, 1)
        self.depth = operations.Conv2d(
            channels_out, channels_out, 3, padding=1, groups=channels_out
        )
        self.has_relu = has_relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.depth(self.point(x))
        return x.relu() if self.has_relu else x


class Head(nn.ModuleList):
    """The outputs of one level, [B, 64, h, w] -> [B, 16, h, w]: is it a face, is it an object
    (logits), the box's four numbers, the landmarks' ten."""

    def __init__(self, operations: Operations):
        super().__init__(
            SeparableConv(64, channels, operations, has_relu=False) for channels in (1, 1, 4, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], 1)


class YuNet(nn.Module):
    """[B, 3, H, W] blue, green, red of 0 to 255, sides multiples of 32 -> what the heads say of
    each level's cells, [B, 16, h, w]."""

    def __init__(self, operations: Operations = nn):
        super().__init__()
        self.stem = operations.Conv2d(3, 16, 3, stride=2, padding=1)
        self.body = nn.ModuleList(
            nn.Sequential(*(SeparableConv(before, after, operations) for before, after in stage))
            for stage in STAGES
        )
        self.neck = nn.ModuleList(SeparableConv(64, 64, operations) for _ in STRIDES)
        self.heads = nn.ModuleList(Head(operations) for _ in STRIDES)

    def forward(self, x: Tensor) -> list[Tensor]:
        stage_outputs: list[Tensor] = []
        x = self.body[0](self.stem(x).relu())
        for stage in self.body[1:]:
            x = stage(max_pool2d(x, 2))
            stage_outputs.append(x)
        levels: list[Tensor] = []
        coarser = None
        for merge, x in zip(reversed(self.neck), reversed(stage_outputs[1:]), strict=True):
            coarser = merge(x if coarser is None else x + interpolate(coarser, scale_factor=2))
            levels.insert(0, coarser)
        return [head(level) for head, level in zip(self.heads, levels, strict=True)]


def load_yunet(weights: Mapping[str, Tensor], device: torch.device | str = "cpu") -> YuNet:
    """The network, ready to look; channels last, which makes depthwise convolutions 2 to 4 times
    faster on a CPU."""
    net = YuNet()
    net.load_state_dict(weights)
    net = net.eval().requires_grad_(False).to(device)
    return net.to(memory_format=torch.channels_last)


def detect(net: YuNet, pictures: Tensor, threshold: float) -> list[Candidates]:
    """[B, 3, H, W] red, green, blue of 0 to 1, any size -> for each its candidates that score
    `threshold` or more, on the CPU."""
    height, width = pictures.shape[-2:]
    x = pad(pictures.flip(1) * 255, (0, -width % 32, 0, -height % 32))
    x = x.to(net.stem.weight.device).contiguous(memory_format=torch.channels_last)
    with torch.backends.cudnn.flags(allow_tf32=False):  # else a GPU differs in the third digit
        levels = [level.cpu() for level in net(x)]
    decoded = [_decode(*level, threshold) for level in zip(levels, STRIDES, strict=True)]
    items = torch.cat([level_items for level_items, _ in decoded])
    candidates = Candidates.joined([level_candidates for _, level_candidates in decoded])
    return [candidates.select(items == item) for item in range(len(pictures))]


def _decode(level: Tensor, stride: int, threshold: float) -> tuple[Tensor, Candidates]:
    """One level [B, 16, h, w] -> its candidates, and the item [N] of the batch each is from."""
    scores = (level[:, 0].sigmoid() * level[:, 1].sigmoid()).sqrt()
    item, y, x = (scores >= threshold).nonzero(as_tuple=True)
    geometry = level[item, 2:, y, x]
    cell = torch.stack((x, y), 1).to(geometry)
    centre, size = (cell + geometry[:, :2]) * stride, geometry[:, 2:4].exp() * stride
    boxes = torch.cat((centre - size / 2, centre + size / 2), 1)
    landmarks = (cell[:, None] + geometry[:, 4:].reshape(-1, 5, 2)) * stride
    return item, Candidates(boxes, landmarks, scores[item, y, x])
