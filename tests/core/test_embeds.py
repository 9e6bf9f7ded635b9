"""Combining references and scaling keys and values: literal numbers, computed by hand."""

import pytest
import torch

from ipadapter_core.attention.keys import ALONE, NEGATIVE, POSITIVE, KeysValues
from ipadapter_core.attention.scaling import scale_keys_values
from ipadapter_core.references.embeds import METHODS, PLUS_NORM_AVERAGE, combine, many_scales, slerp

TWO = torch.tensor([[3.0, 4.0], [0.0, 10.0]])
TABLE = [
    ("concat", (1, 1), [[3, 4], [0, 10]]),
    ("add", (1, 0.5), [[3, 9]]),
    ("subtract", (1, 0.5), [[3, -1]]),
    ("average", (1, 1), [[1.5, 7]]),
    ("average", (2, 1), [[3, 9]]),
    ("norm average", (1, 1), [[2.3717, 7.1151]]),  # (0.6, 0.8) and (0, 1), mean length 7.5
    (PLUS_NORM_AVERAGE, (1, 1), [[0.5, 0.64993]]),  # (1 + 0) / 2, (4 + 10) / sqrt(116) / 2
    ("max", (1, 1), [[3, 10]]),
    ("min", (1, 1), [[0, 4]]),
    ("weighted", (3, 1), [[2.25, 5.5]]),
    ("slerp", (1, 0), [[3, 4]]),
    ("slerp", (1, 1), [[2.3717, 7.1151]]),
]


@pytest.mark.parametrize(("method", "weights", "expected"), TABLE)
def test_methods_are_the_documented_formulas(method, weights, expected):
    result = combine(TWO, weights, method)
    torch.testing.assert_close(
        result, torch.tensor(expected, dtype=torch.float32), atol=1e-4, rtol=0
    )


def test_every_method_has_a_table():
    assert set(METHODS) == {case[0] for case in TABLE}


@pytest.mark.parametrize("method", METHODS)
def test_one_reference_stays_what_it_is(method):
    assert torch.equal(combine(TWO[:1], [1.0], method), TWO[:1])


@pytest.mark.parametrize("method", ["average", "weighted", "slerp", "norm average", "max", "min"])
def test_the_same_reference_three_times_is_itself(method):
    picture = torch.randn(1, 5, 7, generator=torch.Generator().manual_seed(1))
    result = combine(picture.expand(3, -1, -1), [1.0] * 3, method)
    torch.testing.assert_close(result, picture)


def test_subtract_takes_the_mean_of_the_others():
    three = torch.tensor([[10.0], [2.0], [4.0]])
    assert combine(three, [1, 1, 1], "subtract").tolist() == [[7.0]]


def test_slerp_goes_along_the_circle():
    half = slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]]), 0.5)
    torch.testing.assert_close(half, torch.tensor([[2.0, 2.0]]) * 0.5**0.5)


def test_weights_that_add_up_to_0_have_no_shares():
    with pytest.raises(ValueError, match="add up to 0"):
        combine(TWO, [1, -1], "weighted")


def test_tiles_are_pooled_as_they_lie_in_the_picture():
    across = 4  # 2 x 2 tiles of 4 x 4 patches: each patch of the whole is 2 x 2 of a tile
    canvas = torch.arange(64.0).view(8, 8)
    tiles = torch.stack([canvas[y : y + 4, x : x + 4].flatten() for y in (0, 4) for x in (0, 4)])
    class_tokens = torch.tensor([[1.0], [2], [3], [6]])
    tiles = torch.cat((class_tokens, tiles), 1)[..., None]
    complete = torch.full((1, 1 + across * across, 1), 100.0)
    result = many_scales(complete, tiles, 1.0)[0, :, 0]
    assert result[0] == 3  # mean of the class tokens
    expected = canvas.view(4, 2, 4, 2).mean((1, 3)).flatten()
    torch.testing.assert_close(result[1:], expected)
    assert torch.equal(many_scales(complete, tiles, 0.0), complete)


# key [1, 2], value [2 tokens]: one layer of width 320, where the penalty is a quarter
K, V = torch.tensor([2.0, 4.0]), torch.tensor([6.0, 10.0])


def one_layer(width=320):
    rows = torch.stack([K, K]), torch.stack([V, V])  # [2, 2]
    flat = torch.cat([part[..., None].expand(-1, -1, width).flatten() for part in rows])
    return KeysValues(flat, 2, (width,))


@pytest.mark.parametrize(
    ("scaling", "key", "value"),
    [
        ("K+V", [1, 2], [3, 5]),
        ("K+V with C penalty", [0.25, 0.5], [0.75, 1.25]),
        ("K+mean(V) with C penalty", [0.25, 0.5], [-1, 3]),  # 6 - 8 + 8 / 8, 10 - 8 + 8 / 8
    ],
)
def test_scalings_are_the_documented_formulas(scaling, key, value):
    ((k, v),) = scale_keys_values(one_layer(), scaling, [0.5]).layers()
    for row in (NEGATIVE, POSITIVE):
        assert k[row, :, 0].tolist() == pytest.approx(key)
        assert v[row, :, 7].tolist() == pytest.approx(value)


def test_as_negative_puts_the_reference_on_the_negative_side():
    flat = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8])  # [2, 1, 2] keys, then values
    ((key, value),) = KeysValues(flat, 1, (2,)).as_negative().for_roles((NEGATIVE, POSITIVE, ALONE))
    assert key[:, 0].tolist() == [[3, 4], [0, 0], [3, 4]]
    assert value[:, 0].tolist() == [[7, 8], [0, 0], [-7, -8]]


def test_frames_are_chosen_and_the_last_one_goes_on():
    flat = torch.arange(12.0)  # 2 roles, 3 frames, 1 token, width 1: keys 0-5, values 6-11
    values = KeysValues(flat, 1, (1,), frames=3).select((1, 7), "cpu", torch.float32)
    ((key, value),) = values.for_roles((POSITIVE, NEGATIVE))
    assert key.flatten().tolist() == [4, 5, 1, 2]
    assert value.flatten().tolist() == [10, 11, 7, 8]
