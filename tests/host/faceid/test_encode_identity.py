"""Encode Face Identity: embeds for every node that takes them, similarity, and a strip of faces."""

from types import SimpleNamespace

import numpy
import pytest
import torch
from support.compare import difference
from support.faceid import FACEID, PLUS, PORTRAIT, StandInAnalysis, batch
from support.tolerance import EFFECT, IDENTITY, SAMPLING

pytestmark = pytest.mark.host

FACE_IDENTITY, HIDDEN = "face_identity", "penultimate_hidden_states"


def identity(encoded):
    return encoded["embeds"].features[FACE_IDENTITY]


def test_its_embeds_act_as_the_picture_does(apply_faces, encode_identity, installed, sample):
    pictures = batch("one_portrait", "one_senator")
    encoded = encode_identity(pictures)
    found = apply_faces(PORTRAIT, embeds=encoded["embeds"])
    expected = apply_faces(PORTRAIT, image=pictures)
    assert torch.equal(sample(found.args[0]), sample(expected.args[0]))
    half = apply_faces(PORTRAIT, embeds=encode_identity(pictures, weight=0.5)["embeds"])
    assert difference(sample(half.args[0]), sample(expected.args[0])) > EFFECT


def test_similarity_is_the_cosine(encode_identity, installed):
    portrait, senator = batch("one_portrait"), batch("one_senator")
    same = encode_identity(portrait, compare_with=portrait)
    assert same["similarity"] == pytest.approx(1, abs=IDENTITY)
    other = encode_identity(portrait, compare_with=senator)
    pair = identity(encode_identity(portrait)), identity(encode_identity(senator))
    expected = float(torch.cosine_similarity(*pair))
    assert expected < 0.999
    assert other["similarity"] == pytest.approx(expected, abs=IDENTITY)
    assert f"similarity: {expected:.3f}" in other["ui"]["text"]
    among = encode_identity(torch.cat((portrait, senator)))
    assert among["similarity"] == pytest.approx(expected, abs=IDENTITY)
    several = encode_identity(torch.cat((portrait, senator)), compare_with=portrait)
    assert several["similarity"] == pytest.approx((1 + expected) / 2, abs=IDENTITY)


def test_the_strip_shows_the_aligned_faces(encode_identity, installed):
    portrait, senator = batch("one_portrait"), batch("one_senator")
    strip = encode_identity(torch.cat((portrait, senator)), compare_with=senator)["faces"]
    assert strip.shape == (1, 448, 448, 3)
    crops = encode_identity(portrait)["faces"]
    assert torch.equal(strip[:, :224, :224], crops)
    assert torch.equal(strip[:, 224:, :224], strip[:, :224, 224:])
    assert (strip[:, 224:, 224:] == 0).all()
    assert encode_identity(portrait.repeat(9, 1, 1, 1))["faces"].shape == (1, 448, 8 * 224, 3)


def test_plus_needs_the_encoder_and_gets_both_features(
    adapters, encode_identity, apply_faces, installed, shallow, sample
):
    adapter, picture = adapters(PLUS)[0], batch("one_portrait")
    encoded = encode_identity(picture, ipadapter=adapter, clip_vision=shallow)
    assert {name: list(value.shape) for name, value in encoded["embeds"].features.items()} == {
        FACE_IDENTITY: [1, 512],
        HIDDEN: [1, 257, 1280],
    }
    embeds = {"embeds": encoded["embeds"], "embeds_negative": encoded["embeds_negative"]}
    expected = apply_faces(PLUS, image=picture, clip_vision=shallow)
    assert torch.equal(sample(apply_faces(PLUS, **embeds).args[0]), sample(expected.args[0]))
    assert torch.equal(
        sample(apply_faces(FACEID, **embeds).args[0]),  # takes what it needs of it
        sample(apply_faces(FACEID, image=picture).args[0]),
    )
    with pytest.raises(ValueError, match=r"connect 'clip_vision' of Encode Face"):
        encode_identity(picture, ipadapter=adapter)
    alone = encode_identity(picture, ipadapter=adapters(FACEID)[0], clip_vision=shallow)
    assert set(alone["embeds"].features) == {FACE_IDENTITY}
    with pytest.raises(ValueError, match="does not take the identity of a face: use Encode IPA"):
        encode_identity(picture, ipadapter=adapters("ip-adapter_sd15")[0])
    with pytest.raises(ValueError, match=r"needs .*, but 'embeds' was encoded by "):
        apply_faces(PLUS, embeds=alone["embeds"])


def test_saved_faces_are_loaded_and_combined(
    nodes_by_id, adapters, encode_identity, apply_faces, installed, shallow, sample
):
    adapter = adapters(PLUS)[0]
    encoded = [
        encode_identity(batch(name), ipadapter=adapter, clip_vision=shallow)
        for name in ("one_portrait", "one_senator")
    ]
    node = nodes_by_id["SaveIPAdapterEmbeds"]
    (file,) = node.execute(encoded[0]["embeds"], "a/face", encoded[0]["embeds_negative"]).ui["text"]
    loaded, negative = nodes_by_id["LoadIPAdapterEmbeds"].execute(f"{file} [output]").args
    assert loaded.notes["recogniser"] == "w600k_r50"
    first, other = (
        sample(apply_faces(PLUS, embeds=embeds, embeds_negative=negative).args[0])
        for embeds in (loaded, encoded[0]["embeds"])
    )
    assert torch.equal(first, other)
    combined = nodes_by_id["CombineIPAdapterEmbeds"].execute(
        {"embeds0": loaded, "embeds1": encoded[1]["embeds"]}, "concat", "before"
    )
    both = apply_faces(PLUS, image=batch("one_portrait", "one_senator"), clip_vision=shallow)
    found = apply_faces(PLUS, embeds=combined.args[0], embeds_negative=negative)
    assert difference(sample(found.args[0]), sample(both.args[0])) < SAMPLING


def test_faces_of_another_recogniser_are_refused(
    pack, adapters, encode_identity, apply_faces, installed
):
    embeds = encode_identity(batch("one_portrait"))["embeds"]
    embeds.notes["recogniser"] = "glintr100"
    with pytest.raises(
        ValueError, match=r"the face recogniser w600k_r50, but 'embeds' was encoded by glintr100"
    ):
        apply_faces(embeds=embeds)


def test_faces_in_a_region_act_as_in_apply(
    nodes_by_id, adapters, models, apply_faces, encode_identity, installed, sample
):
    embeds = encode_identity(batch("one_portrait"))["embeds"]
    region = nodes_by_id["IPAdapterRegion"].execute(
        adapters(FACEID)[0], 1.0, 0.0, 1.0, "crop", embeds=embeds
    )
    model = nodes_by_id["ApplyIPAdapterRegions"].execute(
        models("sd15"), {"region0": region.args[0]}, 0, "normalised"
    )
    expected = apply_faces(embeds=embeds)
    assert difference(sample(model.args[0]), sample(expected.args[0])) < SAMPLING


def test_landmarks_of_other_nodes_are_taken(encode_identity, installed, landmarks_of):
    """Of Face Crop, and of an INSIGHTFACE object, which is shown blue first."""
    picture = batch("one_portrait")
    expected = identity(encode_identity(picture))
    points = landmarks_of(picture)
    marks = {
        "landmarks_xy": points,
        "bbox_xyxy": numpy.array([180, 40, 370, 240], numpy.float32),
    }
    connected = {"frames": [[marks]], "image_size": (640, 640)}
    found = identity(encode_identity(picture, face_landmarks=connected))
    assert difference(found, expected) < IDENTITY

    small = SimpleNamespace(kps=points * 0.1, bbox=numpy.array([0, 0, 9, 9]), det_score=0.9)
    large = SimpleNamespace(kps=points, bbox=numpy.array([180, 40, 370, 240]), det_score=0.5)
    analysis = StandInAnalysis(small, large)
    found = identity(encode_identity(picture, insightface=analysis))
    assert difference(found, expected) < IDENTITY
    (shown,) = analysis.pictures
    pixels = (picture[0] * 255).round().byte().numpy()
    assert shown.dtype == numpy.uint8 and (shown == pixels[..., ::-1]).all()
    with pytest.raises(ValueError, match="shows no face"):
        encode_identity(picture, insightface=StandInAnalysis())


def test_empty_batches_and_wrong_links_are_one_sentence(encode_identity, installed):
    with pytest.raises(ValueError, match="got an empty 'image': connect an image"):
        encode_identity(torch.zeros(0, 8, 8, 3))
    picture = batch("one_portrait")
    with pytest.raises(ValueError, match="got an empty 'compare_with': connect an image"):
        encode_identity(picture, compare_with=torch.zeros(0, 8, 8, 3))
    with pytest.raises(ValueError, match="'compare_with' shows no face"):
        encode_identity(picture, compare_with=batch("no_face_cat"))
    for name, value in {"insightface": {"a": 1}, "face_landmarks": [1]}.items():
        with pytest.raises(ValueError, match=rf"Encode Face Identity's '{name}' got a"):
            encode_identity(picture, **{name: value})
