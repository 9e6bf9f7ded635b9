"""Following one person through frames: who stays who, what fills a gap, what smoothing leaves
alone."""

import math

import pytest
import torch

from ipadapter_core.faces import tracking
from ipadapter_core.faces.find import Face, face_in_box
from ipadapter_core.faces.turned_square import TurnedSquare


def at(x, y, side=40.0, angle=0.0, marked=True):
    points = torch.tensor([[-0.2, -0.1], [0.2, -0.1], [0, 0.1], [-0.15, 0.3], [0.15, 0.3]])
    face = face_in_box(x - side * 0.36, y - side / 2, x + side * 0.36, y + side / 2)
    landmarks = points * side + torch.tensor([x, y]) if marked else None
    return face._replace(square=TurnedSquare(x, y, side, angle), landmarks=landmarks)


def where(track):
    return [face and (face.square.x, face.square.y, face.square.side) for face in track]


def test_person_is_followed_past_a_larger_one():
    """The right one grows and shrinks and both wander; who was chosen stays chosen."""
    mine = [at(50 + 3 * n, 60 + n) for n in range(9)]
    second = [at(150 + 2 * n, 60, 30 + 12 * (n % 4)) for n in range(9)]
    frames = [
        [a, b] if n % 2 else [b, a] for n, (a, b) in enumerate(zip(mine, second, strict=True))
    ]
    assert where(tracking.follow_person(frames, 0, mine[0])) == where(mine)
    assert where(tracking.follow_person(frames, 0, second[0])) == where(second)
    assert where(tracking.follow_person(frames, 5, mine[5])) == where(mine)  # also backwards


def test_size_tells_two_who_pass_each_other_apart():
    mine = [at(40 + 10 * n, 60, 60) for n in range(9)]
    second = [at(120 - 10 * n, 62, 25) for n in range(9)]
    frames = [[b, a] for a, b in zip(mine, second, strict=True)]
    assert where(tracking.follow_person(frames, 0, mine[0])) == where(mine)


def test_another_person_elsewhere_is_no_replacement():
    frames = [[at(50, 50)], [], [at(300, 60)], [at(52, 50)]]
    track = tracking.follow_person(frames, 0, frames[0][0])
    assert where(track) == where([at(50, 50), None, None, at(52, 50)])


def test_after_a_long_gap_the_same_person_may_have_moved_farther():
    near, far = [[at(0, 0)], [at(60, 0)]], [[at(0, 0)], *[[]] * 6, [at(60, 0)]]
    assert tracking.follow_person(near, 0, near[0][0])[-1] is None
    assert tracking.follow_person(far, 0, far[0][0])[-1] is not None


def test_gaps_are_filled_on_a_straight_line_and_the_ends_repeated():
    track = [None, at(0, 10, 40), None, None, at(30, 40, 70), None]
    middle = [at(0, 10, 40), at(10, 20, 50), at(20, 30, 60), at(30, 40, 70)]
    expected = [middle[0], *middle, middle[-1]]
    filled_track = tracking.fill_gaps(track)
    for face, expected_face in zip(filled_track, expected, strict=True):
        assert face.square == pytest.approx(expected_face.square)
        assert face.box == pytest.approx(expected_face.box)
        torch.testing.assert_close(face.landmarks, expected_face.landmarks)
    assert tracking.fill_gaps([None, None]) == [None, None]


def test_turns_are_averaged_the_short_way_round():
    track = [at(0, 0, 40, math.radians(170)), None, at(0, 0, 40, math.radians(-170))]
    angle = tracking.fill_gaps(track)[1].square.angle
    assert math.cos(angle) == pytest.approx(-1)


def test_smoothing_keeps_a_steady_motion_and_gaps():
    track = [at(5 * n, 100 - 2 * n, 40 + n) for n in range(12)]
    for face, expected_face in zip(tracking.smooth_track(track, 2.0), track, strict=True):
        assert face.square == pytest.approx(expected_face.square)
    assert tracking.smooth_track([at(0, 0), None, at(0, 0)], 1.0)[1] is None
    assert tracking.smooth_track(track, 0.0) == track


def test_smoothing_calms_trembling():
    noise = torch.randn(60, generator=torch.Generator().manual_seed(0)).tolist()
    track = [at(100 + 3 * offset, 100) for offset in noise]
    xs = torch.tensor([face.square.x for face in tracking.smooth_track(track, 3.0)])
    assert xs[8:-8].std() < 0.45 * torch.tensor([face.square.x for face in track]).std()


def test_faces_without_landmarks_are_followed_too():
    frames = [[at(50, 50, marked=False), at(200, 50)], [at(195, 50), at(52, 50)]]
    assert tracking.follow_person(frames, 0, frames[0][0])[1].square.x == 52
    assert isinstance(tracking.fill_gaps([frames[0][0], None, at(60, 50)])[1], Face)
