"""FaceCrop looks for the face itself: which one, and what if there is none."""

import numpy
import pytest
import torch
from support.faces import BOX, FIRST, LEFT, MIDDLE, RIGHT, centres
from support.pictures import face_photograph

pytestmark = pytest.mark.host


@pytest.mark.parametrize(
    ("inputs", "where"),
    [
        ({}, [MIDDLE]),
        ({"which": "leftmost"}, [LEFT]),
        ({"which": "rightmost"}, [RIGHT]),
        ({"which": "most central"}, [MIDDLE]),
        ({"which": "n-th by size", "number": 2}, [RIGHT]),
        ({"which": "n-th by size", "number": 3}, [LEFT]),
        ({"which": "all"}, [MIDDLE, RIGHT, LEFT]),
    ],
)
def test_one_of_three_people_or_all(crop, people, inputs, where):
    result = crop(people, **inputs)
    assert centres(result) == [pytest.approx(where, abs=12)]
    assert result["image"].shape == (len(where), 64, 64, 3)
    assert result["mask"].shape == (len(where), *people.shape[1:3])
    assert result["picture"] == [0] * len(where)
    for mask, x in zip(result["mask"], where, strict=True):
        assert mask[:, int(x)].max() == 1
        assert mask.sum() < 0.06 * mask.numel()


def test_inside_a_mask_is_looked_for_the_face(crop, people):
    mask = torch.zeros(1, 8, 20)
    mask[..., :8] = 1
    result = crop(people, which="inside the mask", mask=mask)
    assert centres(result) == [pytest.approx([LEFT], abs=12)]
    with pytest.raises(ValueError, match="no face inside the mask in image 1 of 1"):
        crop(people, which="inside the mask", mask=torch.zeros(1, 8, 20), on_none="error")
    with pytest.raises(ValueError, match="nothing is connected to 'mask'"):
        crop(people, which="inside the mask")


def test_too_large_a_number_is_said(crop, people):
    with pytest.raises(ValueError, match="fewer than 4 faces in image 1 of 1"):
        crop(people, which="n-th by size", number=4, on_none="error")


def test_pictures_without_a_face_are_skipped_on_request(crop, portrait, nobody, caplog):
    batch = torch.cat((nobody, portrait, nobody))
    result = crop(batch, on_none="skip")
    assert result["image"].shape == (1, 64, 64, 3)
    assert result["mask"].shape == (1, 640, 512)
    assert result["picture"] == [1]
    assert [len(boxes) for boxes in result["bboxes"]] == [0, 1, 0]
    assert result["preview"].shape == (3, 640, 512, 3)
    assert "no face in image 1, 3 of 3: it is left out" in caplog.text


def test_with_none_left_the_batch_is_empty_and_the_mask_black(crop, nobody):
    result = crop(nobody, on_none="skip")
    assert result["image"].shape == (0, 64, 64, 3)
    assert result["mask"].shape == (1, 640, 512)
    assert not result["mask"].any()
    assert result["bboxes"] == [[]]
    assert result["picture"] == []


def test_all_of_a_batch_say_where_they_are_from(crop, people):
    blank = torch.zeros_like(people)
    result = crop(torch.cat((people, blank, people)), which="all", on_none="skip")
    assert result["picture"] == [0, 0, 0, 2, 2, 2]
    assert torch.equal(result["image"][:3], result["image"][3:])


def test_upright_and_arcface_turn_the_face_and_none_does_not(crop, portrait):
    sideways = portrait.rot90(1, (1, 2))
    straight = crop(portrait)["image"]
    assert (crop(sideways)["image"] - straight).abs().mean() < 0.03
    lying = crop(sideways, align="none")["image"]
    assert (lying.rot90(-1, (1, 2)) - straight).abs().mean() < 0.05


@pytest.mark.parametrize("size", [112, 224, 256])
@pytest.mark.parametrize("turns", [0, 1])
def test_arcface_puts_the_landmarks_where_the_template_has_them(pack, crop, portrait, size, turns):
    picture = portrait.rot90(turns, (1, 2))
    aligned = crop(picture, align="ArcFace", size=size)["image"]
    result = crop(aligned, padding=0.0)["face_landmarks"]["frames"][0][0]["landmarks_xy"]
    template = (
        numpy.array(pack.ipadapter_core.faces.turned_square.TEMPLATE)
        * size
        / (128 if size == 256 else 112)
    )
    template[:, 0] += size / 16 if size == 256 else 0
    assert numpy.abs(result - template).mean() < 0.03 * size


def test_arcface_of_a_typed_box_looks_for_the_landmarks_in_it(crop, portrait):
    box = {"x": 208, "y": 50, "width": 137, "height": 187}
    by_box = crop(portrait, **box, align="ArcFace")
    assert (by_box["image"] - crop(portrait, align="ArcFace")["image"]).abs().mean() < 0.04
    assert "score" not in by_box["bboxes"][0][0]


@pytest.mark.parametrize(
    ("shape", "size"),
    [("square", (64, 64)), ("portrait 3:4", (64, 48)), ("landscape 4:3", (64, 86))],
)
def test_shapes_show_the_same_face_at_the_same_scale(crop, portrait, shape, size):
    shaped, square = crop(portrait, shape=shape)["image"], crop(portrait)["image"]
    assert shaped.shape[1:3] == size
    middle = [image[0, :, image.shape[2] // 2 - 20 :][:, :40] for image in (shaped, square)]
    assert (middle[0] - middle[1]).abs().mean() < 0.02


def test_a_doubtful_face_says_so(crop, caplog):
    result = crop(face_photograph("drawn_sylvie"))
    assert result["bboxes"][0][0]["label"] == "face?"
    assert "the face in image 1 of 1 is uncertain" in caplog.text


def test_the_node_shows_its_doubts_and_which_face_it_took(nodes_by_id, people):
    output = nodes_by_id["FaceCrop"].execute(people, **FIRST, which="leftmost")
    assert output.ui["text"] == ("faces found: 3, used: 1 (leftmost)",)
    output = nodes_by_id["FaceCrop"].execute(face_photograph("drawn_sylvie"))
    assert output.ui["text"][1:] == (
        "the face in image 1 of 1 is uncertain: look at its 'preview'",
    )


def test_preview_shows_what_was_found(crop, people):
    displayed = crop(people)["preview"]
    assert displayed.shape == (1, 281, 768, 3)
    green = torch.tensor([60, 220, 60]) / 255
    columns = (displayed[0] - green).abs().amax(-1).lt(0.02).any(0).nonzero()
    assert MIDDLE * 768 / 1401 - 60 < columns.min() < columns.max() < MIDDLE * 768 / 1401 + 60


def landmarks_for(frames):
    return {"frames": [[]] * frames, "image_size": (8, 8), "connection_sets": {}}


NAN = float("nan")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"bboxes": [[BOX], [BOX], [BOX]]}, ["2 images", "'bboxes' is for 3"]),
        ({"bboxes": {**BOX, "x": 9000}}, ["'bboxes'", "outside the image of 512 x 640"]),
        ({"bboxes": {**BOX, "width": 0}}, ["'bboxes'", "empty"]),
        ({"bboxes": {**BOX, "y": NAN}}, ["'bboxes'", "nan"]),
        ({"face_landmarks": landmarks_for(3)}, ["2 images", "'face_landmarks' is for 3"]),
        ({"follow": True, "which": "all"}, ["'follow'", "one person"]),
        ({"mask": torch.zeros(1, 0, 4)}, ["'mask' must be masks of shape", "[1, 0, 4]"]),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(crop, nobody, inputs, words):
    with pytest.raises(ValueError, match=r"^Face Crop") as error:
        crop(nobody.expand(2, -1, -1, -1), **inputs)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_list_of_pictures_is_refused_in_one_sentence(crop, portrait):
    with pytest.raises(ValueError, match="'image' got a list: connect the IMAGE output"):
        crop([portrait, portrait[:, 1:]])
