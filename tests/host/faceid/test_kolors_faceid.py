"""The FaceID adapter for Kolors: its tokens take the way of the text through the model."""

import gc
from dataclasses import replace
from functools import partial

import diffusers.loaders.unet
import make_models
import numpy
import pytest
import torch
from diffusers.models.embeddings import IPAdapterFaceIDPlusImageProjection
from PIL import Image
from safetensors.torch import save_file
from support import arcface
from support.compare import difference
from support.encoders import shallow_encoder_336
from support.faceid import StandInAnalysis, batch
from support.tolerance import EFFECT, IDENTITY, MODEL_CALL
from support.unet_calls import unet_calls

pytestmark = [
    pytest.mark.host,
    pytest.mark.filterwarnings("ignore:You have passed a tensor as:FutureWarning"),
]

NAME, WEIGHT, TOKENS, SIZE = "Kolors-IP-Adapter-FaceID-Plus", 0.7, 6, (8, 8)


@pytest.fixture(scope="module", autouse=True)
def unloaded(host, adapters):
    """No adapter of other tests stays in memory, and none of these with its recogniser."""
    import comfy.model_management

    adapters.cache_clear()
    yield
    comfy.model_management.unload_all_models()
    adapters.cache_clear()
    gc.collect()


@pytest.fixture(scope="module")
def kolors(tiny):
    return tiny.model("kolors")


@pytest.fixture(scope="module")
def adapter(adapters):
    return adapters(NAME)[0]


@pytest.fixture
def sample_kolors(sample):
    return lambda model: sample(model, "kolors", size=SIZE, steps=1)


@pytest.fixture
def face(pack):
    """(seed, count) -> raw identities of glintr100, and what the encoder makes of the faces."""

    def embeds(seed=4, count=1):
        source = torch.Generator().manual_seed(seed)
        features = {
            "face_identity": 20 * torch.randn(count, 512, generator=source),
            "penultimate_hidden_states": torch.randn(count, 577, 1024, generator=source),
        }
        notes = {"recogniser": "glintr100"}
        return pack.nodes.sockets.References(features, (1.0,) * count, notes=notes)

    return embeds


@pytest.fixture
def follow(nodes_by_id, kolors, adapter):
    def run(embeds=None, model=None, **settings):
        inputs = {"embeds": embeds, "weight": WEIGHT, **settings}
        return nodes_by_id["ApplyIPAdapter"].execute(model or kolors, adapter, **inputs)

    return run


@pytest.fixture
def tokens_of_diffusers(adapters, monkeypatch):
    """(identities [N, 512], hidden states [N, 577, 1024]) -> [N, 6, 256], as diffusers' own class
    for FaceID plus computes them.
    """
    made = partial(IPAdapterFaceIDPlusImageProjection, depth=1, num_tokens=TOKENS)
    monkeypatch.setattr(diffusers.loaders.unet, made.func.__name__, made)
    state = make_models.nested(adapters(NAME)[1])["image_proj"]
    loader = diffusers.loaders.unet.UNet2DConditionLoadersMixin()
    project = loader._convert_ip_adapter_image_proj_to_diffusers(state, low_cpu_mem_usage=False)

    def run(identities, hidden):
        project.clip_embeds, project.shortcut = hidden[None], True
        return project(identities)

    return run


@pytest.fixture
def diffusers_unet(adapters, tiny, kolors):
    """With the adapter's layers; the tokens are expected behind the text, as wide as the text."""
    unet = tiny.twin("kolors", kolors)
    state = make_models.nested(adapters(NAME)[1])
    unet.set_attn_processor(
        unet._convert_ip_adapter_attn_to_diffusers([state], low_cpu_mem_usage=False)
    )
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale, processor.num_tokens = [WEIGHT], (TOKENS,)
    return unet


def test_output_equals_diffusers(follow, face, kolors, tiny, diffusers_unet, tokens_of_diffusers):
    """Text and tokens go through the projection together; no face is zeros in both features."""
    prompt, (identities, hidden) = tiny.text("kolors"), face().features.values()
    tokens = [
        tokens_of_diffusers(torch.zeros_like(identities), torch.zeros_like(hidden)),
        tokens_of_diffusers(identities, hidden),
    ]
    texts = prompt.negative, prompt.positive
    models = follow(face()).args[0], kolors
    followed, plain = (unet_calls(tiny, model, prompt, steps=1) for model in models)
    for call, without in zip(followed, plain, strict=True):
        rows = [0 if index == 1 else 1 for index in call.rows]
        sides = [torch.cat((texts[row], tokens[row].view(1, TOKENS, -1)), 1) for row in rows]
        height, width = (8.0 * side for side in call.x.shape[-2:])
        sizes = torch.tensor([[height, width, 0, 0, height, width]]).expand(len(rows), -1)
        conditions = {"text_embeds": call.y[:, :4096], "time_ids": sizes}
        text_and_tokens = torch.cat(sides)
        expected = diffusers_unet(
            call.x, call.timesteps, text_and_tokens, added_cond_kwargs=conditions
        ).sample
        assert difference(call.out, expected) <= MODEL_CALL
        assert difference(call.out, without.out) > EFFECT


def test_weight_0_is_the_plain_model_and_nothing_stays(follow, face, kolors, sample_kolors):
    state = {key: value.clone() for key, value in kolors.model.state_dict().items()}
    weightless = sample_kolors(follow(face(), weight=0.0).args[0])
    followed, other = (follow(face(seed)).args[0] for seed in (4, 9))
    result = sample_kolors(followed)
    assert difference(sample_kolors(other), result) > EFFECT  # a branch beside it
    assert torch.equal(sample_kolors(followed), result)
    plain = sample_kolors(kolors)
    assert torch.equal(plain, weightless)
    assert difference(result, plain) > EFFECT
    assert all(torch.equal(value, state[key]) for key, value in kolors.model.state_dict().items())


def test_the_models_own_projection_counts(follow, face, kolors, sample_kolors):
    """Of two models in a row each its own, although all else was computed before."""
    embeds, projection = face(), kolors.model.diffusion_model.encoder_hid_proj
    followed, own_weight = follow(embeds).args[0], projection.weight
    projection.weight = torch.nn.Parameter(own_weight.flip(0), requires_grad=False)
    try:
        flipped = follow(embeds).args[0]
    finally:
        projection.weight = own_weight
    assert difference(sample_kolors(flipped), sample_kolors(followed)) > EFFECT


def test_frames_whose_keys_are_made_while_sampling(follow, face, adapter, monkeypatch, tiny):
    """The model's projection is done before."""

    def sampled():
        model = follow(face(count=2), batch="one for each picture").args[0]
        return tiny.sample(model, tiny.text("kolors"), SIZE, batch=2, steps=1)

    at_once, module = sampled(), adapter.patcher.model
    monkeypatch.setattr(module, "spec", replace(module.spec, text_width=8))  # keys are too many
    assert difference(sampled(), at_once) < MODEL_CALL
    assert difference(at_once[:1], at_once[1:]) > EFFECT


def test_it_fits_no_other_model_and_kolors_takes_no_other_faceid(
    follow, face, models, nodes_by_id, hollow_adapter, kolors, pack
):
    with pytest.raises(ValueError, match=r"is for Kolors \(70 .*, but the model is SDXL \(70"):
        follow(face(), models("sdxl"))
    features = {"face_identity": torch.randn(1, 512), **face().features}
    features["penultimate_hidden_states"] = torch.randn(1, 257, 1280)
    embeds = pack.nodes.sockets.References(features, (1.0,))
    for name in ("ip-adapter-faceid-plusv2_sdxl", "ip-adapter-faceid_sdxl"):
        with pytest.raises(ValueError, match=r"is for SDXL .*, but the model is Kolors"):
            nodes_by_id["ApplyIPAdapter"].execute(
                kolors, hollow_adapter(name), embeds=embeds, embeds_negative=embeds
            )


def test_a_model_whose_text_is_projected_before_it_is_refused(follow, face, kolors, monkeypatch):
    modules = kolors.model.diffusion_model._modules
    for own, words in ((None, "has none"), (torch.nn.Linear(64, 2048), "projects .* width 64")):
        monkeypatch.setitem(modules, "encoder_hid_proj", own)
        sentence = rf"needs the projection of the text in the Kolors model .* this model {words}: l"
        with pytest.raises(ValueError, match=sentence):
            follow(face())


@pytest.fixture
def one_identity(models_folder):
    """A recogniser of antelopev2's shape that gives every face one embedding."""
    with torch.device("meta"):
        shapes = arcface.TrainedIResNet(arcface.R100).state_dict()
    weights = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in shapes.items()}
    identity = 20 * torch.randn(512, generator=torch.Generator().manual_seed(0))
    save_file(weights | {"features.bias": identity}, models_folder / "insightface/r.safetensors")
    return identity[None]


@pytest.fixture
def encoder_336(host, tmp_path):
    return shallow_encoder_336(tmp_path)


def official_crop(picture, corners):
    """The square around a detector's box by PIL, as in the sample of the authors."""
    left, top, right, bottom = corners
    x, y, half = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) / 2
    image = Image.fromarray((picture.numpy() * 255).round().astype("uint8"))
    crop = image.crop((x - half, y - half, x + half, y + half)).resize((336, 336))
    return torch.from_numpy(numpy.array(crop)).float()[None] / 255


def test_a_picture_gives_the_raw_identity_and_the_square_of_the_face(
    encode_identity, one_identity, encoder_336, adapter
):
    picture = batch("one_portrait")
    corners = (100, 60, 300, 320)
    marks = numpy.array([[160, 150], [240, 150], [200, 200], [170, 250], [230, 250]], "float32")
    box = type("Face", (), {"bbox": numpy.array(corners, "float32"), "kps": marks})
    faces = encode_identity(
        picture, ipadapter=adapter, clip_vision=encoder_336, insightface=StandInAnalysis(box)
    )
    identity, hidden = faces["embeds"].features.values()
    assert difference(identity, one_identity) < IDENTITY
    expected = official_crop(picture[0], corners)
    assert (faces["faces"] - expected).abs().max() < 0.02  # PIL rounds between its two passes
    by_pil = encoder_336.encode_image(expected).penultimate_hidden_states
    assert difference(hidden, by_pil) < 0.02
    assert all(value.eq(0).all() for value in faces["embeds_negative"].features.values())


def test_apply_finds_the_face_itself_and_names_a_missing_recogniser(
    follow, models_folder, encoder_336, request
):
    picture = batch("one_portrait")
    with pytest.raises(ValueError, match="needs the face recogniser glintr100, but none is inst"):
        follow(image=picture, clip_vision=encoder_336)
    request.getfixturevalue("one_identity")
    ui = follow(image=picture, clip_vision=encoder_336).ui
    assert any("faces found: 1 (recogniser: IResNet100" in text for text in ui["text"])
    (shown,) = ui["images"]
    with Image.open(models_folder.parent / "temp" / shown["subfolder"] / shown["filename"]) as crop:
        assert crop.size == (336, 336)
