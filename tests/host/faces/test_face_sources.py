"""Faces that other nodes found, instead of detecting."""

import math

import numpy
import pytest
import torch
from support.faces import BOX, LEFT, MIDDLE, RIGHT, centres

pytestmark = pytest.mark.host


@pytest.mark.parametrize("bboxes", [BOX, [BOX], [[BOX]]], ids=["one", "list", "lists"])
def test_boxes_of_another_node_are_used_in_every_form(crop, people, bboxes):
    result = crop(people, bboxes=bboxes, align="none")
    assert result["bboxes"] == [[{name: BOX[name] for name in ("x", "y", "width", "height")}]]
    typed = crop(people, **{name: BOX[name] for name in ("x", "y", "width", "height")})
    assert torch.equal(result["image"], typed["image"])


def test_boxes_are_chosen_from_and_read_for_their_turn(crop, people):
    boxes = [[BOX, {"x": 180, "y": 62, "width": 90, "height": 112}]]
    assert centres(crop(people, bboxes=boxes, which="leftmost")) == [pytest.approx([LEFT], abs=1)]
    rotated = crop(people, bboxes=BOX)["face_landmarks"]["frames"][0][0]["landmarks_xy"]
    roll = math.degrees(math.atan2(*(rotated[1] - rotated[0])[::-1]))
    assert roll == pytest.approx(6, abs=3)


def test_pictures_for_which_another_node_found_nothing_are_looked_at(crop, people):
    result = crop(torch.cat((people, people)), bboxes=[[BOX], []])
    assert ["score" in boxes[0] for boxes in result["bboxes"]] == [False, True]
    assert centres(crop(people, bboxes=[])) == [pytest.approx([MIDDLE], abs=12)]


def test_landmarks_come_back_in_as_the_same_face(crop, people):
    result = crop(people, which="rightmost")
    again = crop(people, face_landmarks=result["face_landmarks"])
    assert (again["image"] - result["image"]).abs().mean() < 0.03


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
    inputs = {"frames": [[mesh(five, 90)]], "image_size": (640, 512), "connection_sets": {}}
    result = crop(portrait, face_landmarks=inputs, align="ArcFace", size=112)
    assert (
        result["image"] - crop(portrait, align="ArcFace", size=112)["image"]
    ).abs().mean() < 0.01
    half = {**inputs, "frames": [[mesh(five / 2, 45)]], "image_size": (320, 256)}
    scaled = crop(portrait, face_landmarks=half, align="ArcFace", size=112)
    assert (result["image"] - scaled["image"]).abs().max() < 0.01


def test_the_hosts_own_nodes_take_the_outputs(crop, people):
    mediapipe = pytest.importorskip(
        "comfy_extras.nodes_mediapipe", reason="this ComfyUI has no MediaPipe nodes"
    )
    result = crop(people, which="all")
    (mask,) = mediapipe.MediaPipeFaceMask.execute(result["face_landmarks"], {"regions": "all"}).args
    assert mask.shape == (1, 512, 1401)
    assert all(mask[0, :, x].any() for x in (LEFT, MIDDLE, RIGHT))
    (drawn,) = mediapipe.MediaPipeFaceMeshVisualize.execute(
        result["face_landmarks"], {"connections": "all"}, "#00ff00", 2, 4, people
    ).args
    assert (drawn != people).any()
