"""FaceCrop looks for the face itself: which one, what if there is none, what other nodes found,
video."""

import math
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.host

FACES = Path(__file__).parent.parent / "data" / "faces"
OUTPUTS = ("image", "mask", "bboxes", "face_landmarks", "preview", "picture")
FIRST = {
    "x": 0,
    "y": 0,
    "width": 0,
    "height": 0,
    "padding": 0.08,
    "size": 64,
    "border": "black",
    "on_none": "whole image",
}
LEFT, MIDDLE, RIGHT = 225, 817, 1282  # where the three people's faces are


@pytest.fixture(autouse=True)
def previews_in_a_folder_of_their_own(nodes_by_id, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))


@pytest.fixture
def crop(nodes_by_id):
    """Runs the node: image -> its outputs by name."""

    def run(image, **inputs):
        output = nodes_by_id["FaceCrop"].execute(image, **(FIRST | inputs))
        return dict(zip(OUTPUTS, output.args, strict=True))

    return run


def photograph(name):
    return torch.from_numpy(numpy.array(Image.open(FACES / f"{name}.jpg")))[None].float() / 255


@pytest.fixture(scope="module")
def people():
    return photograph("three_people")


@pytest.fixture(scope="module")
def portrait():
    return photograph("one_portrait")


@pytest.fixture(scope="module")
def nobody():
    return torch.rand(1, 640, 512, 3, generator=torch.Generator().manual_seed(1))


def centres(found):
    return [[box["x"] + box["width"] / 2 for box in boxes] for boxes in found["bboxes"]]


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
    found = crop(people, **inputs)
    assert centres(found) == [pytest.approx(where, abs=12)]
    assert found["image"].shape == (len(where), 64, 64, 3)
    assert found["mask"].shape == (len(where), *people.shape[1:3])
    assert found["picture"] == [0] * len(where)
    for mask, x in zip(found["mask"], where, strict=True):
        assert mask[:, int(x)].max() == 1
        assert mask.sum() < 0.06 * mask.numel()


def test_inside_a_mask_is_looked_for_the_face(crop, people):
    mask = torch.zeros(1, 8, 20)
    mask[..., :8] = 1
    found = crop(people, which="inside the mask", mask=mask)
    assert centres(found) == [pytest.approx([LEFT], abs=12)]
    with pytest.raises(ValueError, match="no face inside the mask in picture 1 of 1"):
        crop(people, which="inside the mask", mask=torch.zeros(1, 8, 20), on_none="error")
    with pytest.raises(ValueError, match="nothing is connected to 'mask'"):
        crop(people, which="inside the mask")


def test_too_large_a_number_is_said(crop, people):
    with pytest.raises(ValueError, match="fewer than 4 faces in picture 1 of 1"):
        crop(people, which="n-th by size", number=4, on_none="error")


def test_pictures_without_a_face_are_skipped_on_request(crop, portrait, nobody, caplog):
    batch = torch.cat((nobody, portrait, nobody))
    found = crop(batch, on_none="skip")
    assert found["image"].shape == (1, 64, 64, 3)
    assert found["mask"].shape == (1, 640, 512)
    assert found["picture"] == [1]
    assert [len(boxes) for boxes in found["bboxes"]] == [0, 1, 0]
    assert found["preview"].shape == (3, 640, 512, 3)
    assert "no face in picture 1, 3 of 3: it is left out" in caplog.text


def test_with_none_left_the_batch_is_empty_and_the_mask_black(crop, nobody):
    found = crop(nobody, on_none="skip")
    assert found["image"].shape == (0, 64, 64, 3)
    assert found["mask"].shape == (1, 640, 512)
    assert not found["mask"].any()
    assert found["bboxes"] == [[]]
    assert found["picture"] == []


def test_all_of_a_batch_say_where_they_are_from(crop, people):
    blank = torch.zeros_like(people)
    found = crop(torch.cat((people, blank, people)), which="all", on_none="skip")
    assert found["picture"] == [0, 0, 0, 2, 2, 2]
    assert torch.equal(found["image"][:3], found["image"][3:])


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
    found = crop(aligned, padding=0.0)["face_landmarks"]["frames"][0][0]["landmarks_xy"]
    template = (
        numpy.array(pack.ipadapter_core.faces.turned_square.TEMPLATE)
        * size
        / (128 if size == 256 else 112)
    )
    template[:, 0] += size / 16 if size == 256 else 0
    assert numpy.abs(found - template).mean() < 0.03 * size


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
    found = crop(photograph("drawn_sylvie"))
    assert found["bboxes"][0][0]["label"] == "face?"
    assert "not sure that it is a face in picture 1 of 1" in caplog.text


def test_the_node_shows_its_doubts_and_which_face_it_took(nodes_by_id, people):
    output = nodes_by_id["FaceCrop"].execute(people, **FIRST, which="leftmost")
    assert output.ui["text"] == ("faces found: 3, taken: 1 (leftmost)",)
    output = nodes_by_id["FaceCrop"].execute(photograph("drawn_sylvie"))
    assert output.ui["text"][1:] == (
        "not sure that it is a face in picture 1 of 1: look at its 'preview'",
    )


def test_preview_shows_what_was_found(crop, people):
    shown = crop(people)["preview"]
    assert shown.shape == (1, 281, 768, 3)
    green = torch.tensor([60, 220, 60]) / 255
    columns = (shown[0] - green).abs().amax(-1).lt(0.02).any(0).nonzero()
    assert MIDDLE * 768 / 1401 - 60 < columns.min() < columns.max() < MIDDLE * 768 / 1401 + 60


BOX = {"x": 1210, "y": 80, "width": 140, "height": 180, "label": "person", "score": 0.4}


@pytest.mark.parametrize("bboxes", [BOX, [BOX], [[BOX]]], ids=["one", "list", "lists"])
def test_boxes_of_another_node_are_used_in_every_form(crop, people, bboxes):
    found = crop(people, bboxes=bboxes, align="none")
    assert found["bboxes"] == [[{name: BOX[name] for name in ("x", "y", "width", "height")}]]
    typed = crop(people, **{name: BOX[name] for name in ("x", "y", "width", "height")})
    assert torch.equal(found["image"], typed["image"])


def test_boxes_are_chosen_from_and_read_for_their_turn(crop, people):
    boxes = [[BOX, {"x": 180, "y": 62, "width": 90, "height": 112}]]
    assert centres(crop(people, bboxes=boxes, which="leftmost")) == [pytest.approx([LEFT], abs=1)]
    turned = crop(people, bboxes=BOX)["face_landmarks"]["frames"][0][0]["landmarks_xy"]
    roll = math.degrees(math.atan2(*(turned[1] - turned[0])[::-1]))
    assert roll == pytest.approx(6, abs=3)


def test_pictures_for_which_another_node_found_nothing_are_looked_at(crop, people):
    found = crop(torch.cat((people, people)), bboxes=[[BOX], []])
    assert ["score" in boxes[0] for boxes in found["bboxes"]] == [False, True]
    assert centres(crop(people, bboxes=[])) == [pytest.approx([MIDDLE], abs=12)]


def test_landmarks_come_back_in_as_the_same_face(crop, people):
    found = crop(people, which="rightmost")
    again = crop(people, face_landmarks=found["face_landmarks"])
    assert (again["image"] - found["image"]).abs().mean() < 0.03


def mesh(five, size=40.0):
    """A face as MediaPipe gives it: 478 points, of which the pack reads the eyes, the nose and the
    mouth."""
    five = numpy.asarray(five, dtype=numpy.float32)
    points = numpy.tile(five.mean(0), (478, 1)).astype(numpy.float32)
    for corner, point in zip(((33, 133), (362, 263), (1,), (61,), (291,)), five, strict=True):
        points[list(corner)] = point
    points[10, 1] -= size
    points[152, 1] += size
    low, high = points.min(0), points.max(0)
    return {
        "landmarks_xy": points,
        "bbox_xyxy": numpy.concatenate((low, high)),
        "score": 0.7,
    }


def test_mediapipes_landmarks_say_place_and_turn(crop, portrait):
    five = crop(portrait)["face_landmarks"]["frames"][0][0]["landmarks_xy"]
    given = {"frames": [[mesh(five, 90)]], "image_size": (640, 512), "connection_sets": {}}
    found = crop(portrait, face_landmarks=given, align="ArcFace", size=112)
    assert (found["image"] - crop(portrait, align="ArcFace", size=112)["image"]).abs().mean() < 0.01
    half = {**given, "frames": [[mesh(five / 2, 45)]], "image_size": (320, 256)}
    scaled = crop(portrait, face_landmarks=half, align="ArcFace", size=112)
    assert (found["image"] - scaled["image"]).abs().max() < 0.01


def test_the_hosts_own_nodes_take_the_outputs(crop, people):
    mediapipe = pytest.importorskip(
        "comfy_extras.nodes_mediapipe", reason="this ComfyUI has no MediaPipe nodes"
    )
    found = crop(people, which="all")
    (mask,) = mediapipe.MediaPipeFaceMask.execute(found["face_landmarks"], {"regions": "all"}).args
    assert mask.shape == (1, 512, 1401)
    assert all(mask[0, :, x].any() for x in (LEFT, MIDDLE, RIGHT))
    (drawn,) = mediapipe.MediaPipeFaceMeshVisualize.execute(
        found["face_landmarks"], {"connections": "all"}, "#00ff00", 2, 4, people
    ).args
    assert (drawn != people).any()


def moving(portrait, positions):
    """The portrait's head on grey, at (x, y, share of its size) of each frame."""
    frames = []
    for x, y, share in positions:
        head = torch.nn.functional.interpolate(
            portrait[:, 20:290, 150:410].movedim(-1, 1), scale_factor=share, mode="area"
        )[0].movedim(0, -1)
        frame = torch.full((400, 640, 3), 0.5)
        frame[y : y + head.shape[0], x : x + head.shape[1]] = head
        frames.append(frame)
    return torch.stack(frames)


def test_video_keeps_the_person_and_fills_the_gaps(crop, portrait):
    mine = moving(portrait, [(20 + 12 * n, 90, 0.6) for n in range(6)])
    other = moving(portrait, [(440, 100, 0.5 + 0.05 * n) for n in range(6)])
    video = torch.where(mine == 0.5, other, mine)
    video[3] = 0.5  # a cut to grey: nobody
    wandering = crop(video, on_none="skip")
    assert centres(wandering)[5][0] > 400  # the other has become the largest
    kept = crop(video, which="leftmost", follow=True, on_none="skip")
    xs = [x for frame in centres(kept) for x in frame]
    assert kept["picture"] == [0, 1, 2, 4, 5]
    assert numpy.diff(xs[:3]) == pytest.approx([12, 12], abs=4)
    filled = crop(video, which="leftmost", follow=True, fill_gaps=True)
    assert filled["picture"] == list(range(6))
    assert centres(filled)[3][0] == pytest.approx((xs[2] + xs[3]) / 2, abs=2)


def test_smoothing_calms_a_trembling_video(crop, portrait):
    video = moving(portrait, [(150 + 6 * (n % 2), 90, 0.6) for n in range(6)])
    raw = centres(crop(video, follow=True))
    smooth = centres(crop(video, follow=True, smooth=2.0))
    assert abs(smooth[2][0] - smooth[3][0]) < 0.5 * abs(raw[2][0] - raw[3][0])


def test_searching_keeps_no_pictures(pack, portrait):
    """What grows with the number of frames are boxes and landmarks: some numbers each."""
    search, settings = pack.nodes.face.search.search, pack.nodes.face.settings.FaceCropSettings
    results = search(portrait.expand(3, -1, -1, -1), None, None, None, settings(follow=True))
    landmarks = [
        face.landmarks for result in results for face in (*result.faces, *result.chosen_faces)
    ]
    assert len(landmarks) == 6
    assert all(points.untyped_storage().nbytes() < 2000 for points in landmarks)


def landmarks_for(frames):
    return {"frames": [[]] * frames, "image_size": (8, 8), "connection_sets": {}}


NAN = float("nan")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"bboxes": [[BOX], [BOX], [BOX]]}, ["2 pictures", "'bboxes' is for 3"]),
        ({"bboxes": {**BOX, "x": 9000}}, ["'bboxes'", "outside the picture of 512 x 640"]),
        ({"bboxes": {**BOX, "width": 0}}, ["'bboxes'", "empty"]),
        ({"bboxes": {**BOX, "y": NAN}}, ["'bboxes'", "nan"]),
        ({"face_landmarks": landmarks_for(3)}, ["2 pictures", "'face_landmarks' is for 3"]),
        ({"follow": True, "which": "all"}, ["'follow'", "one person"]),
        ({"mask": torch.zeros(1, 0, 4)}, ["'mask' holds no pixels", "[1, 0, 4]"]),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(crop, nobody, inputs, words):
    with pytest.raises(ValueError, match=r"^Face Crop") as error:
        crop(nobody.expand(2, -1, -1, -1), **inputs)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_pictures_of_different_sizes_are_refused_in_one_sentence(crop, portrait):
    with pytest.raises(ValueError, match="pictures of one size in one batch, found a list"):
        crop([portrait, portrait[:, 1:]])
