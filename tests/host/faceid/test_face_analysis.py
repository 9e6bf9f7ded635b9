"""The InsightFace loader of old graphs: a picture in, faces as insightface gives them."""

import numpy
import pytest
import torch
from support.faceid import batch, expected_identity
from support.tolerance import ARITHMETIC, EFFECT, IDENTITY

pytestmark = [
    pytest.mark.host,
    pytest.mark.filterwarnings("ignore:.estimate. is deprecated:FutureWarning"),
]


@pytest.fixture
def analyse(run_old, installed):
    """(picture [H, W, 3], most) -> the faces that the loader's object finds in it, blue first."""
    (analysis,) = run_old("IPAdapterInsightFaceLoader", provider="CPU", model_name="buffalo_l")

    def run(picture, most=0):
        return analysis.get((picture * 255).round().byte().numpy()[..., ::-1], most)

    return run


def test_a_photograph_becomes_a_face_with_the_fields_that_other_packs_read(
    analyse, trained_net, landmarks_of
):
    picture = (batch("one_portrait") * 255).round() / 255
    (face,) = analyse(picture[0])
    assert face.bbox.shape == (4,) and face.kps.shape == (5, 2) and 0 < face.det_score <= 1
    assert face["embedding"] is face.embedding and face.bbox.dtype == numpy.float32
    left, top, right, bottom = face.bbox
    assert ((face.kps > (left, top)) & (face.kps < (right, bottom))).all()
    # Face Crop looks for the largest face alone, and looks more closely
    assert numpy.abs(face.kps - landmarks_of(picture)).max() < 0.05 * (right - left)
    expected = expected_identity(trained_net, picture[0], face.kps)[0]
    found = torch.from_numpy(face.embedding)
    assert (found - expected).abs().max() <= IDENTITY * expected.abs().max()
    assert face.embedding_norm == pytest.approx(numpy.linalg.norm(face.embedding), rel=ARITHMETIC)
    assert numpy.linalg.norm(face.normed_embedding) == pytest.approx(1, abs=ARITHMETIC)


def test_two_people_are_two_faces_and_the_surest_comes_first(analyse):
    people = torch.cat((batch("one_portrait"), batch("one_senator")), 2)[0]
    faces = analyse(people)
    assert len(faces) == 2 and faces[0].det_score >= faces[1].det_score
    assert {bool(face.kps[:, 0].mean() > 640) for face in faces} == {False, True}
    (surest,) = analyse(people, most=1)
    assert numpy.array_equal(surest.embedding, faces[0].embedding)
    assert numpy.abs(faces[0].embedding - faces[1].embedding).max() > EFFECT
