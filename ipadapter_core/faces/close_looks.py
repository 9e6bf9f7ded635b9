"""Looks: YuNet sees upright faces of some 10 to 300 px, so it looks several times.

The first looks are at the whole picture, at several sizes and turns; the second, closer one at each face found.
Rows are YuNet's (see `yunet`), here in the picture's own pixels.
H, W height and width of the picture; N candidates; S side of a close look.
"""

from collections.abc import Sequence
from itertools import islice
from math import ceil, floor, pi, radians
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from . import yunet
from .turned_square import Frame, numbers, roll, to_picture, turn_between, turned
from .yunet import YuNet

LARGEST_GROWTH = 2.0  # enlarged further, nothing more is seen
TURNS = [2 * pi * eighth / 8 for eighth in range(8)]
FAR, NEAR = 64, 192  # height of the face in the second look: to tell how it stands, then to read it
NEAR_LOOKS = 3
VOTING = (54, 80, 120)
STILL = radians(10)  # so much is left to the settling
SETTLING = 224  # height of the face in it: the nearer, the more its landmarks turn with the face
WIDE, SETTLING_WIDE = 2.0, 12 / 7  # how many times as wide as the face a close look is
APART = radians(12)  # so far to either side its looks are turned
LEAST = 0.2  # the score from which a close look has seen something
PIXELS_AT_ONCE = 2**20  # close looks in one batch: bounds the memory


class Close(NamedTuple):
    """What a second look made of a candidate; a score of 0 if it saw no face."""

    score: float
    frame: Frame  # the face upright, as large as its longer side
    size: tuple[float, float]  # width and height of the face in it
    landmarks: Tensor  # [5, 2]


class Part(NamedTuple):
    """A piece of a picture, shrunk."""

    pixels: Tensor  # [h, w, 3]
    left: int
    top: int
    scale: tuple[float, float]


def around(
    net: YuNet,
    picture: Tensor,
    sides: Sequence[int],
    threshold: float,
    rim: float = 0.0,
    quarters: Sequence[int] = (0,),
) -> Tensor:
    """Looks at a picture [H, W, 3], its longer side made each of `sides` -> rows [N, 15], best first.

    A black rim of that share of the longer side lets a face that fills the picture shrink; `quarters` are the turns
    of 90 degrees to look at.
    """
    height, width = picture.shape[:2]
    longer = max(height, width) * (1 + 2 * rim)
    growths = {min(side / longer, LARGEST_GROWTH) for side in sides}
    x = picture.movedim(-1, 0)[None]
    seen: list[Tensor] = []
    for growth in sorted(growths, reverse=True):
        x = _resized(x, max(1, round(height * growth)), max(1, round(width * growth)))
        border = round(rim * max(height, width) * growth)
        framed = pad(x, (border,) * 4)
        for quarter in quarters:
            (rows,) = yunet.candidates(net, framed.rot90(quarter, (2, 3)), threshold)
            points = _unturned(_points(rows), quarter, *framed.shape[2:]) - border
            scale = points.new_tensor([width / x.shape[3], height / x.shape[2]])
            seen.append(_rows(points * scale, rows[:, 14:]))
    return yunet.distinct(torch.cat(seen))


def shrunk(picture: Tensor, longest: int) -> Tensor:
    """The picture [H, W, 3] with a longer side of no more than `longest`: what looks at no more need."""
    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return picture
    height, width = (max(1, round(n * scale)) for n in picture.shape[:2])
    return _resized(picture.movedim(-1, 0)[None], height, width)[0].movedim(0, -1)


def closely(net: YuNet, picture: Tensor, boxes: Tensor) -> list[Close]:
    """The second look at what boxes [N, 4] hold, as upright as it can be turned.

    YuNet's landmarks hardly turn with the face: read where the face was found, one tilted by 30 degrees says 0 to 13.
    So each is looked at in eight turns, and then nearer, each time turned by the roll just read.
    """
    turns = [[_upright(box)._replace(angle=angle) for angle in TURNS] for box in boxes]
    seen = [max(looks, key=lambda close: close.score) for looks in _near(net, picture, turns, FAR)]
    moving = [number for number, close in enumerate(seen) if close.score > 0]
    for _ in range(NEAR_LOOKS):
        frames = [seen[number].frame for number in moving]
        looks = _near(net, picture, [[frame] for frame in frames], NEAR)
        still: set[int] = set()
        for number, frame, (close,) in zip(moving, frames, looks, strict=True):
            seen[number] = close if close.score > 0 else seen[number]._replace(score=0.0)
            if not close.score or abs(turn_between(close.frame.angle, frame.angle)) < STILL:
                still.add(number)
        moving = [number for number in moving if number not in still]
    return seen


def settled(net: YuNet, picture: Tensor, frame: Frame) -> Close:
    """What four looks agree on, turned a little to either side, at the picture and at its mirror image: so that equal
    faces give equal frames, wherever they stand and however they are turned.

    No look follows that is turned as these said: what little of a turn the landmarks miss would be missed again, and
    what they always see askew added up.
    """
    size = round(SETTLING * SETTLING_WIDE)
    part = _part(picture, frame, SETTLING)
    frames = [frame._replace(angle=frame.angle + turn) for turn in (-APART, APART)]
    crops = [
        turned(part.pixels, _within(part, one, SETTLING_WIDE), size).movedim(-1, 0)
        for one in frames
    ]
    rows = yunet.candidates(net, torch.stack([*crops, *(one.flip(2) for one in crops)]), LEAST)
    rows[2:] = [_mirrored(one, size) for one in rows[2:]]
    return _mean(
        [
            _middle_one(one, each, size, SETTLING_WIDE)
            for one, each in zip(rows, frames * 2, strict=True)
        ]
    )


def votes(net: YuNet, picture: Tensor, boxes: Tensor) -> list[float]:
    """How surely boxes [N, 4] hold upright faces: the best score that the picture and its mirror image share, at
    several distances. What only chance made look like a face does not outlast it."""
    straight, mirror = [_upright(box) for box in boxes], picture.flip(1)
    turned_over = [frame._replace(x=picture.shape[1] - frame.x) for frame in straight]
    best = [0.0] * len(straight)
    for height in VOTING:
        looks = _near(net, picture, [[frame] for frame in straight], height)
        others = _near(net, mirror, [[frame] for frame in turned_over], height)
        shared = [min(a.score, b.score) for (a,), (b,) in zip(looks, others, strict=True)]
        best = [max(pair) for pair in zip(best, shared, strict=True)]
    return best


def _near(net: YuNet, picture: Tensor, looks: list[list[Frame]], height: int) -> list[list[Close]]:
    """Looks at each candidate's frames, so near that a face is `height` pixels in `WIDE` times as many."""
    size = round(height * WIDE)
    crops = (
        turned(part.pixels, _within(part, frame), size)
        for frames in looks
        for part in [_part(picture, frames[0], height)]
        for frame in frames
    )
    rows: list[Tensor] = []
    while batch := list(islice(crops, max(1, PIXELS_AT_ONCE // size**2))):
        rows += yunet.candidates(net, torch.stack(batch).movedim(-1, 1), LEAST)
    found = iter(rows)
    return [[_middle_one(next(found), frame, size) for frame in frames] for frames in looks]


def _middle_one(rows: Tensor, frame: Frame, size: int, wide: float = WIDE) -> Close:
    """The best of the rows that lie in the middle of a close look at a frame."""
    centres = _points(rows)[:, :2].mean(1)
    rows = rows[(centres - size / 2).square().sum(1).sqrt() < size / 4]
    if not len(rows):
        return Close(0.0, frame, (frame.side, frame.side), torch.zeros(5, 2))
    row = rows[rows[:, 14].argmax()]
    shown = frame._replace(side=frame.side * wide)
    points = to_picture(shown, row[:14].view(7, 2), size)
    width, height = numbers((row[2:4] - row[:2]) * shown.side / size)
    x, y = numbers(points[:2].mean(0))
    upright = Frame(x, y, max(width, height), roll(points[2:]))
    return Close(float(row[14]), upright, (width, height), points[2:])


def _mirrored(rows: Tensor, width: int) -> Tensor:
    """Rows of a mirrored picture -> the picture's: left and right change places, in the landmarks too."""
    points = _points(rows)[:, [0, 1, 3, 2, 4, 6, 5]] * rows.new_tensor([-1, 1])
    return _rows(points + rows.new_tensor([width, 0]), rows[:, 14:])


def _mean(looks: Sequence[Close]) -> Close:
    """The middle of several looks at the same face."""
    rows = torch.tensor([[*one.frame[:3], *one.size] for one in looks], dtype=torch.float64)
    x, y, side, wide, high = numbers(rows.mean(0))
    landmarks = torch.stack([one.landmarks for one in looks]).mean(0)
    score = min(one.score for one in looks)
    return Close(score, Frame(x, y, side, roll(landmarks)), (wide, high), landmarks)


def _part(picture: Tensor, frame: Frame, tall: int) -> Part:
    """What a close look at a frame needs in whatever turn, shrunk until the face is `tall` pixels."""
    height, width = picture.shape[:2]
    reach = frame.side * 1.5  # half the diagonal of WIDE times the side, and a little
    left, right = (
        min(max(x, 0), width - 1) for x in (floor(frame.x - reach), ceil(frame.x + reach))
    )
    top, bottom = (
        min(max(y, 0), height - 1) for y in (floor(frame.y - reach), ceil(frame.y + reach))
    )
    piece = picture[top : bottom + 1, left : right + 1].movedim(-1, 0)[None]
    shrunk = min(1.0, tall / frame.side)
    high, wide = (max(1, round(n * shrunk)) for n in piece.shape[2:])
    scale = wide / piece.shape[3], high / piece.shape[2]
    return Part(_resized(piece, high, wide)[0].movedim(0, -1), left, top, scale)


def _within(part: Part, frame: Frame, wide: float = WIDE) -> Frame:
    """A face's frame -> the close look's, so much wider, in the part's pixels."""
    across, down = part.scale
    x, y = (frame.x - part.left) * across, (frame.y - part.top) * down
    return Frame(x, y, frame.side * wide * (across + down) / 2, frame.angle)


def _upright(box: Tensor) -> Frame:
    left, top, right, bottom = numbers(box[:4])
    return Frame((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top, 1.0))


def _resized(x: Tensor, height: int, width: int) -> Tensor:
    if x.shape[2:] == (height, width):
        return x.float()
    shrinks = height < x.shape[2] or width < x.shape[3]
    return interpolate(x.float(), (height, width), mode="bilinear", antialias=shrinks)


def _points(rows: Tensor) -> Tensor:
    """Rows [N, 15] -> their corners and landmarks [N, 7, 2]."""
    return rows[:, :14].reshape(-1, 7, 2)


def _rows(points: Tensor, scores: Tensor) -> Tensor:
    """Corners, of which any two may be the first, and landmarks [N, 7, 2] -> rows [N, 15]."""
    corners = points[:, :2]
    parts = (corners.amin(1), corners.amax(1), points[:, 2:].flatten(1), scores)
    return torch.cat(parts, 1)


def _unturned(points: Tensor, quarter: int, height: int, width: int) -> Tensor:
    """Points of a picture turned by quarters with `rot90` -> those of the picture, of height x width."""
    x, y = points.unbind(-1)
    places = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))
    return torch.stack(places[quarter], -1)
