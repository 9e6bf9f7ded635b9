"""Weight maps: every kind and curve against numbers computed by hand."""

import pytest

from ipadapter_core.weights.blocks import blocks_of
from ipadapter_core.weights.curves import Keyframe, parse, value_at
from ipadapter_core.weights.presets import TAKES
from ipadapter_core.weights.weight_map import MapSettings, check_texts, make_map

SD15 = blocks_of(
    [("input", n, 0) for n in (1, 2, 4, 5, 7, 8)]
    + [("output", n, 0) for n in range(3, 12)]
    + [("middle", 0, 0)]
)
SDXL = blocks_of(
    [("input", n, 0) for n in (4, 5, 7, 8)]
    + [("output", n, 0) for n in range(6)]
    + [("middle", 0, 1)]
)
ODD = SDXL[:4] + SDXL[5:6]  # five blocks
NONE = {}


def row(filled, count):
    return [filled.get(t, 0) for t in range(count)]


def but(count, *left_out):
    return {t: 1 for t in range(count) if t not in left_out}


EARLY, LATE = dict.fromkeys(range(4), 1), dict.fromkeys(range(9, 16), 1)
STYLE15 = EARLY | LATE
SUBJECT15, SUBJECTXL = dict.fromkeys(range(4, 9), 1), dict.fromkeys((2, 3, 4, 5, 7), 1)
TABLE = [  # amounts 1 and 0.5; t -> weight, for the picture and against it
    ("balanced", SD15, but(16), NONE),
    ("balanced", SDXL, but(11), NONE),
    ("style", SD15, STYLE15, NONE),
    ("style", SDXL, {6: 1}, NONE),
    ("layout", SD15, {4: 0.25, 5: 1}, NONE),
    ("layout", SDXL, {3: 1}, NONE),
    ("strong style", SD15, but(16, 4, 5), NONE),
    ("strong style", SDXL, but(11, 3), NONE),
    ("style and layout", SD15, STYLE15 | {4: 0.125, 5: 0.5}, NONE),
    ("style and layout", SDXL, {3: 0.5, 6: 1}, NONE),
    ("strong style and layout", SD15, but(16) | {4: 0.5, 5: 0.5}, NONE),
    ("strong style and layout", SDXL, but(11) | {3: 0.5}, NONE),
    ("precise style", SD15, STYLE15, {4: 0.125, 5: 0.5}),
    ("precise style", SDXL, {6: 1}, {3: 0.5}),
    (
        "precise layout",
        SD15,
        {4: 0.25, 5: 1},
        {t: 0.5 for t in STYLE15} | {6: 0.05, 7: 0.05, 8: 0.05},
    ),
    ("precise layout", SDXL, {3: 1}, dict.fromkeys(but(11, 3), 0.05) | {6: 0.5}),
    ("subject", SD15, SUBJECT15, NONE),
    ("subject", SDXL, SUBJECTXL, NONE),
    ("weak input", SDXL, but(11) | dict.fromkeys(range(4), 0.2), NONE),
    ("weak middle", SDXL, but(11) | {4: 0.2}, NONE),
    ("weak output", SD15, but(16) | dict.fromkeys(range(7, 16), 0.2), NONE),
    ("strong input", SDXL, dict.fromkeys(range(11), 0.2) | dict.fromkeys(range(4), 1), NONE),
    ("strong middle", SD15, dict.fromkeys(range(16), 0.2) | {6: 1}, NONE),
    ("strong output", ODD, dict.fromkeys(range(4), 0.2) | {4: 1}, NONE),
]
EASES = [
    (
        "ease in",
        SDXL,
        [1, 0.914, 0.827, 0.741, 0.655, 0.568, 0.482, 0.395, 0.309, 0.223, 0.136],
    ),
    (
        "ease out",
        SDXL,
        [0.05, 0.136, 0.223, 0.309, 0.395, 0.482, 0.568, 0.655, 0.741, 0.827, 0.914],
    ),
    (
        "ease in-out",
        SDXL,
        [0.05, 0.223, 0.395, 0.568, 0.741, 0.914, 0.914, 0.741, 0.568, 0.395, 0.223],
    ),
    (
        "reverse in-out",
        SDXL,
        [1, 0.827, 0.655, 0.482, 0.309, 0.136, 0.136, 0.309, 0.482, 0.655, 0.827],
    ),
    ("ease in", SD15, [1 - t * 0.059375 for t in range(16)]),
    ("ease out", ODD, [0.05, 0.24, 0.43, 0.62, 0.81]),
    ("ease in-out", ODD, [0.05, 0.43, 0.81, 0.81, 0.43]),
]


@pytest.mark.parametrize(("take", "blocks", "toward", "against"), TABLE)
def test_kinds_are_the_documented_weights(take, blocks, toward, against):
    result = make_map(blocks, MapSettings(take=take, second_amount=0.5))
    assert len(result.positive) == 101
    assert result.positive[0] == result.positive[-1] == pytest.approx(row(toward, len(blocks)))
    assert result.negative[0] == pytest.approx(row(against, len(blocks)))


@pytest.mark.parametrize(("take", "blocks", "expected"), EASES)
def test_eases_are_the_documented_weights(take, blocks, expected):
    assert make_map(blocks, MapSettings(take=take)).positive[50] == pytest.approx(
        expected, abs=6e-4
    )


def test_every_kind_has_a_table():
    assert set(TAKES) == {case[0] for case in TABLE} | {case[0] for case in EASES}


@pytest.mark.parametrize(
    ("time", "expected"), [(0, 1), (0.2, 0.8), (0.3, 0.65858), (0.4, 0.6), (0.7, 0.3), (1, 0)]
)
def test_key_frames_with_easing(time, expected):
    assert value_at(parse("0:1.0, 0.4:0.6 ease, 1:0"), time) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("easing", "middle"),
    [
        ("", 0.5),
        (" linear", 0.5),
        (" hold", 0),
        (" ease", 0.5),
        (" ease in", 0.292893),
        (" ease out", 0.707107),
        (" ease in-out", 0.5),
    ],
)
def test_easings_meet_both_keys(easing, middle):
    keys = parse(f"0.2:0, 0.6:1{easing}")
    result = [value_at(keys, time) for time in (0, 0.2, 0.4, 0.6, 0.9)]
    assert result == pytest.approx([0, 0, middle, 1, 1], abs=1e-6)


def test_two_keys_at_one_time_are_a_step():
    keys = parse("0:1, 0.5:1\n0.5:0; 1:0")
    assert [value_at(keys, time) for time in (0.49, 0.5, 0.51)] == [1, 0, 0]


def test_layers_and_curve_multiply_the_kind():
    result = make_map(
        SDXL,
        MapSettings(
            take="style", first_amount=2.0, layers=", ".join(["0.5"] * 11), curve="0:1, 1:0"
        ),
    )
    assert result.positive[25] == pytest.approx(row({6: 0.75}, 11))
    named_layers = make_map(SDXL, MapSettings(layers="3:1, 6:0.5"))
    assert named_layers.positive[0] == tuple(row({3: 1, 6: 0.5}, 11))


def test_layers_by_name_and_the_rest_of_them():
    by_name = make_map(SDXL, MapSettings(layers="middle:0, rest:1, Input 8: 0.5")).positive[0]
    assert by_name == (1, 1, 1, 0.5, 0, 1, 1, 1, 1, 1, 1)
    assert make_map(SDXL, MapSettings(layers="4:0.5, middle:0")).positive[0] == (0.0,) * 11


def test_maps_multiply_and_add_on_both_sides():
    style = make_map(SDXL, MapSettings(take="precise style"))
    half = make_map(SDXL, MapSettings(first_amount=0.5))
    for product in (style.times(half), half.times(style)):
        assert product.positive[0] == tuple(row({6: 0.5}, 11))
        assert product.negative[0] == tuple(row({3: 0.5}, 11))
    total = style.plus(half)
    assert total.positive[0] == tuple(row({**dict.fromkeys(range(11), 0.5), 6: 1.5}, 11))
    assert total.negative == style.negative


@pytest.mark.parametrize(
    ("layers", "curve", "words"),
    [
        ("1, x", "", "'layers' has no number at entry 2, 'x'"),
        ("57:1", "", "'layers' has the unknown block '57' at entry 1"),
        ("", "0:1, 1", "'curve' has no keyframe at entry 2, '1'"),
    ],
)
def test_texts_that_are_wrong_for_every_model_are_known_without_one(layers, curve, words):
    with pytest.raises(ValueError) as error:
        check_texts(layers, curve)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "layers",
    ["", "1, 0.5", "11:1, 15:0.5", "output 11:1", "double 18:1, single 37:0", "joint 37:0.5"],
)
def test_texts_that_may_be_right_for_some_model_pass_without_one(layers):
    check_texts(layers, "0:1,\n0.4:0.6 ease;\n1:0\n")


def test_a_comma_may_end_a_line():
    expected = (
        Keyframe(0.0, 1.0, "linear"),
        Keyframe(0.5, 0.25, "ease"),
        Keyframe(1.0, 0.0, "linear"),
    )
    assert parse("0:1,\n 0.5:0.25 ease ; \r\n1:0\n") == expected
    with pytest.raises(ValueError, match="entry 2, ''"):
        parse("0:1,\n\n1:0")


def test_jitter_is_seeded_and_bounded():
    first, same, second = (make_map(SD15, MapSettings(jitter=0.2, seed=seed)) for seed in (7, 7, 8))
    assert first == same != second
    values = [value for line in first.positive for value in line]
    assert 0.8 <= min(values) < 0.81
    assert 1.19 < max(values) <= 1.2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layers": "1, 0.5"}, "'layers' has 2 numbers, but this model has 11 blocks"),
        ({"layers": "1, x, 2"}, "'layers' has no number at entry 2, 'x'"),
        ({"layers": "3:1, 11:1"}, "'layers' has the unknown block '11' at entry 2"),
        ({"layers": "3:one"}, "'layers' has no number at entry 1, '3:one'"),
        ({"curve": "0:1, 0.5"}, "'curve' has no keyframe at entry 2, '0.5'"),
        ({"curve": "0:1, 0.5:0 sharp"}, "'curve' has the unknown easing 'sharp' at entry 2"),
        ({"curve": "0:1, 1.5:0"}, "'curve' has the time 1.5 at entry 2, '1.5:0': use 0 to 1"),
        ({"curve": "0.5:1, 0.2:0"}, "'curve' goes back in time at entry 2"),
        ({"curve": "0:nan"}, "'curve' has no number at entry 1"),
    ],
)
def test_what_does_not_parse_is_said_with_its_place(settings, words):
    with pytest.raises(ValueError) as error:
        make_map(SDXL, MapSettings(**settings))
    assert words in str(error.value)


def test_maps_of_two_models_do_not_meet():
    with pytest.raises(ValueError, match="16 and one with 11 blocks"):
        make_map(SD15, MapSettings()).plus(make_map(SDXL, MapSettings()))
