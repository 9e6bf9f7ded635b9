"""YuNet: pictures become candidate faces; 53 thousand parameters, plain torch.

Wu, Peng and Yu 2023, https://doi.org/10.1007/s11633-023-1423-y; the weights (2023mar) and their origin stand in
`weights/`. The batch norms are folded into the convolutions, as in the published file.
Letters: B batch, H and W the picture's sides, h and w a level's, N candidates.
A candidate is a row of 15: left, top, right, bottom of its box; x, y of the eye on the picture's left, the eye on
its right, the nose, the mouth's corner on the left and on the right; score. In pixels of the network's input.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad

STRIDES = (8, 16, 32)
ROW = 15
OVERLAP = 0.3  # two candidates that share more than this are one face


class Unit(nn.Module):
    """Pointwise, then depthwise convolution."""

    def __init__(
        self, channels_in: int, channels_out: int, relu: bool = True, operations: Any = nn
    ):
        super().__init__()
        self.point = operations.Conv2d(channels_in, channels_out, 1)
        self.depth = operations.Conv2d(
            channels_out, channels_out, 3, padding=1, groups=channels_out
        )
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.depth(self.point(x))
        return x.relu() if self.relu else x


class YuNet(nn.Module):
    """[B, 3, H, W] blue, green, red of 0 to 255, sides multiples of 32 -> what each level's cells see, [B, 16, h, w].

    The 16 are: is it a face, is it an object (logits), the box's four numbers, the landmarks' ten.
    """

    def __init__(self, operations: Any = nn):
        super().__init__()
        self.stem = operations.Conv2d(3, 16, 3, stride=2, padding=1)
        self.body = nn.ModuleList(
            nn.Sequential(*units)
            for units in (
                (Unit(16, 16),),
                (Unit(16, 16), Unit(16, 32), Unit(32, 32), Unit(32, 64)),
                (Unit(64, 64), Unit(64, 64)),
                (Unit(64, 64), Unit(64, 64)),
                (Unit(64, 64), Unit(64, 64)),
            )
        )
        self.neck = nn.ModuleList(Unit(64, 64) for _ in STRIDES)
        self.heads = nn.ModuleList(
            nn.ModuleList(Unit(64, channels, relu=False) for channels in (1, 1, 4, 10))
            for _ in STRIDES
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        levels: list[Tensor] = []
        x = self.body[0](self.stem(x).relu())
        for stage in self.body[1:]:
            x = stage(max_pool2d(x, 2))
            levels.append(x)
        seen: list[Tensor] = []
        above = None
        for unit, level in zip(reversed(self.neck), reversed(levels[1:]), strict=True):
            above = unit(level if above is None else level + interpolate(above, scale_factor=2))
            seen.insert(0, above)
        return [
            torch.cat([head(x) for head in heads], 1)  # type: ignore[attr-defined]
            for heads, x in zip(self.heads, seen, strict=True)
        ]


def load(weights: Mapping[str, Tensor], device: torch.device | str = "cpu") -> YuNet:
    """The network, ready to look; channels last, which makes depthwise convolutions 2 to 4 times faster on a CPU."""
    net = YuNet()
    net.load_state_dict(weights)
    net = net.eval().requires_grad_(False).to(device)
    return net.to(memory_format=torch.channels_last)


def candidates(net: YuNet, pictures: Tensor, threshold: float) -> list[Tensor]:
    """[B, 3, H, W] red, green, blue of 0 to 1, any size -> for each its rows [N, 15] from `threshold` up, on the CPU."""
    height, width = pictures.shape[-2:]
    x = pad(pictures.flip(1) * 255, (0, -width % 32, 0, -height % 32))
    x = x.to(net.stem.weight.device).contiguous(memory_format=torch.channels_last)
    with torch.backends.cudnn.flags(allow_tf32=False):  # else a GPU differs in the third digit
        levels = [level.cpu() for level in net(x)]
    parts = [_decode(*one, threshold) for one in zip(levels, STRIDES, strict=True)]
    items, rows = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    return [rows[items == item] for item in range(len(pictures))]


def distinct(rows: Tensor) -> Tensor:
    """Best first, of those that overlap only the best."""
    return rows[apart(rows[:, :4], rows[:, -1])]


def apart(boxes: Tensor, scores: Tensor) -> list[int]:
    """Which boxes [N, 4] stay if of those that overlap only the best does; best first."""
    shared = overlaps(boxes, boxes) > OVERLAP
    kept: list[int] = []
    for number in map(int, scores.argsort(descending=True, stable=True)):
        if not shared[number, kept].any():
            kept.append(number)
    return kept


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Shared area over the area of both, for every pair of boxes [N, 4]."""
    start = torch.maximum(boxes[:, None, :2], others[:, :2])
    end = torch.minimum(boxes[:, None, 2:], others[:, 2:])
    shared = (end - start).clamp(min=0).prod(-1)
    both = _area(boxes)[:, None] + _area(others) - shared
    return shared / both.clamp(min=1e-9)


def _decode(level: Tensor, stride: int, threshold: float) -> tuple[Tensor, Tensor]:
    """One level [B, 16, h, w] -> for its candidates the item [N] each is from, and its row [N, 15]."""
    score = (level[:, 0].sigmoid() * level[:, 1].sigmoid()).sqrt()
    item, y, x = (score >= threshold).nonzero(as_tuple=True)
    seen = level[item, 2:, y, x]
    cell = torch.stack((x, y), 1).to(seen)
    centre, size = (cell + seen[:, :2]) * stride, seen[:, 2:4].exp() * stride
    landmarks = (cell[:, None] + seen[:, 4:].reshape(-1, 5, 2)) * stride
    box = (centre - size / 2, centre + size / 2)
    return item, torch.cat((*box, landmarks.flatten(1), score[item, y, x][:, None]), 1)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1)
