"""Apply IPAdapter with a FaceID adapter and a picture: the face is found, aligned and read."""

import counters
import pytest
import torch
from support import arcface
from support.compare import difference
from support.faceid import (
    FACEID,
    PLUS,
    PORTRAIT,
    UNNORM,
    batch,
    expected_identity,
    insightface_crop,
)
from support.tolerance import ARITHMETIC, EFFECT, SAMPLING

pytestmark = [
    pytest.mark.host,
    pytest.mark.filterwarnings("ignore:.estimate. is deprecated:FutureWarning"),
]


@pytest.fixture
def references_of(pack):
    def run(features):
        count = len(next(iter(features.values())))
        return pack.nodes.sockets.References(features, (1.0,) * count)

    return run


@pytest.fixture
def identities(installed, trained_net, landmarks_of):
    """(pictures [B, H, W, 3]) -> what the recogniser of the folder has to make of their faces."""
    pytest.importorskip("insightface", reason="no insightface")

    def run(pictures):
        faces = [(picture[0], landmarks_of(picture)) for picture in pictures.split(1)]
        return torch.cat([expected_identity(trained_net, *face) for face in faces])

    return run


@pytest.mark.parametrize("name", [FACEID, PORTRAIT])
@pytest.mark.parametrize("count", [1, 3])
def test_a_picture_acts_as_the_identity_of_its_face(
    apply_faces, installed, identities, references_of, sample, name, count
):
    """The identity by insightface's crop and the net as it was trained; several side by side."""
    pictures = batch("one_portrait", "one_senator", "one_speaker")[:count]
    found = apply_faces(name, image=pictures)
    features = identities(pictures)
    expected = apply_faces(name, embeds=references_of({"face_identity": features}))
    results = sample(found.args[0]), sample(expected.args[0])
    plain = sample(apply_faces(name, image=pictures, weight=0.0).args[0])
    effect = difference(results[1], plain)
    assert effect > EFFECT
    assert difference(*results) < 0.02 * effect  # cv2 rounds its coordinates


def test_the_raw_identity_goes_into_an_adapter_that_takes_it_raw(
    pack, hollow_adapter, installed, encode_identity
):
    pair = pack.nodes.references.pair
    embeds = encode_identity(batch("one_portrait"))["embeds"]
    raw = embeds.features["face_identity"]
    assert raw.norm() > 2
    fitted = pair.references_for(embeds, hollow_adapter(UNNORM), "embeds")
    assert fitted.features["face_identity"] is raw
    fitted = pair.references_for(embeds, hollow_adapter(FACEID), "embeds")
    result = fitted.features["face_identity"]
    torch.testing.assert_close(result, raw / raw.norm(), atol=ARITHMETIC, rtol=0)


def test_plus_takes_the_aligned_crop_through_the_encoder_too(
    apply_faces, identities, landmarks_of, references_of, shallow, sample
):
    picture = batch("one_portrait")
    found = apply_faces(PLUS, image=picture, clip_vision=shallow)
    features = identities(picture)
    crop = insightface_crop(picture[0], landmarks_of(picture), 224)[None]
    hidden = shallow.encode_image(crop).penultimate_hidden_states
    both = references_of({"face_identity": features, "penultimate_hidden_states": hidden})
    expected = apply_faces(PLUS, embeds=both, clip_vision=shallow)
    results = sample(found.args[0]), sample(expected.args[0])
    plain = sample(apply_faces(PLUS, image=picture, clip_vision=shallow, weight=0.0).args[0])
    effect = difference(results[1], plain)
    assert effect > EFFECT
    assert difference(*results) < 0.05 * effect


def test_sdxl_crops_wider_as_insightface_does(pack, installed, hollow_adapter, landmarks_of):
    picture = batch("one_portrait")
    module = pack.nodes.references.face_identity
    name = "ip-adapter-faceid-portrait_sdxl"
    encoder = module.FaceEncoder("A node", hollow_adapter(name))
    source = pack.nodes.references.side_inputs.FaceSource("A node", "image")
    crops = encoder.encode(picture, source).crops
    expected = insightface_crop(picture[0], landmarks_of(picture), 256)
    assert crops.shape == (1, 256, 256, 3)
    assert (crops[0] - expected).abs().mean() < 0.002


@pytest.mark.parametrize("name", [FACEID, PLUS])
def test_the_negative_side_is_an_empty_identity(pack, adapters, shallow, name):
    adapter, _ = adapters(name)
    pair = pack.nodes.references.pair
    negative = pair.unconditional(adapter, shallow)
    assert negative.features["face_identity"].eq(0).all()
    if name == PLUS:
        zeros = pack.nodes.references.encode.encode_zeros(shallow).penultimate_hidden_states
        assert torch.equal(negative.features["penultimate_hidden_states"], zeros)


def test_a_picture_without_a_face_is_left_out_and_named(apply_faces, installed, sample):
    both = apply_faces(image=batch("one_portrait", "no_face_coffee", "one_senator"))
    faces = apply_faces(image=batch("one_portrait", "one_senator"))
    assert torch.equal(sample(both.args[0]), sample(faces.args[0]))
    assert "image: no face in image 2 of 3, which is left out." in both.ui["text"]
    count = "image: faces found: 2 (recogniser: IResNet50, not one of the published files)"
    assert count in both.ui["text"]
    assert len(both.ui["images"]) == 2


@pytest.mark.parametrize("names", [["no_face_coffee"], ["no_face_coffee", "no_face_cat"]])
def test_without_any_face_it_stops_with_a_sentence(apply_faces, installed, names):
    with pytest.raises(ValueError, match=r"^Apply IPAdapter's 'image' shows no face .*front\.$"):
        apply_faces(image=batch(*names))


def test_each_frame_needs_its_own_face(apply_faces, installed, sample):
    pictures = batch("one_portrait", "no_face_coffee", "one_senator")
    mode = "one for each picture"
    with pytest.raises(ValueError, match=r"in image 2 of 3, but each image of the batch must"):
        apply_faces(image=pictures, batch=mode)
    by_frame = sample(apply_faces(image=pictures[[0, 2]], batch=mode).args[0], batch=2)
    alone = sample(apply_faces(image=pictures[[2, 2]].clone(), batch=mode).args[0], batch=2)
    assert difference(by_frame[1], alone[1]) < SAMPLING
    assert difference(by_frame[0], alone[0]) > EFFECT


def test_a_face_that_is_too_small_is_no_reference(apply_faces, installed):
    small = torch.zeros(1, 640, 640, 3)
    portrait = batch("one_portrait").movedim(-1, 1)
    shrunk = torch.nn.functional.interpolate(portrait, (100, 100), mode="area").movedim(1, -1)
    small[:, 200:300, 200:300] = shrunk
    with pytest.raises(ValueError, match="at least 32 pixels"):
        apply_faces(image=small)
    found = apply_faces(image=torch.cat((small, batch("one_portrait"))))
    assert (
        "image: the face in image 1 of 2 is smaller than 32 pixels and is left out."
        in found.ui["text"]
    )


def test_the_box_says_where_the_face_is(apply_faces, installed, trained_net, sample):
    """The crop is cut from the whole picture all the same."""
    people = torch.cat((batch("one_portrait"), batch("one_senator")), 2)
    left = apply_faces(image=people, box="0, 0, 640, 640")
    right = apply_faces(image=people, box="640, 0, 640, 640")
    expected = apply_faces(image=batch("one_portrait"))
    results = [sample(output.args[0]) for output in (left, right, expected)]
    assert difference(results[0], results[2]) < SAMPLING
    assert difference(results[1], results[2]) > EFFECT
    with pytest.raises(ValueError, match="lies outside the image"):
        apply_faces(image=people, box="5000, 0, 10, 10")


def test_an_empty_batch_passes_the_model_on(apply_faces, installed, models, sample):
    found = apply_faces(image=torch.zeros(0, 8, 8, 3)).args[0]
    assert torch.equal(sample(found), sample(models("sd15")))


def test_a_negative_picture_is_an_identity_or_an_empty_one(apply_faces, installed, sample):
    picture = batch("one_portrait")
    plain = sample(apply_faces(image=picture).args[0])
    black = apply_faces(image=picture, image_negative=torch.zeros(1, 64, 64, 3))
    assert "image_negative: no face found; an empty identity is used." in black.ui["text"]
    assert torch.equal(sample(black.args[0]), plain)
    other = apply_faces(image=picture, image_negative=batch("one_senator"))
    assert difference(sample(other.args[0]), plain) > EFFECT


@pytest.mark.no_inference_mode
def test_a_new_weight_runs_nothing_again(apply_faces, installed, tower):
    """Neither detector nor recogniser nor encoder nor projection; a new picture runs them."""
    picture = batch("one_portrait")

    def operations(image, **settings):
        runs = tower.runs
        with counters.Operations() as mode, torch.no_grad():
            apply_faces(PLUS, image=image, clip_vision=tower, **settings)
        products = sum(mode.counted[f"aten.{name}"] for name in ("mm", "addmm", "bmm"))
        convolutions = mode.counted["aten.convolution"]
        return tower.runs - runs, products, convolutions

    runs, products, convolutions = operations(picture)
    assert runs == 2 and products and convolutions > 53
    changes = ({"weight": 0.3}, {"start_at": 0.2}, {"attn_mask": torch.rand(1, 9, 9)})
    for change in changes:
        assert operations(picture, **change) == (0, 0, 0)
    runs, products, convolutions = operations(picture.clone())
    assert runs == 1 and products and convolutions > 53


@pytest.mark.no_inference_mode
def test_a_new_weight_projects_encoded_faces_no_more(apply_faces, encode_identity, installed):
    embeds = encode_identity(batch("one_portrait"))["embeds"]

    def products(weight):
        with counters.Operations() as mode, torch.no_grad():
            apply_faces(embeds=embeds, weight=weight)
        return sum(mode.counted[f"aten.{name}"] for name in ("mm", "addmm", "bmm"))

    assert products(1.0) > 0
    assert products(0.5) == 0


@pytest.mark.parametrize("setting", ["mask", "end", "weight"])
@pytest.mark.parametrize("name", [PORTRAIT, FACEID])
def test_where_and_when_it_does_not_act_the_model_is_the_same(
    apply_faces, installed, models, sample, setting, name
):
    """But for a LoRA, which knows no place and no time."""
    settings = {
        "mask": {"attn_mask": torch.zeros(1, 30, 20)},
        "end": {"start_at": 1.0, "end_at": 1.0},
        "weight": {"weight": 0.0},
    }[setting]
    picture = batch("one_portrait")
    found = apply_faces(name, image=picture, lora_strength=0.0, **settings).args[0]
    assert torch.equal(sample(found), sample(models("sd15")))


def test_regions_maps_and_inspect_take_faces(
    nodes_by_id, adapters, models, apply_faces, installed, sample
):
    adapter, picture = adapters(PORTRAIT)[0], batch("one_portrait")
    whole = sample(apply_faces(PORTRAIT, image=picture).args[0])
    region = nodes_by_id["IPAdapterRegion"].execute(adapter, 1.0, 0.0, 1.0, "crop", image=picture)
    model = nodes_by_id["ApplyIPAdapterRegions"].execute(
        models("sd15"), {"region0": region.args[0]}, 0, "normalised"
    )
    assert difference(sample(model.args[0]), whole) < SAMPLING
    muted, report = nodes_by_id["InspectIPAdapter"].execute(model.args[0], "1: mute").args
    assert PORTRAIT in report
    assert torch.equal(sample(muted), sample(models("sd15")))
    weight_map = (
        nodes_by_id["IPAdapterWeightMap"].execute(models("sd15"), "style", 1.0, 1.0).args[0]
    )
    mapped = sample(apply_faces(PORTRAIT, image=picture, weight_map=weight_map).args[0])
    assert difference(mapped, whole) > EFFECT


def test_random_recogniser_tells_pictures_apart():
    """Else nothing of this file is a proof."""
    net = arcface.random_net(arcface.R50)
    embeddings = net(arcface.as_input(arcface.crops(2)))
    assert (embeddings[0] - embeddings[1]).norm() > 0.01 * embeddings[0].norm()
