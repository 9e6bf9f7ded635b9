"""Candidates: the places of a picture that the detector takes for faces.

Landmarks are the eye on the picture's left, the eye on its right, the nose, and the corners of
the mouth on the left and on the right. All in pixels of what the detector was shown.
N candidates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .turned_square import as_floats

MOST_OVERLAP = 0.3  # two boxes that share more than this are one face


class Candidate(NamedTuple):
    box: Tensor  # [4]: left, top, right, bottom
    landmarks: Tensor  # [5, 2]
    score: float


@dataclass(frozen=True, eq=False)
class Candidates:
    """Several candidates of one picture."""

    boxes: Tensor  # [N, 4]
    landmarks: Tensor  # [N, 5, 2]
    scores: Tensor  # [N]

    @classmethod
    def from_points(cls, points: Tensor, scores: Tensor) -> "Candidates":
        """From corners, of which any two may be the first, and landmarks [N, 7, 2]."""
        corners = points[:, :2]
        boxes = torch.cat((corners.amin(1), corners.amax(1)), 1)
        return cls(boxes, points[:, 2:], scores)

    @classmethod
    def joined(cls, candidate_groups: Sequence["Candidates"]) -> "Candidates":
        return cls(
            torch.cat([candidates.boxes for candidates in candidate_groups]),
            torch.cat([candidates.landmarks for candidates in candidate_groups]),
            torch.cat([candidates.scores for candidates in candidate_groups]),
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Candidate]:
        return map(Candidate, self.boxes, self.landmarks, as_floats(self.scores))

    def points(self) -> Tensor:
        """Corners and landmarks [N, 7, 2]."""
        return torch.cat((self.boxes.view(-1, 2, 2), self.landmarks), 1)

    def select(self, choice: Tensor | slice | list[int]) -> "Candidates":
        """Those at some numbers, in that order, or those where a tensor [N] is true."""
        return Candidates(self.boxes[choice], self.landmarks[choice], self.scores[choice])

    def distinct(self) -> "Candidates":
        """Best first, of those that overlap only the best."""
        return self.select(best_of_overlapping(self.boxes, self.scores))

    def apart_from(self, boxes: Tensor) -> "Candidates":
        """Those that overlap none of some boxes [M, 4]."""
        return self.select((overlap_shares(self.boxes, boxes) <= MOST_OVERLAP).all(1))


def best_of_overlapping(boxes: Tensor, scores: Tensor) -> list[int]:
    """The numbers of the boxes [N, 4] that are left if of those that overlap only the best is
    taken; best first."""
    overlaps = overlap_shares(boxes, boxes) > MOST_OVERLAP
    best_numbers: list[int] = []
    for box_number in map(int, scores.argsort(descending=True, stable=True)):
        if not overlaps[box_number, best_numbers].any():
            best_numbers.append(box_number)
    return best_numbers


def overlap_shares(boxes: Tensor, other_boxes: Tensor) -> Tensor:
    """Shared area over the area of both, for every pair of boxes [N, 4], [M, 4] -> [N, M]."""
    start = torch.maximum(boxes[:, None, :2], other_boxes[:, :2])
    end = torch.minimum(boxes[:, None, 2:], other_boxes[:, 2:])
    shared_area = (end - start).clamp(min=0).prod(-1)
    joint_area = _areas(boxes)[:, None] + _areas(other_boxes) - shared_area
    return shared_area / joint_area.clamp(min=1e-9)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1)
