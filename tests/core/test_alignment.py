"""Aligned crops are those of insightface's `norm_crop`, and go into the net as its `ArcFaceONNX`
puts them there."""

from math import cos, pi, radians, sin
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
from PIL import Image
from support import arcface
from support.tolerance import IDENTITY, PLACE

from ipadapter_core.faces.identity import alignment, recognisers
from ipadapter_core.faces.turned_square import TEMPLATE, template_points, to_picture

# insightface 2.1 asks scikit-image in a way that this will drop
pytestmark = pytest.mark.filterwarnings("ignore:.estimate. is deprecated:FutureWarning")

FACES = Path(__file__).parent.parent / "data" / "faces"
# where the eyes, the nose and the mouth of a picture are, read by hand
PORTRAIT = ((247.0, 122.0), (302.0, 122.0), (275.0, 158.0), (253.0, 183.0), (298.0, 183.0))


@pytest.fixture(scope="module")
def picture():
    return numpy.array(Image.open(FACES / "one_portrait.jpg").convert("RGB"))


def landmarks(angle=0.0, scale=1.0, shift=(0.0, 0.0), seed=0):
    """The portrait's, turned about their centre, scaled, moved, and a little off."""
    points = torch.tensor(PORTRAIT)
    centre = points.mean(0)
    turn = torch.tensor([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(seed)) * 2 * scale
    return (points - centre) @ turn.T * scale + centre + torch.tensor(shift) + noise


CASES = [
    {},
    {"angle": radians(20)},
    {"angle": radians(-100), "scale": 1.7},
    {"angle": pi, "scale": 0.3},
    {"scale": 2.2, "shift": (-180.0, -90.0)},  # past the border
    {"shift": (4000.0, 0.0)},  # outside
]


def matrix_of(points, crop_side):
    """Our crop as the matrix that takes the picture's pixels to the crop's, both counted from the
    middle of the first."""
    square = alignment.identity_square(points, crop_side)
    corners = torch.tensor([[0.0, 0], [crop_side, 0], [0, crop_side]], dtype=torch.float64) + 0.5
    source = to_picture(square, corners, crop_side) - 0.5
    homogeneous = torch.cat((source, torch.ones(3, 1)), 1)
    return torch.linalg.solve(homogeneous, corners - 0.5).T.numpy()


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("crop_side", [112, 224, 256])
def test_similarity_is_that_of_scikit_image(case, crop_side):
    transform = pytest.importorskip("skimage.transform", reason="scikit-image is not installed")
    points = landmarks(**case)
    template = template_points(crop_side).numpy()
    expected = transform.SimilarityTransform.from_estimate(points.numpy(), template)
    assert matrix_of(points, crop_side) == pytest.approx(expected.params[:2], abs=PLACE)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("crop_side", [112, 224, 256])
def test_crop_is_that_of_norm_crop(picture, case, crop_side):
    """But for values half-way between two steps, which rounding may part."""
    align = pytest.importorskip("insightface.utils.face_align", reason="no insightface")
    points = landmarks(**case)
    expected = align.norm_crop(picture, points.numpy(), crop_side)
    crop = alignment.align_face(torch.from_numpy(picture).float() / 255, points, crop_side)
    difference = (crop * 255 - torch.from_numpy(expected)).abs()
    assert difference.max() < 1.01
    assert difference.mean() < 0.01


def test_past_the_border_is_black(picture):
    pixels = torch.from_numpy(picture).float() / 255 + 0.1
    crop = alignment.align_face(pixels, landmarks(scale=2.2, shift=(-180.0, -90.0)))
    assert (crop[:40, :40] == 0).all()
    assert (crop[60:, 80:] > 0).all()


def test_landmarks_come_to_lie_on_the_template():
    points = torch.tensor(TEMPLATE) * 3 + 40
    square = alignment.identity_square(points)
    crop_points = torch.tensor(TEMPLATE) + 0.5
    torch.testing.assert_close(to_picture(square, crop_points, 112), points + 0.5)


def test_embedding_is_that_of_arcface_onnx(picture, tmp_path):
    """Crop, order of colours, mean and scale; of a file that both open."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    arcface_onnx = pytest.importorskip(
        "insightface.model_zoo.arcface_onnx", reason="no insightface"
    )
    path = tmp_path / "shallow.onnx"
    path.write_bytes(arcface.onnx_file(arcface.random_net()))
    recogniser = arcface_onnx.ArcFaceONNX(str(path))
    recogniser.prepare(-1)
    blue_first = numpy.ascontiguousarray(picture[..., ::-1])
    crop = arcface_crop(blue_first)
    expected = torch.from_numpy(recogniser.get_feat(crop))

    net = recognisers.build_recogniser(recognisers.read_onnx_recogniser(path.read_bytes()))
    same_crop = torch.from_numpy(crop[..., ::-1].copy()).float() / 255
    embedding = recognisers.embed(net, same_crop[None])
    torch.testing.assert_close(embedding, expected, atol=IDENTITY, rtol=0)

    face = SimpleNamespace(kps=landmarks().numpy())
    expected = torch.from_numpy(recogniser.get(blue_first, face))
    own_crop = alignment.align_face(torch.from_numpy(picture).float() / 255, landmarks())
    (embedding,) = recognisers.embed(net, own_crop[None])
    assert torch.cosine_similarity(embedding, expected, dim=0) > 0.9999


def arcface_crop(blue_first):
    align = pytest.importorskip("insightface.utils.face_align", reason="no insightface")
    return align.norm_crop(blue_first, landmarks().numpy(), 112)
