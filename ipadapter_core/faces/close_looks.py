"""Close looks: each candidate is looked at again from nearby, as upright as it can be turned.

N candidates; S side of a close look.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil, floor, pi, radians
from typing import NamedTuple

import torch
from torch import Tensor

from .candidates import Candidates
from .first_looks import resize
from .turned_square import (
    TurnedSquare,
    angle_difference,
    as_floats,
    roll_angle,
    sample,
    to_picture,
)
from .yunet import YuNet, detect

TURNS = [2 * pi * eighth / 8 for eighth in range(8)]
# height of the face in the second look: to tell how it stands, then to read it
FAR_HEIGHT, NEAR_HEIGHT = 64, 192
NEAR_LOOKS = 3
VOTING_HEIGHTS = (54, 80, 120)
STEADY_TURN = radians(10)  # so much is left to the settling
SETTLING_HEIGHT = 224  # of the face: the nearer, the more its landmarks turn with the face
SETTLING_TURN = radians(12)  # so far to either side its looks are turned
# how many times as wide as the face a close look is
LOOK_WIDTH, SETTLING_WIDTH = 2.0, 12 / 7
LEAST_SCORE = 0.2  # from this score on a close look has seen something
PIXELS_AT_ONCE = 2**20  # close looks in one batch: bounds the memory


class CloseLook(NamedTuple):
    """The result of a close look at a candidate; a score of 0 if it shows no face."""

    score: float
    square: TurnedSquare  # around the face upright, as large as its longer side
    size: tuple[float, float]  # width and height of the face in it
    landmarks: Tensor  # [5, 2]


class Neighbourhood(NamedTuple):
    """The part of a picture around a face, shrunk."""

    pixels: Tensor  # [h, w, 3]
    left: int
    top: int
    scale: tuple[float, float]  # across, down

    def place(self, square: TurnedSquare, width: float) -> TurnedSquare:
        """A face's square -> the square of a close look so many times as wide, in the pixels of
        the neighbourhood."""
        across, down = self.scale
        x, y = (square.x - self.left) * across, (square.y - self.top) * down
        return TurnedSquare(x, y, square.side * width * (across + down) / 2, square.angle)


@dataclass(frozen=True, eq=False)
class CloseLooks:
    """Close looks at one picture [H, W, 3]."""

    net: YuNet
    picture: Tensor

    def look(self, boxes: Tensor) -> list[CloseLook]:
        """The second look at boxes [N, 4].

        YuNet's landmarks hardly turn with the face: read where the face was found, one tilted by
        30 degrees says 0 to 13. So each is looked at in eight turns, and then nearer, each time
        turned by the roll just read.
        """
        looks = self._look_in_all_turns(boxes)
        turning_numbers = [look_number for look_number, look in enumerate(looks) if look.score > 0]
        for _ in range(NEAR_LOOKS):
            earlier_looks = [looks[look_number] for look_number in turning_numbers]
            nearer_looks = self._look_nearer(earlier_looks)
            for look_number, look in zip(turning_numbers, nearer_looks, strict=True):
                looks[look_number] = look
            turning_numbers = [
                look_number
                for look_number, earlier in zip(turning_numbers, earlier_looks, strict=True)
                if _still_turns(earlier, looks[look_number])
            ]
        return looks

    def settle(self, square: TurnedSquare) -> CloseLook:
        """The mean of four looks, turned a little to either side, at the picture and at its
        mirror image: so that equal faces give equal squares, wherever they stand and however
        they are turned.

        No look follows that is turned as these said: what little of a turn the landmarks miss
        would be missed again, and what they always see askew added up.
        """
        crop_side = round(SETTLING_HEIGHT * SETTLING_WIDTH)
        neighbourhood = self._neighbourhood(square, SETTLING_HEIGHT)
        turns = (-SETTLING_TURN, SETTLING_TURN)
        squares = [square._replace(angle=square.angle + turn) for turn in turns]
        crop_squares = [
            neighbourhood.place(turned_square, SETTLING_WIDTH) for turned_square in squares
        ]
        crops = [
            sample(neighbourhood.pixels, crop_square, crop_side).movedim(-1, 0)
            for crop_square in crop_squares
        ]
        mirror_crops = [crop.flip(2) for crop in crops]
        candidates = detect(self.net, torch.stack(crops + mirror_crops), LEAST_SCORE)
        candidates[2:] = [
            _mirrored(look_candidates, crop_side) for look_candidates in candidates[2:]
        ]
        return _mean_look(
            [
                _central_look(look_candidates, turned_square, crop_side, SETTLING_WIDTH)
                for look_candidates, turned_square in zip(candidates, squares * 2, strict=True)
            ]
        )

    def vote(self, boxes: Tensor) -> list[float]:
        """How surely boxes [N, 4] hold upright faces: the best score that the picture and its
        mirror image share, at several distances. What only chance made look like a face does
        not outlast it."""
        mirror_looks = CloseLooks(self.net, self.picture.flip(1))
        width = self.picture.shape[1]
        squares = [_square_of(box) for box in boxes]
        mirrored_squares = [square._replace(x=width - square.x) for square in squares]
        best_votes = [0.0] * len(squares)
        for face_height in VOTING_HEIGHTS:
            scores = self._upright_scores(squares, face_height)
            mirror_scores = mirror_looks._upright_scores(mirrored_squares, face_height)
            best_votes = list(map(max, best_votes, map(min, scores, mirror_scores)))
        return best_votes

    def _upright_scores(self, squares: list[TurnedSquare], face_height: int) -> list[float]:
        looks = self._look_near([[square] for square in squares], face_height)
        return [look.score for (look,) in looks]

    def _look_in_all_turns(self, boxes: Tensor) -> list[CloseLook]:
        """The best of the looks at each box in eight turns."""
        squares = [_square_of(box) for box in boxes]
        turned_squares = [[square._replace(angle=turn) for turn in TURNS] for square in squares]
        looks_by_box = self._look_near(turned_squares, FAR_HEIGHT)
        return [max(looks, key=lambda look: look.score) for looks in looks_by_box]

    def _look_nearer(self, earlier_looks: list[CloseLook]) -> list[CloseLook]:
        """One look nearer at each face, turned as the look before said; where that shows nothing
        the place stays, with a score of 0."""
        looks = self._look_near([[look.square] for look in earlier_looks], NEAR_HEIGHT)
        return [
            look if look.score > 0 else earlier._replace(score=0.0)
            for earlier, (look,) in zip(earlier_looks, looks, strict=True)
        ]

    def _look_near(
        self, squares_by_face: list[list[TurnedSquare]], face_height: int
    ) -> list[list[CloseLook]]:
        """Looks at the squares of each face, so near that a face is `face_height` pixels in a
        crop `LOOK_WIDTH` times as many."""
        crop_side = round(face_height * LOOK_WIDTH)
        crops = self._near_crops(squares_by_face, face_height, crop_side)
        candidate_groups: list[Candidates] = []
        while batch := list(islice(crops, max(1, PIXELS_AT_ONCE // crop_side**2))):
            candidate_groups += detect(self.net, torch.stack(batch).movedim(-1, 1), LEAST_SCORE)
        remaining_groups = iter(candidate_groups)
        return [
            [_central_look(next(remaining_groups), square, crop_side) for square in squares]
            for squares in squares_by_face
        ]

    def _near_crops(
        self, squares_by_face: list[list[TurnedSquare]], face_height: int, crop_side: int
    ) -> Iterator[Tensor]:
        """The crops [S, S, 3] of close looks, one after the other."""
        for squares in squares_by_face:
            neighbourhood = self._neighbourhood(squares[0], face_height)
            for square in squares:
                crop_square = neighbourhood.place(square, LOOK_WIDTH)
                yield sample(neighbourhood.pixels, crop_square, crop_side)

    def _neighbourhood(self, square: TurnedSquare, face_height: int) -> Neighbourhood:
        """All that close looks at a square need in whatever turn, shrunk until the face is
        `face_height` pixels."""
        height, width = self.picture.shape[:2]
        reach = square.side * 1.5  # half the diagonal of LOOK_WIDTH times the side, and a little
        left, right = _clipped_span(square.x, reach, width)
        top, bottom = _clipped_span(square.y, reach, height)
        pixels = self.picture[top : bottom + 1, left : right + 1].movedim(-1, 0)[None]
        shrinking = min(1.0, face_height / square.side)
        new_height, new_width = (max(1, round(side * shrinking)) for side in pixels.shape[2:])
        scale = new_width / pixels.shape[3], new_height / pixels.shape[2]
        shrunk_pixels = resize(pixels, new_height, new_width)[0].movedim(0, -1)
        return Neighbourhood(pixels=shrunk_pixels, left=left, top=top, scale=scale)


def _central_look(
    candidates: Candidates, square: TurnedSquare, crop_side: int, width: float = LOOK_WIDTH
) -> CloseLook:
    """The best of the candidates in the middle of a close look at a square."""
    centres = candidates.boxes.view(-1, 2, 2).mean(1)
    distances = (centres - crop_side / 2).square().sum(1).sqrt()
    candidates = candidates.select(distances < crop_side / 4)
    if not len(candidates):
        return CloseLook(
            score=0.0, square=square, size=(square.side, square.side), landmarks=torch.zeros(5, 2)
        )
    best = int(candidates.scores.argmax())
    look_square = square._replace(side=square.side * width)
    points = to_picture(look_square, candidates.points()[best], crop_side)
    box = candidates.boxes[best]
    face_width, face_height = as_floats((box[2:] - box[:2]) * look_square.side / crop_side)
    x, y = as_floats(points[:2].mean(0))
    landmarks = points[2:]
    face_side = max(face_width, face_height)
    face_square = TurnedSquare(x, y, face_side, roll_angle(landmarks))
    score = float(candidates.scores[best])
    return CloseLook(
        score=score, square=face_square, size=(face_width, face_height), landmarks=landmarks
    )


def _mirrored(candidates: Candidates, width: int) -> Candidates:
    """Candidates of a mirrored picture -> the picture's: left and right change places, in the
    landmarks too."""
    points = candidates.points()[:, [0, 1, 3, 2, 4, 6, 5]]
    points = points * points.new_tensor([-1, 1]) + points.new_tensor([width, 0])
    return Candidates.from_points(points, candidates.scores)


def _mean_look(looks: Sequence[CloseLook]) -> CloseLook:
    """The middle of several looks at the same face."""
    numbers = torch.tensor([[*look.square[:3], *look.size] for look in looks], dtype=torch.float64)
    x, y, side, face_width, face_height = as_floats(numbers.mean(0))
    landmarks = torch.stack([look.landmarks for look in looks]).mean(0)
    square = TurnedSquare(x, y, side, roll_angle(landmarks))
    score = min(look.score for look in looks)
    return CloseLook(
        score=score, square=square, size=(face_width, face_height), landmarks=landmarks
    )


def _still_turns(earlier_look: CloseLook, look: CloseLook) -> bool:
    turn = angle_difference(look.square.angle, earlier_look.square.angle)
    return look.score > 0 and abs(turn) >= STEADY_TURN


def _clipped_span(centre: float, reach: float, axis_length: int) -> tuple[int, int]:
    """First and last pixel of an axis within reach of a centre."""
    ends = floor(centre - reach), ceil(centre + reach)
    first, last = (min(max(end, 0), axis_length - 1) for end in ends)
    return first, last


def _square_of(box: Tensor) -> TurnedSquare:
    """The upright square around a box [4]."""
    left, top, right, bottom = as_floats(box)
    side = max(right - left, bottom - top, 1.0)
    return TurnedSquare((left + right) / 2, (top + bottom) / 2, side)
