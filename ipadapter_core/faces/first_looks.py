"""First looks: YuNet sees upright faces of some 10 to 300 px, so it looks at the whole picture
several times, at several sizes and turns.

H, W height and width of the picture.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from .candidates import Candidates
from .yunet import YuNet, detect

LARGEST_GROWTH = 2.0  # enlarged further, nothing more is seen


def look_at_whole(
    net: YuNet,
    picture: Tensor,
    sides: Sequence[int],
    threshold: float,
    rim: float = 0.0,
    quarters: Sequence[int] = (0,),
) -> Candidates:
    """Looks at a picture [H, W, 3], its longer side made each of `sides`; best first.

    A black rim of that share of the longer side lets a face that fills the picture shrink;
    `quarters` are the turns of 90 degrees to look at.
    """
    height, width = picture.shape[:2]
    longer_side = max(height, width)
    scales = {min(side / (longer_side * (1 + 2 * rim)), LARGEST_GROWTH) for side in sides}
    pixels = picture.movedim(-1, 0)[None]
    candidate_groups: list[Candidates] = []
    for scale in sorted(scales, reverse=True):
        pixels = resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
        rim_width = round(rim * longer_side * scale)
        rimmed_pixels = pad(pixels, (rim_width,) * 4)
        pixel_sizes = width / pixels.shape[3], height / pixels.shape[2]
        for quarter in quarters:
            (candidates,) = detect(net, rimmed_pixels.rot90(quarter, (2, 3)), threshold)
            points = _turn_back(candidates.points(), quarter, *rimmed_pixels.shape[2:]) - rim_width
            points = points * points.new_tensor(pixel_sizes)
            candidate_groups.append(Candidates.from_points(points, candidates.scores))
    return Candidates.joined(candidate_groups).distinct()


def shrink(picture: Tensor, longest_side: int) -> Tensor:
    """The picture [H, W, 3] with a longer side of no more than `longest_side`: all that looks at
    no more need."""
    scale = longest_side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return resize(picture.movedim(-1, 0)[None], height, width)[0].movedim(0, -1)


def resize(pictures: Tensor, height: int, width: int) -> Tensor:
    """[B, C, any, any] -> [B, C, height, width], antialiased where it shrinks."""
    if pictures.shape[2:] == (height, width):
        return pictures.float()
    shrinks = height < pictures.shape[2] or width < pictures.shape[3]
    return interpolate(pictures.float(), (height, width), mode="bilinear", antialias=shrinks)


def _turn_back(points: Tensor, quarter: int, height: int, width: int) -> Tensor:
    """Points of a picture turned by quarters with `rot90` -> those of the picture, of height x
    width."""
    x, y = points.unbind(-1)
    by_quarter = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))
    return torch.stack(by_quarter[quarter], -1)
