"""Video: one face per frame, the same person throughout, without gaps and without trembling.

Only boxes and landmarks travel here, never pictures: a thousand frames are a few kilobytes.
"""

from collections.abc import Iterable, Sequence
from math import ceil, exp, hypot, log, sqrt

import torch

from .find import Face
from .turned_square import Frame, turn_between

REACH = 1.2  # how far, in faces, the same person's face gets from frame to frame
PATIENCE = 0.25  # and how much farther for every frame in which it was not seen


def same_person(frames: Sequence[Sequence[Face]], start: int, first: Face) -> list[Face | None]:
    """The face of each frame nearest to the one before, in place, size and landmarks, from `first` in frame `start` on
    and back; None where none is near."""
    after = _onward(frames[start + 1 :], first)
    before = _onward(frames[:start][::-1], first)
    return [*before[::-1], first, *after]


def filled(track: Sequence[Face | None]) -> list[Face | None]:
    """Gaps filled between their neighbours, in a straight line; at the ends the nearest one repeated."""
    seen = [number for number, face in enumerate(track) if face is not None]
    result = list(track)
    for number, face in enumerate(track):
        if face is not None or not seen:
            continue
        left = max((n for n in seen if n < number), default=min(seen))
        right = min((n for n in seen if n > number), default=max(seen))
        share = (number - left) / (right - left) if right > left else 0.0
        pair = [track[left], track[right]]
        result[number] = _mean([face for face in pair if face], [1 - share, share])
    return result


def smooth(track: Sequence[Face | None], frames: float) -> list[Face | None]:
    """Each face averaged with its neighbours' boxes and landmarks, by a bell of `frames` frames to each side."""
    if frames <= 0:
        return list(track)
    reach = ceil(2 * frames)
    result: list[Face | None] = []
    for number, face in enumerate(track):
        # as far to the left as to the right, or a steady motion would be bent at the ends
        most = min(reach, number, len(track) - 1 - number)
        near = [(n, track[n]) for n in range(number - most, number + most + 1)]
        bell = [exp(-(((n - number) / frames) ** 2)) for n, other in near if other]
        result.append(_mean([other for _, other in near if other], bell) if face else None)
    return result


def distance(face: Face, other: Face) -> float:
    """0 for the same place and size, 1 for a face's side apart or three times as large."""
    side = sqrt(face.frame.side * other.frame.side)
    apart = hypot(face.frame.x - other.frame.x, face.frame.y - other.frame.y) / side
    if face.landmarks is not None and other.landmarks is not None:
        moved = (face.landmarks - other.landmarks).square().sum(1).sqrt().mean()
        apart = (apart + float(moved) / side) / 2
    return apart + abs(log(face.frame.side / other.frame.side)) / log(3)


def _onward(frames: Sequence[Sequence[Face]], last: Face) -> list[Face | None]:
    result: list[Face | None] = []
    missed = 0
    for faces in frames:
        nearest = min(faces, key=lambda face: distance(face, last), default=None)
        if nearest is None or distance(nearest, last) > REACH * (1 + PATIENCE * missed):
            result.append(None)
            missed += 1
        else:
            result.append(nearest)
            last, missed = nearest, 0
    return result


def _mean(faces: Sequence[Face], shares: Sequence[float]) -> Face:
    """The middle of several faces, each with its share; turns are averaged the short way round."""
    shares = [share / sum(shares) for share in shares]
    heaviest = faces[shares.index(max(shares))]

    def mean(values: Iterable[float]) -> float:
        return sum(share * value for share, value in zip(shares, values, strict=True))

    angle = heaviest.frame.angle
    x, y, side = (mean(face.frame[number] for face in faces) for number in range(3))
    turn = mean(turn_between(face.frame.angle, angle) for face in faces)
    left, top, right, bottom = (mean(face.box[side] for face in faces) for side in range(4))
    points = [face.landmarks for face in faces if face.landmarks is not None]
    landmarks = heaviest.landmarks
    if len(points) == len(faces):
        landmarks = torch.stack(
            [share * one for share, one in zip(shares, points, strict=True)]
        ).sum(0)
    return heaviest._replace(
        box=(left, top, right, bottom), frame=Frame(x, y, side, angle + turn), landmarks=landmarks
    )
