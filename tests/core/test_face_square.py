"""Squares around faces: identities, known places, borders; odd unequal sizes throughout."""

import pytest
import torch
from support.tolerance import CROP
from torch.nn.functional import interpolate, pad

from ipadapter_core.faces import face_square
from ipadapter_core.faces.face_square import Box, PictureSize, Square

H, W = 61, 83
SIZE = PictureSize(H, W)


def noise(height=H, width=W, channels=3, seed=0):
    return torch.rand(height, width, channels, generator=torch.Generator().manual_seed(seed))


def waves(height, width, finest=0.15):
    """A smooth picture of the same scene at any resolution [height, width, 3]."""
    y = (torch.arange(height) + 0.5)[:, None] / height
    x = (torch.arange(width) + 0.5) / width
    parts = [
        torch.sin(6.28 / finest * (a * x + b * y)) for a, b in ((1, 0.2), (0.3, -1), (0.7, 0.6))
    ]
    return torch.stack(parts, -1) * 0.4 + 0.5


@pytest.mark.parametrize(
    ("height", "width", "square"),
    [(5, 5, (0, 0, 5)), (5, 9, (2, 0, 5)), (8, 3, (0, 2, 3)), (1, 1, (0, 0, 1))],
)
def test_centre_square(height, width, square):
    assert face_square.centre_square(PictureSize(height, width)) == square


@pytest.mark.parametrize(
    ("square", "shifted"),
    [
        ((5, 6, 20), (5, 6, 20)),
        ((-9, -2, 20), (0, 0, 20)),
        ((70, 50, 20), (W - 20, H - 20, 20)),
        ((10, -30, 75), (17, 0, H)),  # larger than the short side: shrinks about its centre
        ((-100, -100, 400), (W - H, 0, H)),  # about (100, 100), as far right as it goes
        ((-20, 3, H), (0, 0, H)),
    ],
)
def test_shift_moves_the_square_inside_and_shrinks_only_what_is_too_large(square, shifted):
    assert face_square.shift_inside(Square(*square), SIZE) == shifted


@pytest.mark.parametrize(
    ("box", "part"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ((-5, -6, 10, 10), (0, 0, 5, 4)),
        ((80, 60, 9, 9), (80, 60, 3, 1)),
        ((W, 0, 9, 9), (W, 0, 0, 9)),
        ((W - 1, 0, 9, 9), (W - 1, 0, 1, 9)),
        ((0, -9, 9, 9), (0, 0, 9, 0)),
        ((0, -8, 9, 9), (0, 0, 9, 1)),
    ],
)
def test_visible_part_of_a_box(box, part):
    assert face_square.visible_part(Box(*box), SIZE) == part


def test_mask_box_takes_the_pixels_above_one_half():
    mask = torch.full((H, W), 0.5)
    assert face_square.mask_box(mask, SIZE) is None
    mask[7:20, 30] = 0.51
    mask[11, 25:41] = 1.0
    assert face_square.mask_box(mask, SIZE) == (25, 7, 16, 13)


def test_mask_box_of_a_single_pixel():
    mask = torch.zeros(H, W)
    mask[H - 1, 0] = 1
    assert face_square.mask_box(mask, SIZE) == (0, H - 1, 1, 1)


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (10, 14, (4, 3, 6, 2)),
        (20, 42, (12, 6, 18, 4)),
        (5, 7, (2, 1, 3, 2)),
        (15, 14, (4, 4, 6, 4)),
    ],
)
def test_mask_box_is_scaled_to_the_picture_outward_to_whole_pixels(height, width, box):
    mask = torch.zeros(10, 14)
    mask[3:5, 4:10] = 1
    assert face_square.mask_box(mask, PictureSize(height, width)) == box


@pytest.mark.parametrize("soft", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(
    "box", [(7, 9, 30, 21), (1, 1, 3, 2), (0, 5, 40, 10), (50, 40, W - 50, H - 40)]
)
def test_pixels_above_one_half_of_a_box_mask_are_the_box(box, soft):
    mask = face_square.box_mask(Box(*box), SIZE, soft)
    assert mask.shape == (H, W)
    x, y, width, height = box
    expected = torch.zeros(H, W, dtype=torch.bool)
    expected[y : y + height, x : x + width] = True
    assert torch.equal(mask > 0.5, expected)
    assert face_square.mask_box(mask, SIZE) == box


def test_hard_box_mask_is_zero_and_one():
    mask = face_square.box_mask(Box(7, 9, 30, 21), SIZE)
    assert mask.unique().tolist() == [0, 1]
    assert mask.sum() == 30 * 21


def test_soft_box_mask_falls_over_the_stated_width():
    mask = face_square.box_mask(Box(20, 10, 40, 40), SIZE, softness=0.1)
    row = mask[30]  # ramp of 4 pixels: 18 to 22
    assert row[16:24].tolist() == [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]


def test_soft_box_mask_stays_one_at_the_border_of_the_picture():
    assert face_square.box_mask(Box(0, 0, W, H), SIZE, softness=0.3).eq(1).all()
    mask = face_square.box_mask(Box(-9, 20, 40, 90), SIZE, softness=0.3)
    assert mask[H - 1, 0] == 1
    assert mask[H - 1, 50] == 0


@pytest.mark.parametrize("repeat_edge", [False, True])
@pytest.mark.parametrize(
    ("left", "top", "size"), [(0, 0, 61), (22, 0, 61), (17, 9, 31), (5, 60, 1)]
)
def test_crop_of_its_own_size_is_the_pixels(left, top, size, repeat_edge):
    picture = noise()
    crop = face_square.crop(picture, Square(left, top, size), size, repeat_edge)
    assert torch.equal(crop, picture[top : top + size, left : left + size])


@pytest.mark.parametrize(("side", "size"), [(57, 19), (57, 23), (40, 97), (57, 56), (1, 16)])
def test_crop_is_the_antialiased_bicubic_of_the_square(side, size):
    picture = noise()
    part = picture[2 : 2 + side, 11 : 11 + side].movedim(-1, 0)[None]
    expected = interpolate(part, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    crop = face_square.crop(picture, Square(11, 2, side), size)
    torch.testing.assert_close(crop, expected[0].movedim(0, -1), atol=CROP, rtol=0)


def test_shrinking_is_antialiased():
    # all of it finer than the crop can show
    checkers = (torch.arange(H)[:, None] + torch.arange(W)) % 2
    picture = checkers[..., None].expand(-1, -1, 3).float()
    crop = face_square.crop(picture, Square(3, 1, 60), 16)
    assert (crop[1:-1, 1:-1] - 0.5).abs().max() < 0.02


@pytest.mark.parametrize("padding", [0.0, 0.08, 0.4, 1.2])
def test_equal_content_gives_equal_crops_at_any_resolution(padding):
    height, width, side = 150, 210, 66 * (1 + padding)
    square = (100 - side / 2, 64 - side / 2, side)
    crops = []
    for scale in (1, 2, 3):
        picture = waves(height * scale, width * scale)
        scaled_square = Square(*(scale * v for v in square))
        crops.append(face_square.crop(picture, scaled_square, 56))
    assert (crops[0] - crops[1]).abs().mean() < 0.004
    assert (crops[0] - crops[2]).abs().mean() < 0.004


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_pattern_pasted_at_a_known_place_comes_back(scale):
    pattern = waves(32, 32, finest=0.6)
    big = interpolate(pattern.movedim(-1, 0)[None], scale_factor=scale, mode="nearest")[0].movedim(
        0, -1
    )
    side, left, top = 32 * scale, 41, 23
    picture = noise(151, 173)
    picture[top : top + side, left : left + side] = big
    crop = face_square.crop(picture, Square(left, top, side), 32)
    assert (crop - pattern).abs().max() < 0.02  # nearest-neighbour blocks, read back by a cubic


def test_nothing_is_stretched():
    y, x = torch.arange(H)[:, None] - 30.0, torch.arange(W) - 40.0
    disc = (x.square() + y.square() < 12.5**2).float()[..., None].expand(-1, -1, 3)
    square = Square(20.5, 10.5, 40)  # around the disc's middle
    disc_pixels = face_square.crop(disc, square, 121)[..., 0] > 0.5
    disc_height, disc_width = int(disc_pixels.any(1).sum()), int(disc_pixels.any(0).sum())
    assert disc_height == disc_width
    assert abs(disc_width - 25 / square.side * 121) <= 1


def test_black_border_shows_nothing_past_the_picture():
    picture = noise().clamp(min=0.1)
    crop = face_square.crop(picture, Square(-10, H - 30, 50), 50)
    assert not crop[:, :10].any()
    assert not crop[30:].any()
    assert torch.equal(crop[:30, 10:], picture[H - 30 :, :40])


def test_edge_border_repeats_the_outermost_pixels():
    picture = noise()
    crop = face_square.crop(picture, Square(-10, H - 30, 50), 50, repeat_edge=True)
    padded = pad(picture.movedim(-1, 0)[None], (10, 0, 0, 20), mode="replicate")[0].movedim(0, -1)
    assert torch.equal(crop, padded[H - 30 : H + 20, :50])


@pytest.mark.parametrize(
    ("square", "crop_side", "columns_past", "rows_past"),
    [((3, 5, 40), 24, 0, 0), ((W - 40, H - 40, 40), 24, 0, 0), ((-10, H - 30, 50), 50, 10, 20)],
)
def test_borders_differ_only_past_the_border(square, crop_side, columns_past, rows_past):
    """The last square reaches 10 pixels past the left border and 20 past the lower one."""
    picture = noise().clamp(min=0.1)
    black = face_square.crop(picture, Square(*square), crop_side)
    edge = face_square.crop(picture, Square(*square), crop_side, repeat_edge=True)
    past_border = torch.zeros(crop_side, crop_side, dtype=torch.bool)
    past_border[:, :columns_past] = True
    past_border[crop_side - rows_past :] = True
    assert torch.equal((black != edge).all(-1), past_border)
    assert torch.equal((black != edge).any(-1), past_border)


@pytest.mark.parametrize("square", [(-50, 0, 20), (W + 5, H + 5, 20), (-900, -900, 2000)])
def test_square_outside_or_far_larger_than_the_picture(square):
    crop = face_square.crop(torch.ones(H, W, 3), Square(*square), 16)
    assert crop.shape == (16, 16, 3)
    assert crop[0, 0].eq(0).all()
    assert face_square.crop(torch.ones(H, W, 3), Square(*square), 16, repeat_edge=True).allclose(
        torch.ones(1)
    )


def test_one_pixel_fills_the_crop():
    picture = torch.tensor([0.25, 0.5, 0.75]).view(1, 1, 3)
    assert torch.allclose(
        face_square.crop(picture, face_square.centre_square(PictureSize(1, 1)), 16),
        picture.expand(16, 16, 3),
    )


def test_crop_leaves_its_input_alone_and_stays_in_range():
    picture = noise().half().round()  # hard edges, where a cubic overshoots
    before = picture.clone()
    crop = face_square.crop(picture, Square(-5, -5, 30), 77)
    assert torch.equal(picture, before)
    assert crop.dtype == torch.float32
    assert crop.min() >= 0
    assert crop.max() <= 1
