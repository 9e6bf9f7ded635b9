"""Turned squares: what insightface's template asks for, and that turning back gives the picture."""

from math import cos, degrees, pi, radians, sin

import pytest
import torch
from support.tolerance import PLACE

from ipadapter_core.faces import face_square, turned_square
from ipadapter_core.faces.face_square import Square
from ipadapter_core.faces.turned_square import TurnedSquare

H, W = 61, 83


def waves(height, width):
    """A smooth picture, black towards its corners [height, width, 3]."""
    y = (torch.arange(height) + 0.5)[:, None] / height
    x = (torch.arange(width) + 0.5) / width
    parts = [torch.sin(9 * (a * x + b * y)) for a, b in ((1, 0.2), (0.3, -1), (0.7, 0.6))]
    return torch.stack(parts, -1) * 0.4 + 0.5


def face_points(x=40.0, y=30.0, side=20.0, angle=0.0):
    """The template's face, moved, scaled and turned clockwise."""
    points = (torch.tensor(turned_square.TEMPLATE) - 56) * side / 112
    turn = torch.tensor([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    return points @ turn.T + torch.tensor([x, y])


@pytest.mark.parametrize("angle", [-170, -90, -31, 0, 7, 45, 120, 180])
def test_roll_is_the_turn_of_the_eyes(angle):
    flat = degrees(turned_square.roll_angle(face_points()))
    square = degrees(turned_square.roll_angle(face_points(angle=radians(angle))))
    assert (square - flat - angle + 180) % 360 - 180 == pytest.approx(0, abs=PLACE)


@pytest.mark.parametrize(
    ("angle", "second_angle", "turn"),
    [(10, 350, 20), (350, 10, -20), (0, 0, 0), (-170, 170, 20), (90, 45, 45)],
)
def test_turn_between_two_angles_is_the_short_way(angle, second_angle, turn):
    assert degrees(
        turned_square.angle_difference(radians(angle), radians(second_angle))
    ) == pytest.approx(turn)


@pytest.mark.parametrize("angle", [0, 33, -140])
@pytest.mark.parametrize("size", [112, 224, 336])
def test_template_at_multiples_of_112_is_its_own_square(angle, size):
    square = turned_square.arcface_square(face_points(17, 23, 50, radians(angle)), size)
    assert square == pytest.approx((17, 23, 50, radians(angle)), abs=PLACE)


def test_template_at_256_has_the_wider_rim_left_right_and_below():
    points = torch.tensor(turned_square.TEMPLATE) * 2  # 224 px, in its place
    square = turned_square.arcface_square(points, 256)
    assert square == pytest.approx((112, 128, 256, 0.0), abs=PLACE)


def test_least_squares_fit_is_the_best_there_is():
    points = torch.tensor([[30.0, 40], [62, 45], [44, 62], [30, 76], [56, 81]])
    best = turned_square.arcface_square(points, 112)
    template = torch.tensor(turned_square.TEMPLATE)

    def error(candidate):
        return (turned_square.to_picture(candidate, template, 112) - points).square().sum()

    for change in (0.05, -0.05):
        for name in ("x", "y", "side"):
            assert error(best._replace(**{name: getattr(best, name) + change})) > error(best)
        assert error(best._replace(angle=best.angle + change / 50)) > error(best)


def test_to_picture_maps_the_crops_middle_to_the_centre_and_its_corners_to_the_squares():
    quarter = TurnedSquare(20, 30, 10, pi / 2)
    points = torch.tensor([[50.0, 50.0], [0.0, 0.0], [100.0, 0.0]])
    expected = torch.tensor([[20.0, 30.0], [25.0, 25.0], [25.0, 35.0]])
    torch.testing.assert_close(turned_square.to_picture(quarter, points, 100), expected)


def test_square_not_turned_is_the_square():
    picture = waves(H, W)
    complete = face_square.crop(picture, Square(11, 7, 40), 23)
    assert torch.equal(turned_square.crop(picture, TurnedSquare(31, 27, 40), 23), complete)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_square_turned_by_quarters_is_the_square_of_the_turned_picture(quarter):
    picture = waves(64, 64)
    turned_crop = turned_square.crop(picture, TurnedSquare(32, 32, 40, quarter * pi / 2), 40)
    expected = picture.rot90(quarter, (0, 1))[12:52, 12:52]
    assert (turned_crop - expected).abs().max() < 0.01


@pytest.mark.parametrize(("side", "size"), [(30, 30), (60, 24), (20, 90)])
def test_turned_there_and_back_is_the_same_crop(side, size):
    picture = waves(200, 200)
    turned_crop = turned_square.crop(picture, TurnedSquare(100, 100, 190, 0.4), 190)
    back_crop = turned_square.crop(turned_crop, TurnedSquare(95, 95, side, -0.4), size)
    upright_crop = turned_square.crop(picture, TurnedSquare(100, 100, side), size)
    assert (back_crop - upright_crop).abs().max() < 0.02


def test_turned_crop_shrinks_without_stripes():
    checkers = (torch.arange(150)[:, None] + torch.arange(170)) % 2
    picture = checkers[..., None].expand(-1, -1, 3).float()
    crop = turned_square.crop(picture, TurnedSquare(80, 75, 100, 0.3), 25)
    assert (crop - 0.5).abs().max() < 0.03


@pytest.mark.parametrize(("repeat_edge", "corner"), [(False, 0.0), (True, 1.0)])
def test_turned_crop_past_the_border(repeat_edge, corner):
    crop = turned_square.crop(torch.ones(H, W, 3), TurnedSquare(0, 0, 50, 0.5), 32, repeat_edge)
    assert crop[0, 0].tolist() == pytest.approx([corner] * 3)
    assert crop[-1, -1].tolist() == pytest.approx([1.0] * 3)
