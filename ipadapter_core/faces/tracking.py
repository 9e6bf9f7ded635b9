"""Video: one face per frame, the same person throughout, without gaps and without trembling.

Only boxes and landmarks travel here, never pictures: a thousand frames are a few kilobytes.
A track is the face of one person in each frame; None where the person is not seen.
"""

from bisect import bisect
from collections.abc import Sequence
from math import ceil, exp, hypot, log, sqrt

import torch
from torch import Tensor

from .find import Face
from .turned_square import TurnedSquare, angle_difference

REACH = 1.2  # how far, in faces, the same person's face gets from frame to frame
PATIENCE = 0.25  # and how much farther for every frame in which it was not seen

Track = list[Face | None]


def follow_person(
    faces_by_frame: Sequence[Sequence[Face]], first_frame: int, first_face: Face
) -> Track:
    """The face of each frame nearest to the one before, in place, size and landmarks, from the
    first face on and back; None where none is near."""
    after = _follow_onward(faces_by_frame[first_frame + 1 :], first_face)
    before = _follow_onward(faces_by_frame[:first_frame][::-1], first_face)
    return [*before[::-1], first_face, *after]


def fill_gaps(track: Sequence[Face | None]) -> Track:
    """Gaps filled between their neighbours, in a straight line; at the ends the nearest one
    repeated."""
    faces = {frame: face for frame, face in enumerate(track) if face is not None}
    if not faces:
        return list(track)
    return [faces.get(frame) or _face_between(faces, frame) for frame in range(len(track))]


def smooth_track(track: Sequence[Face | None], bell_width: float) -> Track:
    """Each face averaged with its neighbours' boxes and landmarks, by a bell of that many frames
    to each side."""
    if bell_width <= 0:
        return list(track)
    return [face and _smoothed_face(track, frame, bell_width) for frame, face in enumerate(track)]


def face_distance(face: Face, other_face: Face) -> float:
    """0 for the same place and size, 1 for a face's side apart or three times as large."""
    square, other_square = face.square, other_face.square
    mean_side = sqrt(square.side * other_square.side)
    offset = hypot(square.x - other_square.x, square.y - other_square.y) / mean_side
    if face.landmarks is not None and other_face.landmarks is not None:
        landmark_offsets = (face.landmarks - other_face.landmarks).square().sum(1).sqrt()
        offset = (offset + float(landmark_offsets.mean()) / mean_side) / 2
    return offset + abs(log(square.side / other_square.side)) / log(3)


def _follow_onward(faces_by_frame: Sequence[Sequence[Face]], last_face: Face) -> Track:
    track: Track = []
    missing_count = 0
    for faces in faces_by_frame:
        nearest = min(faces, key=lambda face: face_distance(face, last_face), default=None)
        reach = REACH * (1 + PATIENCE * missing_count)
        if nearest is None or face_distance(nearest, last_face) > reach:
            track.append(None)
            missing_count += 1
        else:
            track.append(nearest)
            last_face, missing_count = nearest, 0
    return track


def _face_between(faces: dict[int, Face], frame: int) -> Face:
    """The face of a frame in which it is not seen, from the nearest frames to both sides."""
    frames = sorted(faces)
    place = bisect(frames, frame)
    left_frame, right_frame = frames[max(place - 1, 0)], frames[min(place, len(frames) - 1)]
    gap_length = right_frame - left_frame
    share = (frame - left_frame) / gap_length if gap_length else 0.0
    return _mean_face([faces[left_frame], faces[right_frame]], [1 - share, share])


def _smoothed_face(track: Sequence[Face | None], frame: int, bell_width: float) -> Face:
    # as far to the left as to the right, or a steady motion would be bent at the ends
    reach = min(ceil(2 * bell_width), frame, len(track) - 1 - frame)
    window = range(frame - reach, frame + reach + 1)
    faces = {near_frame: face for near_frame in window if (face := track[near_frame])}
    face_shares = [exp(-(((near_frame - frame) / bell_width) ** 2)) for near_frame in faces]
    return _mean_face(list(faces.values()), face_shares)


def _mean_face(faces: Sequence[Face], face_shares: Sequence[float]) -> Face:
    """The middle of several faces, each with its share; turns are averaged the short way round."""
    total = sum(face_shares)
    face_shares = [share / total for share in face_shares]
    main_face = faces[face_shares.index(max(face_shares))]
    main_angle = main_face.square.angle
    x, y, side = _mean_values([face.square[:3] for face in faces], face_shares)
    turns = [angle_difference(face.square.angle, main_angle) for face in faces]
    (turn,) = _mean_values([[turn] for turn in turns], face_shares)
    left, top, right, bottom = _mean_values([face.box for face in faces], face_shares)
    return main_face._replace(
        box=(left, top, right, bottom),
        square=TurnedSquare(x, y, side, main_angle + turn),
        landmarks=_mean_landmarks(
            [face.landmarks for face in faces], face_shares, main_face.landmarks
        ),
    )


def _mean_values(
    values_by_face: Sequence[Sequence[float]], face_shares: Sequence[float]
) -> list[float]:
    return [
        sum(share * value for share, value in zip(face_shares, column, strict=True))
        for column in zip(*values_by_face, strict=True)
    ]


def _mean_landmarks(
    landmarks: Sequence[Tensor | None], face_shares: Sequence[float], fallback: Tensor | None
) -> Tensor | None:
    """The mean where every face has landmarks, else the fallback."""
    weighted_landmarks = [
        share * points
        for share, points in zip(face_shares, landmarks, strict=True)
        if points is not None
    ]
    is_complete = len(weighted_landmarks) == len(face_shares)
    return torch.stack(weighted_landmarks).sum(0) if is_complete else fallback
