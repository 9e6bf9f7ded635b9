"""Faces: the candidates of several looks become the faces of a picture, best first, and one of
them is chosen.

Upright first; turned and weak looks only where that shows nothing sure. A candidate is a sure
face where the second look sees it as well as the first, a doubtful one (a drawing, a blur,
sometimes a headlight) where only the first does and the mirror image agrees.
H, W height and width of the picture; h, w of its mask; N candidates.
"""

from collections.abc import Callable, Sequence
from math import floor, hypot, pi
from typing import NamedTuple

import torch
from torch import Tensor

from .candidates import Candidate, Candidates, best_of_overlapping
from .close_looks import CloseLook, CloseLooks
from .face_square import PictureSize
from .first_looks import look_at_whole, shrink
from .turned_square import TurnedSquare, as_floats
from .yunet import YuNet

LARGEST, MOST_CENTRAL, BEST_SCORE = "largest", "most central", "best score"
LEFTMOST, RIGHTMOST, ALL = "leftmost", "rightmost", "all"
SMALL_SIDES, FULL_SIDE = (320, 640), 1024  # longer sides of the first looks
# from this second look's score on; photographs reach 0.88 to 0.95, things stay below 0.82
SURE_SCORE = 0.85
SURE_SUM = 1.35  # and from this sum of the first look's and the second's
SURE_VOTE = 0.9  # a first look's score from which a vote alone makes a face sure
CANDIDATE_SHARE = 0.5  # of the threshold: worth a second look
# what a face that the second look does not confirm has to have more than the threshold
DOUBTFUL_MARGIN = 0.1
LEAST_VOTE = 0.6
WEAK_SHARE = 0.78  # of the threshold: what score and vote of a weak face have to have between them
WEAK_RIM = 0.25
LARGE_SHARE = 0.125  # of the picture's longer side: a large face
LARGE_TRIES = 4
MOST_CANDIDATES = 400  # of one picture that get a second look


class Face(NamedTuple):
    """A face of a picture, in its pixels."""

    box: tuple[float, float, float, float]  # left, top, right, bottom
    square: TurnedSquare  # around it; turned as the face is, if that is known
    # [5, 2]: eyes, nose, corners of the mouth, each from the picture's left
    landmarks: Tensor | None = None
    score: float = 1.0
    is_sure: bool = True
    is_detected: bool = False  # by YuNet, not given


def face_in_box(left: float, top: float, right: float, bottom: float) -> Face:
    """A face of which only the box is known."""
    side = max(right - left, bottom - top)
    square = TurnedSquare((left + right) / 2, (top + bottom) / 2, side)
    return Face((left, top, right, bottom), square)


def find_faces(net: YuNet, picture: Tensor, threshold: float, find_all: bool) -> list[Face]:
    """The faces of a picture [H, W, 3], largest first; doubtful ones only if there are no others.

    Without `find_all` the looks end with the largest where it is large and sure: the expensive
    ones only show small faces.
    """
    search = _Search(net, picture, threshold)
    if not find_all and (largest_face := search.large_face()):
        return [largest_face]
    faces, unconfirmed_candidates = search.confirm(search.candidates(search.small_sides))
    if find_all or not faces:
        small_candidates = search.candidates([FULL_SIDE]).apart_from(_boxes(faces))
        small_faces, unconfirmed_small_candidates = search.confirm(small_candidates)
        faces = _distinct_faces(faces + small_faces)
        unconfirmed_candidates = Candidates.joined(
            (unconfirmed_candidates, unconfirmed_small_candidates)
        ).distinct()
    if not faces:
        faces, _ = search.confirm(search.candidates(search.small_sides, quarters=(1, 2, 3)))
    if not faces:
        faces = search.doubtful_faces(unconfirmed_candidates)
    if not faces:
        faces = search.faces_within_rim()
    return sorted(faces, key=lambda face: -face.square.side)


def settle_face(net: YuNet, picture: Tensor, face: Face) -> Face:
    """A face that the second look confirmed, its place, size and turn read as exactly as they
    can be."""
    look = CloseLooks(net, picture).settle(face.square)
    return _confirmed_face(look)._replace(score=face.score) if look.score >= SURE_SCORE else face


def read_landmarks(net: YuNet, picture: Tensor, face: Face) -> Face:
    """A face of which only the box is known, with the landmarks and the turn that the second
    look reads, if it sees them."""
    looks = CloseLooks(net, picture)
    (look,) = looks.look(torch.tensor([face.box]))
    look = looks.settle(look.square) if look.score >= SURE_SCORE else look
    if look.score < SURE_SCORE:
        return face
    square = face.square._replace(angle=look.square.angle)
    return face._replace(square=square, landmarks=look.landmarks)


def choose_faces(
    faces: Sequence[Face], which: str, rank: int, picture_size: PictureSize
) -> list[Face]:
    """One of the faces of a picture, or all; none if there are not so many. Ranks count from 1."""
    height, width = picture_size
    sort_keys: dict[str, Callable[[Face], float]] = {
        LARGEST: lambda face: -face.square.side,
        MOST_CENTRAL: lambda face: hypot(face.square.x - width / 2, face.square.y - height / 2),
        LEFTMOST: lambda face: face.square.x,
        RIGHTMOST: lambda face: -face.square.x,
        BEST_SCORE: lambda face: -face.score,
    }
    if which in sort_keys:
        return sorted(faces, key=sort_keys[which])[:1]
    by_size = sorted(faces, key=sort_keys[LARGEST])
    return by_size if which == ALL else by_size[rank - 1 : rank]


def faces_on_mask(faces: Sequence[Face], mask: Tensor, picture_size: PictureSize) -> list[Face]:
    """Those whose centre lies on a mask [h, w] of the picture."""
    mask_height, mask_width = mask.shape
    across, down = mask_width / picture_size.width, mask_height / picture_size.height

    def is_on_mask(face: Face) -> bool:
        column, row = floor(face.square.x * across), floor(face.square.y * down)
        is_inside = 0 <= column < mask_width and 0 <= row < mask_height
        return is_inside and bool(mask[row, column] > 0.5)

    return [face for face in faces if is_on_mask(face)]


class _Search:
    """The looks at one picture [H, W, 3], and the rules by which candidates become faces."""

    def __init__(self, net: YuNet, picture: Tensor, threshold: float):
        self.net, self.threshold = net, threshold
        self.close_looks = CloseLooks(net, picture)
        self.small_picture = shrink(picture, FULL_SIDE)
        height, width = picture.shape[:2]
        small_height, small_width = self.small_picture.shape[:2]
        self.scale = width / small_width, height / small_height
        self.longer_side = max(height, width)
        self.small_sides = [
            min(side, max(SMALL_SIDES[0], self.longer_side)) for side in SMALL_SIDES
        ]

    def candidates(
        self, sides: Sequence[int], rim: float = 0.0, quarters: Sequence[int] = (0,)
    ) -> Candidates:
        """The candidates that looks at the whole picture show, best first."""
        threshold = self.threshold * CANDIDATE_SHARE
        found_candidates = look_at_whole(
            self.net, self.small_picture, sides, threshold, rim, quarters
        )
        scale = found_candidates.boxes.new_tensor(self.scale)
        return Candidates(
            found_candidates.boxes * scale.repeat(2),
            found_candidates.landmarks * scale,
            found_candidates.scores,
        )

    def large_face(self) -> Face | None:
        """The largest sure face that a small look shows, if it is large in it too."""
        candidates = self.candidates(SMALL_SIDES[:1])
        sides = (candidates.boxes[:, 2:] - candidates.boxes[:, :2]).amax(1)
        largest_first = sides.argsort(descending=True)
        large_count = int((sides > LARGE_SHARE * self.longer_side).sum())
        for candidate_number in largest_first[: min(large_count, LARGE_TRIES)]:
            faces, _ = self.confirm(candidates.select(candidate_number[None]))
            if faces:
                return faces[0]
        return None

    def confirm(self, candidates: Candidates) -> tuple[list[Face], Candidates]:
        """The faces that the second look sees too, and the candidates that are none of them."""
        candidates = candidates.select(slice(MOST_CANDIDATES))
        looks = self.close_looks.look(candidates.boxes)
        are_sure = [
            self._is_sure(look, candidate.score)
            for look, candidate in zip(looks, candidates, strict=True)
        ]
        faces = _distinct_faces(
            [
                _confirmed_face(look)
                for look, is_sure in zip(looks, are_sure, strict=True)
                if is_sure
            ]
        )
        unsure_numbers = [number for number, is_sure in enumerate(are_sure) if not is_sure]
        return faces, candidates.select(unsure_numbers).apart_from(_boxes(faces))

    def doubtful_faces(self, candidates: Candidates) -> list[Face]:
        """Upright candidates that the second look does not see, but several distances and the
        mirror image do."""
        is_likely = candidates.scores >= self.threshold + DOUBTFUL_MARGIN
        candidates = candidates.select(is_likely).select(slice(MOST_CANDIDATES))
        votes = self.close_looks.vote(candidates.boxes)
        return [
            _doubtful_face(candidate)._replace(is_sure=min(vote, candidate.score) >= SURE_VOTE)
            for candidate, vote in zip(candidates, votes, strict=True)
            if vote >= LEAST_VOTE
        ]

    def faces_within_rim(self) -> list[Face]:
        """Faces that fill the picture; failing that, the best candidate if half a vote supports
        it: drawings, extreme close-ups."""
        faces, unconfirmed_candidates = self.confirm(
            self.candidates(self.small_sides, rim=WEAK_RIM)
        )
        if faces:
            return faces
        candidates = unconfirmed_candidates.select(slice(1))
        candidates = candidates.select(candidates.scores >= self.threshold)
        votes = self.close_looks.vote(candidates.boxes)
        return [
            _doubtful_face(candidate)
            for candidate, vote in zip(candidates, votes, strict=True)
            if (candidate.score + vote) / 2 >= self.threshold * WEAK_SHARE
        ]

    def _is_sure(self, look: CloseLook, first_score: float) -> bool:
        return (
            look.score >= max(SURE_SCORE, self.threshold) and look.score + first_score >= SURE_SUM
        )


def _doubtful_face(candidate: Candidate) -> Face:
    """A candidate as the first look saw it: upright."""
    left, top, right, bottom = as_floats(candidate.box)
    return face_in_box(left, top, right, bottom)._replace(
        landmarks=candidate.landmarks, score=candidate.score, is_sure=False, is_detected=True
    )


def _confirmed_face(look: CloseLook) -> Face:
    """The face of a second look; its box is upright, turned by quarters with the face."""
    width, height = look.size
    if round(look.square.angle / (pi / 2)) % 2:
        width, height = height, width
    x, y = look.square.x, look.square.y
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Face(
        box=box, square=look.square, landmarks=look.landmarks, score=look.score, is_detected=True
    )


def _distinct_faces(faces: list[Face]) -> list[Face]:
    """Best first, of those that overlap only the best."""
    scores = torch.tensor([face.score for face in faces])
    return [faces[face_number] for face_number in best_of_overlapping(_boxes(faces), scores)]


def _boxes(faces: list[Face]) -> Tensor:
    return torch.tensor([face.box for face in faces]).view(-1, 4)
