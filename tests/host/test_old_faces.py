"""FaceID adapters on old nodes: IPAdapter_plus's numbers for the same faces and embeddings."""

from types import SimpleNamespace

import numpy
import pytest
import torch
from support.compare import difference
from support.encoders import shallow_encoder_336
from support.plus_formula import PlusSettings, block_table, patch_model, photo
from support.tolerance import SAMPLING

pytestmark = pytest.mark.host

FACEID, PLUS = "ip-adapter-faceid_sd15", "ip-adapter-faceid-plusv2_sd15"
UNNORM = "ip-adapter-faceid-portrait_sdxl_unnorm"
KOLORS = "Kolors-IP-Adapter-FaceID-Plus"
LANDMARKS = numpy.array([[14, 20], [27, 20], [20, 27], [15, 35], [26, 35]], numpy.float32)
HIDDEN = "penultimate_hidden_states"


class StandIn:
    """A FaceAnalysis with two faces in every picture; a smaller detector size finds them."""

    def __init__(self, found_at=640):
        self.det_model = SimpleNamespace(input_size=None)
        self.found_at, self.pictures = found_at, []

    def get(self, blue_first):
        if self.det_model.input_size[0] > self.found_at:
            return []
        self.pictures.append(blue_first)
        return [self.face(len(self.pictures)), self.face(-1)]

    @staticmethod
    def face(seed):
        embedding = numpy.random.default_rng(abs(seed)).normal(size=512).astype(numpy.float32) * 9
        length = numpy.linalg.norm(embedding)
        normed = embedding / length
        return SimpleNamespace(kps=LANDMARKS, embedding=embedding, normed_embedding=normed)


@pytest.fixture(autouse=True)
def unloaded(host):
    import comfy.model_management

    comfy.model_management.unload_all_models()


def identities(count, is_normalised=True):
    faces = [StandIn.face(number + 1) for number in range(count)]
    return torch.stack(
        [
            torch.from_numpy(face.normed_embedding if is_normalised else face.embedding)
            for face in faces
        ]
    )


def pictures(count):
    return torch.cat([photo(number) for number in range(count)])


def link_of(adapter, encoder=None):
    return {"ipadapter": {"file": "x", "model": adapter}, "clipvision": {"model": encoder}}


SETTINGS = {"weight": 0.7, "weight_type": "linear", "start_at": 0.0, "end_at": 1.0}


@pytest.mark.parametrize(
    ("name", "kind", "combine"),
    [(FACEID, "sd15", "concat"), (FACEID, "sd15", "average"), (UNNORM, "sdxl", "concat")],
)
def test_identities_give_the_numbers_of_ipadapter_plus(
    run_old, models, adapters, sample, name, kind, combine
):
    adapter, tensors = adapters(name)
    analysis, model = StandIn(found_at=448), models(kind)
    found, crops = run_old(
        "IPAdapterFaceID",
        model=model,
        ipadapter=link_of(adapter),
        image=pictures(2),
        insightface=analysis,
        combine_embeds=combine,
        **SETTINGS,
    )
    assert crops.shape == (2, *((256, 256) if kind == "sdxl" else (224, 224)), 3)
    assert len(analysis.pictures) == 2 and analysis.det_model.input_size == (448, 448)
    red_first = (pictures(2)[0] * 255).byte().numpy()
    assert numpy.array_equal(analysis.pictures[0][..., ::-1], red_first)
    faces = identities(2, is_normalised=name != UNNORM)
    faces = faces.mean(0, keepdim=True) if combine == "average" else faces
    project = adapter.patcher.model.project
    positive = project(faces).flatten(0, 1)[None]
    negative = project(torch.zeros_like(faces)).flatten(0, 1)[None]
    table = block_table(kind, "linear", 0.7)
    expected = patch_model(model, kind, tensors, PlusSettings((positive, negative), table))
    assert difference(sample(found, kind, steps=1), sample(expected, kind, steps=1)) < SAMPLING
    assert not found.patches  # the loader adds the LoRA


@pytest.fixture
def plus_by_formula(pack, models, adapters, shallow):
    """(face_structure, with the middle block) -> the model with plus v2 by formulas, and the crop
    of its face."""

    def run(structure, middle):
        align = pack.nodes.references.face_identity.align_face
        encode = pack.nodes.references.encode.encode
        adapter, tensors = adapters(PLUS)
        crop = align(pictures(1)[0], torch.from_numpy(LANDMARKS), 224)[None]
        sides = [
            adapter.patcher.model.project(
                face, encode(shallow, picture, "crop")[HIDDEN], face_structure=structure
            )
            for face, picture in (
                (identities(1), crop),
                (torch.zeros(1, 512), torch.zeros(1, 224, 224, 3)),
            )
        ]
        settings = PlusSettings(tuple(sides), block_table("sd15", "linear", 0.7))
        return patch_model(models("sd15"), "sd15", tensors, settings, middle), crop

    return run


@pytest.mark.parametrize(
    "case",  # node, its inputs, how much of the picture is added
    [
        ("IPAdapterFaceID", {"weight_faceidv2": 0.4}, 0.4),
        ("IPAdapterAdvanced", {}, 1.4),  # twice the weight where there is no such widget
        ("IPAdapterApplyFaceID", {"weight_v2": 0.4, "faceid_v2": True}, 0.4),
    ],
)
def test_plus_v2_sees_the_crop_and_a_black_picture(
    run_old, models, adapters, shallow, sample, plus_by_formula, case
):
    (node_id, more, structure), (adapter, _) = case, adapters(PLUS)
    inputs = {"insightface": StandIn(), **SETTINGS, **more}
    if is_first := node_id == "IPAdapterApplyFaceID":
        inputs |= {"clip_vision": shallow, "weight_type": "original"}
    found, *faces = run_old(
        node_id,
        model=models("sd15"),
        ipadapter=adapter if is_first else link_of(adapter, shallow),
        image=pictures(1),
        **inputs,
    )
    # before March 2024 the middle block was reached too
    expected, crop = plus_by_formula(structure, is_first)
    assert not faces or torch.equal(faces[0], crop)
    assert difference(sample(found, "sd15", steps=1), sample(expected, "sd15", steps=1)) < SAMPLING


@pytest.fixture
def encoder_336(host, tmp_path):
    return shallow_encoder_336(tmp_path)


def test_kolors_has_the_numbers_of_ipadapter_plus(
    pack, run_old, tiny, adapters, sample, encoder_336
):
    """Its weight is that of the model's projection of the text, weight and bias."""
    (adapter, tensors), weight_kolors = adapters(KOLORS), 0.6
    model = tiny.model("kolors")
    align, encode = pack.nodes.references.face_identity.align_face, encoder_336.encode_image
    followed, crops = run_old(
        "IPAdapterFaceIDKolors",
        model=model,
        ipadapter=link_of(adapter, encoder_336),
        image=pictures(1),
        insightface=StandIn(),
        weight_faceidv2=0.4,
        weight_kolors=weight_kolors,
        **SETTINGS,
    )
    crop = align(pictures(1)[0], torch.from_numpy(LANDMARKS), 336)[None]
    assert torch.equal(crops, crop)
    black = torch.zeros(1, 336, 336, 3)
    tokens = [
        adapter.patcher.model.project(identity, encode(picture)[HIDDEN], face_structure=0.4)
        for identity, picture in ((identities(1), crop), (torch.zeros(1, 512), black))
    ]
    projection = model.model.diffusion_model.encoder_hid_proj
    weight, bias = (weight_kolors * part for part in (projection.weight, projection.bias))
    sides = tuple(torch.nn.functional.linear(side, weight, bias) for side in tokens)
    settings = PlusSettings(sides, block_table("sdxl", "linear", 0.7))
    expected = patch_model(model, "sdxl", tensors, settings)
    results = [sample(each, "kolors", size=(8, 8), steps=1) for each in (followed, expected)]
    assert difference(*results) < SAMPLING


def test_a_picture_without_a_face_is_named(run_old, models, adapters):
    adapter, _ = adapters(FACEID)
    with pytest.raises(ValueError, match="finds no face in image 1 of 2"):
        run_old(
            "IPAdapterFaceID",
            model=models("sd15"),
            ipadapter=link_of(adapter),
            image=pictures(2),
            insightface=StandIn(found_at=0),
            combine_embeds="concat",
            **SETTINGS,
        )


def test_the_composition_has_no_picture_of_its_own(run_old, models, adapters):
    adapter, _ = adapters(UNNORM)
    with pytest.raises(ValueError, match="takes faces only from 'image'"):
        run_old(
            "IPAdapterStyleComposition",
            model=models("sdxl"),
            ipadapter=link_of(adapter),
            image_style=pictures(1),
            image_composition=pictures(1),
        )


@pytest.mark.parametrize(
    ("model_name", "space"), [("buffalo_l", "w600k_r50"), ("antelopev2", "glintr100")]
)
def test_the_loader_gives_what_other_packs_ask_for(run_old, model_name, space):
    (analysis,) = run_old("IPAdapterInsightFaceLoader", provider="CUDA", model_name=model_name)
    assert analysis.space == space
    analysis.det_model.input_size = (320, 320)  # as PuLID's and InstantID's nodes set it
    assert analysis.get(numpy.zeros((60, 50, 3), numpy.uint8)) == []
    with pytest.raises(ValueError, match="model_name"):
        run_old("IPAdapterInsightFaceLoader", provider="CUDA", model_name="another")
