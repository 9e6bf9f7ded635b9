"""FaceCrop as the host loads it, on a photograph: same face, same crop, however it is pointed
at."""

from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.host

PORTRAIT = Path(__file__).parent.parent.parent / "data" / "portrait.jpg"
H, W = 320, 256
FACE = {"x": 104, "y": 25, "width": 68, "height": 93}
NO_BOX = {"x": 0, "y": 0, "width": 0, "height": 0}
FIRST = {**NO_BOX, "padding": 0.08, "size": 224, "border": "black", "on_none": "whole image"}
LATER = {
    "which": "largest",
    "number": 1,
    "shape": "square",
    "align": "upright",
    "threshold": 0.6,
    "follow": False,
    "fill_gaps": False,
    "smooth": 0.0,
    "device": "default",
}


@pytest.fixture
def crop(nodes_by_id):
    """Runs the node: image -> (crops, masks, bboxes), as a graph of the first version does for what
    is not given."""
    return lambda image, **inputs: (
        nodes_by_id["FaceCrop"].execute(image, **(FIRST | inputs)).args[:3]
    )


@pytest.fixture(scope="module")
def portrait():
    return torch.from_numpy(
        numpy.asarray(Image.open(PORTRAIT).convert("RGB"), dtype=numpy.float32) / 255
    )[None]


def painted(height=H, width=W, x=104, y=25, wide=68, tall=93):
    mask = torch.zeros(1, height, width)
    mask[:, y : y + tall, x : x + wide] = 1
    return mask


def test_inputs_and_outputs_are_the_public_ones(nodes_by_id):
    inputs = nodes_by_id["FaceCrop"].INPUT_TYPES()
    every = inputs["required"] | inputs["optional"]
    assert list(inputs["required"]) == ["image", *FIRST]
    assert list(inputs["optional"]) == ["mask", *LATER, "bboxes", "face_landmarks"]
    assert {name: every[name][1]["default"] for name in FIRST | LATER} == FIRST | LATER
    assert all(spec[1].get("tooltip") for spec in every.values())
    assert nodes_by_id["FaceCrop"].RETURN_TYPES == [
        "IMAGE",
        "MASK",
        "BOUNDING_BOX",
        "FACE_LANDMARKS",
        "IMAGE",
        "INT",
    ]
    assert nodes_by_id["FaceCrop"].RETURN_NAMES == [
        "image",
        "mask",
        "bboxes",
        "face_landmarks",
        "preview",
        "picture",
    ]


def test_square_box_of_the_crops_size_gives_the_pixels(crop, portrait):
    crops, _, _ = crop(portrait, x=92, y=25, width=93, height=93, padding=0, size=93)
    assert torch.equal(crops, portrait[:, 25:118, 92:185])


def test_mask_and_bboxes_are_the_box_without_padding(crop, portrait):
    _, masks, bboxes = crop(portrait, **FACE, padding=0.4)
    assert torch.equal(masks > 0.5, painted() > 0.5)
    assert 0 < masks[0, 25, 110] < 1  # soft edge
    assert bboxes == [[FACE]]


def test_mask_gives_the_crop_of_the_same_box(crop, portrait):
    by_box, by_mask = crop(portrait, **FACE), crop(portrait, mask=painted())
    assert torch.equal(by_box[0], by_mask[0])
    assert by_box[2] == by_mask[2]


def test_own_mask_output_fed_back_gives_the_same_crop(crop, portrait):
    crops, masks, _ = crop(portrait, **FACE)
    assert torch.equal(crop(portrait, mask=masks)[0], crops)


@pytest.mark.parametrize("scale", [0.25, 2])
def test_mask_of_another_size_is_scaled_to_the_picture(crop, portrait, scale):
    box = [round(v * scale) for v in (104, 24, 68, 92)]
    _, _, bboxes = crop(portrait, mask=painted(round(H * scale), round(W * scale), *box))
    assert bboxes == [[{"x": 104, "y": 24, "width": 68, "height": 92}]]


def test_typed_box_wins_over_the_mask(crop, portrait):
    assert crop(portrait, **FACE, mask=painted(x=3, y=5, wide=20, tall=30))[2] == [[FACE]]


def test_equal_crops_at_half_the_resolution(crop, portrait):
    half = torch.nn.functional.interpolate(
        portrait.movedim(-1, 1), scale_factor=0.5, mode="area"
    ).movedim(1, -1)
    large, _, _ = crop(portrait, x=104, y=26, width=68, height=92, size=64)
    small, _, _ = crop(half, x=52, y=13, width=34, height=46, size=64)
    assert (large - small).abs().mean() < 0.02


@pytest.mark.parametrize(
    "mask",
    [None, torch.zeros(1, 64, 64), torch.full((1, H, W), 0.5)],
    ids=["none", "empty", "half"],
)
def test_without_box_mask_and_face_the_centre_square_and_a_warning(crop, caplog, mask):
    nobody = torch.rand(1, H, W, 3, generator=torch.Generator().manual_seed(0))
    crops, masks, bboxes = crop(nobody, mask=mask, size=W)
    assert torch.equal(crops, nobody[:, 32 : 32 + W])
    assert masks.eq(1).all()
    assert bboxes == [[{"x": 0, "y": 0, "width": W, "height": H}]]
    assert "finds no face in image 1 of 1" in caplog.text


@pytest.mark.parametrize(
    "mask",
    [None, torch.zeros(1, 64, 64), torch.full((1, H, W), 0.5)],
    ids=["none", "empty", "half"],
)
def test_without_box_and_mask_the_face_is_found(crop, portrait, caplog, mask):
    crops, _, ((box,),) = crop(portrait, mask=mask)
    assert box["label"] == "face"
    assert box["score"] > 0.85
    for name, expected in FACE.items():
        assert box[name] == pytest.approx(expected, abs=8)
    assert (crops - crop(portrait, **FACE)[0]).abs().mean() < 0.1
    assert not caplog.records


@pytest.mark.parametrize(
    ("on_none", "consequence"),
    [
        ("whole image", "the centre square of the whole image is used."),
        ("skip", "it is left out."),
    ],
)
def test_the_node_shows_that_it_found_no_face(nodes_by_id, on_none, consequence):
    nobody = torch.rand(1, H, W, 3, generator=torch.Generator().manual_seed(0))
    output = nodes_by_id["FaceCrop"].execute(nobody, **FIRST | {"on_none": on_none})
    assert output.ui["text"] == (
        "faces found: 0, used: 0 (largest)",
        f"Face Crop finds no face in image 1 of 1: {consequence}",
    )


@pytest.mark.parametrize(
    ("inputs", "note"),
    [
        ({}, "faces found: 2, used: 2 (largest)"),
        (FACE, "faces from the inputs: 2, used: 2"),
    ],
    ids=["found", "typed"],
)
def test_the_node_shows_how_many_faces_it_took(nodes_by_id, portrait, inputs, note):
    pictures = torch.cat((portrait, portrait))
    output = nodes_by_id["FaceCrop"].execute(pictures, **FIRST | inputs)
    assert output.ui["text"] == (note,)


def test_box_says_nothing_in_the_log(crop, portrait, caplog):
    crop(portrait, **FACE)
    assert not caplog.records


def test_batch_takes_one_mask_for_each_picture_and_looks_where_it_is_empty(crop, portrait):
    masks = torch.cat([painted(), torch.zeros(1, H, W), painted(x=90, y=10, wide=90, tall=120)])
    crops, regions, bboxes = crop(portrait.expand(3, -1, -1, -1), mask=masks, size=48)
    assert crops.shape == (3, 48, 48, 3)
    assert regions.shape == (3, H, W)
    assert ["score" in frame[0] for frame in bboxes] == [False, True, False]
    assert [bboxes[0][0]["height"], bboxes[2][0]["height"]] == [93, 120]
    assert torch.equal(crops[:1], crop(portrait, **FACE, size=48)[0])


def test_one_mask_serves_the_whole_batch(crop, portrait):
    crops, _, bboxes = crop(portrait.expand(2, -1, -1, -1), mask=painted(), size=32)
    assert torch.equal(crops[0], crops[1])
    assert bboxes == [[FACE], [FACE]]


@pytest.mark.parametrize(("border", "corner"), [("black", 0.0), ("edge", 0.5), ("shift", 0.5)])
def test_border_past_the_picture(crop, border, corner):
    grey = torch.full((1, H, W, 3), 0.5)
    crops, masks, bboxes = crop(grey, x=-20, y=-30, width=90, height=90, border=border)
    assert crops[0, 0, 0].tolist() == pytest.approx([corner] * 3)
    assert crops[0, -1, -1].tolist() == pytest.approx([0.5] * 3)
    assert masks[0, 0, 0] == 1
    assert bboxes == [[{"x": 0, "y": 0, "width": 70, "height": 60}]]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_alpha_is_dropped_and_grey_is_expanded(crop, portrait, channels):
    picture = (
        torch.cat([portrait, portrait[..., :1]], -1) if channels == 4 else portrait[..., :channels]
    )
    expected = portrait if channels == 4 else portrait[..., :1].expand(-1, -1, -1, 3)
    assert torch.equal(crop(picture, **FACE)[0], crop(expected, **FACE)[0])


def test_one_pixel_picture_works(crop):
    crops, masks, _ = crop(torch.full((1, 1, 1, 3), 0.25), size=16)
    assert crops.shape == (1, 16, 16, 3)
    assert crops.allclose(torch.tensor(0.25))
    assert masks.tolist() == [[[1.0]]]


def test_node_shows_its_crops(nodes_by_id, portrait):
    output = nodes_by_id["FaceCrop"].execute(portrait.expand(2, -1, -1, -1), **(FIRST | FACE))
    assert len(output.ui["images"]) == 2


def holed(value):
    picture = torch.zeros(2, 5, 7, 3)
    picture[1, 2, 3, 0] = value
    return picture


@pytest.mark.parametrize(
    ("image", "inputs", "words"),
    [
        (
            torch.zeros(1, 5, 7, 3),
            {"on_none": "error"},
            ["image 1 of 1", "'on_none'", "whole image"],
        ),
        (
            torch.zeros(2, 5, 7, 3),
            {"on_none": "error", "mask": torch.zeros(1, 5, 7)},
            ["image 1, 2 of 2"],
        ),
        (
            torch.zeros(1, 5, 7, 3),
            {"x": 7, "width": 3, "height": 3},
            ["x 7, y 0, width 3, height 3", "7 x 5 pixels"],
        ),
        (torch.zeros(1, 5, 7, 3), {"y": -3, "width": 3, "height": 3}, ["outside the image"]),
        (torch.zeros(3, 5, 7, 3), {"mask": torch.zeros(2, 5, 7)}, ["3 images", "2 masks"]),
        (holed(torch.nan), {}, ["'image' number 2 of 2", "NaN"]),
        (holed(torch.inf), {}, ["'image' number 2 of 2", "infinite"]),
        (
            torch.zeros(1, 5, 7, 3),
            {"mask": torch.full((1, 5, 7), torch.nan)},
            ["'mask' number 1 of 1", "NaN"],
        ),
        (torch.zeros(0, 5, 7, 3), {}, ["[0, 5, 7, 3]"]),
        (torch.zeros(5, 7), {}, ["[5, 7]"]),
    ],
)
def test_what_cannot_be_cropped_is_said_in_one_sentence(crop, image, inputs, words):
    with pytest.raises(ValueError, match=r"^Face Crop") as error:
        crop(image, **inputs)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
