"""Masks of several regions, and tiles of a large reference."""

import pytest
import torch
from support.tolerance import ARITHMETIC

from ipadapter_core.attention.regions import (
    ADDED,
    NORMALISED,
    arrange_masks,
    tile_boxes,
    tile_masks,
)


def part(left, right, height=20, width=30):
    mask = torch.zeros(1, height, width)
    mask[:, :, left:right] = 1
    return mask


def test_overlaps_are_added_or_shared():
    masks = part(0, 20), part(10, 30)
    added = sum(arrange_masks(masks, 0, ADDED))
    shared = sum(arrange_masks(masks, 0, NORMALISED))
    assert added[0, 3].tolist() == [1.0] * 10 + [2.0] * 10 + [1.0] * 10
    assert shared.eq(1).all()
    faint = arrange_masks((part(0, 20) * 0.3, part(10, 30) * 0.5), 0, NORMALISED)
    assert sum(faint).max() == pytest.approx(0.8)  # less than whole is not scaled


def test_feather_is_soft_inside_and_nothing_outside():
    (mask,) = arrange_masks([part(5, 25)], 4, NORMALISED)
    assert not mask[:, :, :5].any()
    assert not mask[:, :, 25:].any()
    assert (mask[0, 3, 4:15].diff() >= 0).all()
    assert 0 < mask[0, 3, 5] < 0.5
    assert mask[0, 3, 15] == pytest.approx(1)


@pytest.mark.parametrize("feather", [0, 3, 7])
def test_a_partition_stays_one(feather):
    result = arrange_masks([part(0, 13), part(13, 30)], feather, NORMALISED)
    torch.testing.assert_close(sum(result), torch.ones(1, 20, 30))
    assert not feather or 0.3 < result[0][0, 3, 12] < 0.7


def test_sizes_and_batches_meet_at_the_largest():
    result = arrange_masks([torch.ones(1, 10, 15), torch.zeros(3, 20, 30)], 2, ADDED)
    assert [tuple(mask.shape) for mask in result] == [(3, 20, 30)] * 2
    assert result[0].eq(1).all()


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((200, 200), 1, [(0, 0, 100), (0, 100, 100), (100, 0, 100), (100, 100, 100)]),
        ((200, 210), 1, [(0, 0, 100), (0, 55, 100), (0, 110, 100)] * 2),
        ((100, 300), 1, [(0, 0, 100), (0, 100, 100), (0, 200, 100)]),
        ((100, 250), 1, [(0, 0, 100), (0, 75, 100), (0, 150, 100)]),
        ((301, 100), 1, [(0, 0, 100), (67, 0, 100), (134, 0, 100), (201, 0, 100)]),
    ],
)
def test_tiles_cover_the_picture_and_overlap_evenly(size, short_side, expected):
    result = tile_boxes(*size, short_side)
    if size == (200, 210):
        expected = expected[:3] + [(100, left, side) for _, left, side in expected[3:]]
    assert result == expected
    assert sum(tile_masks(*size, result)).sub(1).abs().max() < ARITHMETIC
