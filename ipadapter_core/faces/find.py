"""Faces: what the looks found becomes the faces of a picture, best first, and one of them is chosen.

Upright first; turned and weak looks only where that shows nothing sure. A candidate is a sure face where the second look sees it
as well as the first, a doubtful one (a drawing, a blur, sometimes a headlight) where only the first does and the
mirror image agrees.
H, W height and width of the picture; N candidates.
"""

from collections.abc import Callable, Sequence
from math import floor, hypot, pi
from typing import NamedTuple

import torch
from torch import Tensor

from . import close_looks, yunet
from .close_looks import Close
from .turned_square import Frame, numbers
from .yunet import YuNet

SMALL, FULL = (320, 640), 1024  # longer sides of the first looks
SURE = (
    0.85  # from this second look's score on; photographs reach 0.88 to 0.95, things stay below 0.82
)
BOTH = 1.35  # and from this sum of the first look's and the second's
PLAIN = 0.9  # a first look's score from which a vote alone makes a face sure
CANDIDATE = 0.5  # of the threshold: worth a second look
DOUBTFUL = (
    0.1  # what a face that the second look does not confirm has to have more than the threshold
)
VOTE = 0.6
WEAK = 0.78  # of the threshold: what score and vote of a weak face have to have between them
RIM = 0.25
LARGE = 0.125  # of the picture's longer side: a large face
FEW = 4  # of these are tried
MOST = 400  # candidates of one picture that get a second look


class Face(NamedTuple):
    """A face of a picture, in its pixels."""

    box: tuple[float, float, float, float]  # left, top, right, bottom
    frame: Frame  # the square around it; turned as the face is, if that is known
    landmarks: Tensor | None = (
        None  # [5, 2]: eyes, nose, corners of the mouth, each from the picture's left
    )
    score: float = 1.0
    sure: bool = True
    found: bool = False  # by YuNet, not given


def boxed(left: float, top: float, right: float, bottom: float) -> Face:
    """A face of which only the box is known."""
    side = max(right - left, bottom - top)
    return Face((left, top, right, bottom), Frame((left + right) / 2, (top + bottom) / 2, side))


def find(net: YuNet, picture: Tensor, threshold: float, every: bool) -> list[Face]:
    """The faces of a picture [H, W, 3], largest first; doubtful ones only if there are no others.

    Without `every` the looks end with the largest where it is large and sure: the dear ones only show small faces.
    """
    search = _Search(net, picture, threshold)
    if not every and (largest := search.large()):
        return [largest]
    faces, rest = search.confirmed(search.around(search.small))
    if every or not faces:
        found, unsure = search.confirmed(_beside(search.around([FULL]), faces))
        faces, rest = _apart(faces + found), yunet.distinct(torch.cat((rest, unsure)))
    if not faces:
        faces, _ = search.confirmed(search.around(search.small, quarters=(1, 2, 3)))
    if not faces:
        faces = search.doubtful(rest)
    if not faces:
        faces, rest = search.confirmed(search.around(search.small, rim=RIM))
        faces = faces or search.weak(rest[:1])
    return sorted(faces, key=lambda face: -face.frame.side)


def settled(net: YuNet, picture: Tensor, face: Face) -> Face:
    """A face that the second look confirmed, its place, size and turn read as exactly as they can be."""
    close = close_looks.settled(net, picture, face.frame)
    return _face(close)._replace(score=face.score) if close.score >= SURE else face


def closer(net: YuNet, picture: Tensor, face: Face) -> Face:
    """A face of which only the box is known, with the landmarks and the turn that the second look reads, if it sees them."""
    (close,) = close_looks.closely(net, picture, torch.tensor([face.box]))
    close = close_looks.settled(net, picture, close.frame) if close.score >= SURE else close
    if close.score < SURE:
        return face
    turned = face.frame._replace(angle=close.frame.angle)
    return face._replace(frame=turned, landmarks=close.landmarks)


def choose(faces: Sequence[Face], which: str, number: int, height: int, width: int) -> list[Face]:
    """One of the faces of a picture of height x width, or all; none if there are not so many. Sizes count from 1."""
    ranks: dict[str, Callable[[Face], float]] = {
        "largest": lambda face: -face.frame.side,
        "most central": lambda face: hypot(face.frame.x - width / 2, face.frame.y - height / 2),
        "leftmost": lambda face: face.frame.x,
        "rightmost": lambda face: -face.frame.x,
        "best score": lambda face: -face.score,
    }
    if which in ranks:
        return sorted(faces, key=ranks[which])[:1]
    by_size = sorted(faces, key=ranks["largest"])
    return by_size if which == "all" else by_size[number - 1 : number]


def inside(faces: Sequence[Face], mask: Tensor, height: int, width: int) -> list[Face]:
    """Those whose centre lies on a mask [h, w] of a picture of height x width."""
    scale = mask.shape[1] / width, mask.shape[0] / height

    def covered(face: Face) -> bool:
        column, row = floor(face.frame.x * scale[0]), floor(face.frame.y * scale[1])
        on_it = 0 <= column < mask.shape[1] and 0 <= row < mask.shape[0]
        return on_it and bool(mask[row, column] > 0.5)

    return [face for face in faces if covered(face)]


class _Search:
    """The looks at one picture [H, W, 3], and what makes a candidate [15] of theirs a face."""

    def __init__(self, net: YuNet, picture: Tensor, threshold: float):
        self.net, self.picture, self.threshold = net, picture, threshold
        self.shrunk = close_looks.shrunk(picture, FULL)
        self.longer = max(picture.shape[:2])
        self.small = [min(side, max(SMALL[0], self.longer)) for side in SMALL]

    def around(
        self, sides: Sequence[int], rim: float = 0.0, quarters: Sequence[int] = (0,)
    ) -> Tensor:
        """The candidates [N, 15] that looks at the whole picture show, best first."""
        least = self.threshold * CANDIDATE
        rows = close_looks.around(self.net, self.shrunk, sides, least, rim, quarters)
        width, height = (self.picture.shape[n] / self.shrunk.shape[n] for n in (1, 0))
        return rows * rows.new_tensor([width, height] * 7 + [1])

    def large(self) -> Face | None:
        """The largest sure face that a small look shows, if it is large in it too."""
        rows = self.around(SMALL[:1])
        sides = (rows[:, 2:4] - rows[:, :2]).amax(1)
        rows = rows[sides.argsort(descending=True)][: int((sides > LARGE * self.longer).sum())]
        for row in rows[:FEW]:
            faces, _ = self.confirmed(row[None])
            if faces:
                return faces[0]
        return None

    def confirmed(self, rows: Tensor) -> tuple[list[Face], Tensor]:
        """Of candidates the faces that the second look sees too, and the rows of the others."""
        looks = close_looks.closely(self.net, self.picture, rows[:MOST, :4])
        sure = [
            close.score >= max(SURE, self.threshold) and close.score + float(row[14]) >= BOTH
            for close, row in zip(looks, rows, strict=False)
        ]
        faces = _apart([_face(close) for close, yes in zip(looks, sure, strict=True) if yes])
        unsure = [number for number, yes in enumerate(sure) if not yes]
        return faces, _beside(rows[unsure], faces)

    def doubtful(self, rows: Tensor) -> list[Face]:
        """Upright candidates that the second look does not see, but several distances and the mirror image do."""
        rows = rows[rows[:, 14] >= self.threshold + DOUBTFUL][:MOST]
        votes = close_looks.votes(self.net, self.picture, rows[:, :4])
        return [
            _as_found(row)._replace(sure=min(vote, float(row[14])) >= PLAIN)
            for row, vote in zip(rows, votes, strict=True)
            if vote >= VOTE
        ]

    def weak(self, rows: Tensor) -> list[Face]:
        """Candidates that half a vote is enough for: drawings, extreme close-ups."""
        rows = rows[rows[:, 14] >= self.threshold]
        votes = close_looks.votes(self.net, self.picture, rows[:, :4])
        means = [(float(row[14]) + vote) / 2 for row, vote in zip(rows, votes, strict=True)]
        least = self.threshold * WEAK
        return [_as_found(row) for row, mean in zip(rows, means, strict=True) if mean >= least]


def _as_found(row: Tensor) -> Face:
    """A candidate as the first look saw it: upright, doubtful."""
    left, top, right, bottom = numbers(row[:4])
    face = boxed(left, top, right, bottom)
    return face._replace(
        landmarks=row[4:14].view(5, 2), score=float(row[14]), sure=False, found=True
    )


def _face(close: Close) -> Face:
    """What the second look saw; its box is upright, turned by quarters with the face."""
    wide, high = close.size
    if round(close.frame.angle / (pi / 2)) % 2:
        wide, high = high, wide
    x, y = close.frame.x, close.frame.y
    box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
    return Face(box, close.frame, close.landmarks, close.score, found=True)


def _apart(faces: list[Face]) -> list[Face]:
    boxes = torch.tensor([face.box for face in faces]).view(-1, 4)
    return [faces[number] for number in yunet.apart(boxes, torch.tensor([f.score for f in faces]))]


def _beside(rows: Tensor, faces: list[Face]) -> Tensor:
    """The candidates that are not one of the faces."""
    boxes = torch.tensor([face.box for face in faces]).view(-1, 4)
    return rows[(yunet.overlaps(rows[:, :4], boxes) <= yunet.OVERLAP).all(1)]
