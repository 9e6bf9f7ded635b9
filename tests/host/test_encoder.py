"""What the encoder sees and gives: equal to transformers', whole for 'pad' and 'stretch', recalled
for the same picture.
"""

import json
from dataclasses import replace

import numpy
import pytest
import torch
from PIL import Image
from support.pictures import photograph
from support.tolerance import ENCODING

pytestmark = pytest.mark.host

CONFIG = {  # a small tower of the same class and input size as ViT-H
    "hidden_act": "gelu",
    "hidden_size": 48,
    "image_size": 224,
    "intermediate_size": 96,
    "model_type": "clip_vision_model",
    "num_attention_heads": 3,
    "num_channels": 3,
    "num_hidden_layers": 3,
    "patch_size": 14,
    "projection_dim": 20,
    "torch_dtype": "float32",
}


@pytest.fixture(scope="module")
def clip_vision(host, tmp_path_factory):
    """The host's own encoder class, small, with random weights."""
    import make_models

    import comfy.clip_vision

    path = tmp_path_factory.mktemp("encoder") / "config.json"
    path.write_text(json.dumps(CONFIG))
    encoder = comfy.clip_vision.ClipVisionModel(str(path))
    make_models.fill(encoder.model, torch.Generator().manual_seed(3))
    return encoder


@pytest.fixture(scope="module")
def theirs(clip_vision):
    """transformers' model with the same weights, and the processor with the encoder's published
    settings.
    """
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    names = {"num_channels", "torch_dtype", "model_type"}
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(**{k: v for k, v in CONFIG.items() if k not in names})
    )
    weights = {key: value.float() for key, value in clip_vision.model.state_dict().items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not [key for key in missing if "position_ids" not in key] and not unexpected
    size = {"shortest_edge": 224}
    return model.eval().requires_grad_(False), CLIPImageProcessor(size=size, crop_size=224)


def as_file(picture):
    return Image.fromarray((picture[0].numpy() * 255).round().astype(numpy.uint8))


def test_outputs_equal_transformers_at_the_encoders_size(clip_vision, theirs, encode):
    model, processor = theirs
    picture = photograph(224, 224)
    pixels = processor(as_file(picture), return_tensors="pt").pixel_values
    expected = model(pixels, output_hidden_states=True)
    result = encode.encode(clip_vision, picture, "crop")
    torch.testing.assert_close(result.image_embeds, expected.image_embeds, atol=ENCODING, rtol=0)
    hidden = expected.hidden_states[-2]
    torch.testing.assert_close(result.penultimate_hidden_states, hidden, atol=ENCODING, rtol=0)


def test_nothing_is_pixel_values_of_zero(clip_vision, theirs, encode):
    model, _ = theirs
    expected = model(torch.zeros(1, 3, 224, 224), output_hidden_states=True)
    result = encode.encode_zeros(clip_vision)
    hidden = expected.hidden_states[-2]
    torch.testing.assert_close(result.penultimate_hidden_states, hidden, atol=ENCODING, rtol=0)
    black = encode.encode(clip_vision, torch.zeros(1, 224, 224, 3), "crop")
    assert (black.penultimate_hidden_states - hidden).norm() > 0.1 * hidden.norm()


@pytest.mark.parametrize(
    ("height", "width", "pixels", "mean"),
    [(448, 448, 4, 0.5), (300, 280, 30, 2), (333, 777, 60, 3)],
)
def test_the_hosts_resize_stays_near_the_processors(
    theirs, clip_vision, encode, height, width, pixels, mean
):
    """In steps of 1/255: the host rounds the longer side where the processor cuts it, half a pixel
    at most.
    """
    _, processor = theirs
    picture = photograph(height, width)
    expected = processor(as_file(picture), return_tensors="np", do_normalize=False).pixel_values[0]
    result = encode.encoder_view(clip_vision, picture, "crop")[0].movedim(-1, 0).numpy()
    difference = numpy.abs(result - expected) * 255
    assert difference.max() <= pixels
    assert difference.mean() <= mean


def test_pad_shows_the_whole_picture_in_grey_of_clips_mean(clip_vision, encode):
    picture = torch.ones(1, 100, 200, 3)
    recorded = encode.encoder_view(clip_vision, picture, "pad")[0]
    assert recorded.shape == (224, 224, 3)
    grey = torch.tensor([0.4815, 0.4578, 0.4082])  # here in steps of 1/255
    for row in (0, 40, 183, 223):
        torch.testing.assert_close(recorded[row, 100], grey, atol=3e-3, rtol=0)
    assert recorded[60:164].eq(1).all()


@pytest.mark.parametrize(
    ("fit", "columns"), [("crop", (0, 0)), ("stretch", (1, 1)), ("pad", (1, 1))]
)
def test_only_crop_loses_the_sides(clip_vision, encode, fit, columns):
    picture = torch.zeros(1, 100, 300, 3)
    picture[:, :, :60] = picture[:, :, -60:] = 1  # white at both ends
    recorded = encode.encoder_view(clip_vision, picture, fit)[0, 112, :, 0]
    assert (int(recorded[:20].gt(0.9).any()), int(recorded[-20:].gt(0.9).any())) == columns


def test_a_square_picture_is_the_same_under_every_fit(clip_vision, encode):
    picture = photograph(150, 150)
    crop, pad, stretch = (
        encode.encoder_view(clip_vision, picture, fit) for fit in ("crop", "pad", "stretch")
    )
    assert torch.equal(crop, pad)
    assert torch.equal(crop, stretch)


def test_a_long_batch_is_as_each_picture_alone(clip_vision, encode):
    pictures = torch.rand(19, 30, 30, 3, generator=torch.Generator().manual_seed(1))
    together = encode.encode(clip_vision, pictures, "crop")
    for number in (0, 15, 16, 18):
        alone = encode.encode(clip_vision, pictures[number : number + 1], "crop")
        torch.testing.assert_close(
            together.image_embeds[number], alone.image_embeds[0], atol=ENCODING, rtol=0
        )


def test_a_long_batch_shows_its_progress(clip_vision, encode, steps):
    encode.encode(clip_vision, torch.zeros(35, 20, 20, 3), "crop")
    assert steps == [(16, 35), (32, 35), (35, 35)]


def test_the_tiles_of_several_references_are_one_progress(clip_vision, pack, steps):
    module = pack.nodes.references.reference
    references = module.References.of(torch.zeros(2, 20), "image_embeds")
    pictures = torch.rand(2, 40, 40, 3, generator=torch.Generator().manual_seed(0))
    tiles = module.TileSettings(count=2, ratio=0.5, fit="crop", box="")
    module.add_detail(references, clip_vision, pictures, tiles)
    assert steps == [(4, 8), (8, 8)]


@pytest.mark.parametrize(
    ("height", "width", "words"),
    [
        (100, 100, None),
        (100, 111, None),
        (100, 112, "11%"),
        (300, 200, "33% of the image is cut off (top"),
    ],
)
def test_a_crop_that_removes_more_than_a_tenth_is_said(encode, height, width, words):
    note = encode.crop_warning(torch.zeros(1, height, width, 3), "crop", "image")
    assert (note is None) == (words is None)
    assert words is None or words in note
    assert encode.crop_warning(torch.zeros(1, height, width, 3), "pad", "image") is None


@pytest.mark.parametrize(
    "unconditional", ["ZERO_FEATURES", "ZERO_PIXELS", "BLACK_IMAGE", "NOTHING"]
)
def test_the_unconditional_side_is_what_the_adapter_was_trained_with(
    clip_vision, encode, pack, adapters, unconditional
):
    """One row each, of the same widths as the encoder's; None: zeros, which need no encoder."""
    adapter, pair = adapters("ip-adapter_sd15")[0], pack.nodes.references.pair
    kind = getattr(pair.Unconditional, unconditional)
    feature = replace(adapter.spec.clip_input, width=clip_vision.config["projection_dim"])
    family = replace(adapter.spec.family, unconditional=kind)
    adapter = replace(adapter, spec=replace(adapter.spec, family=family, inputs=(feature,)))
    side = pair.unconditional_references(adapter, lambda: clip_vision)
    size = clip_vision.image_size
    expected = {
        "ZERO_PIXELS": lambda: encode.encode_zeros(clip_vision),
        "BLACK_IMAGE": lambda: encode.encode(clip_vision, torch.zeros(1, size, size, 3), "crop"),
    }
    if unconditional in expected:
        assert torch.equal(side.single_feature, expected[unconditional]().image_embeds)
    else:
        assert (side is None) == (kind is pair.Unconditional.ZERO_FEATURES)
        assert side is None or (side.silent and not side.single_feature.any())


@pytest.fixture
def counted(clip_vision, encode, monkeypatch):
    """How often the encoder ran."""
    runs, run = [], clip_vision.encode_image
    monkeypatch.setattr(clip_vision, "encode_image", lambda *a, **k: runs.append(1) or run(*a, **k))
    return runs


def test_the_same_picture_is_encoded_once_and_forgotten_with_it(
    clip_vision, encode, counted, tmp_path, monkeypatch
):
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    before = len(clip_vision.patcher.get_attachment("ipadapter_recall") or {})
    picture = photograph(60, 50)
    first = encode.encode_reference(clip_vision, picture, "crop", "image", "A node")
    assert encode.encode_reference(clip_vision, picture, "crop", "image", "A node") is first
    assert len(counted) == 1
    encode.encode_reference(clip_vision, picture, "pad", "image", "A node")
    encode.encode_reference(clip_vision, picture.clone(), "crop", "image", "A node")
    assert len(counted) == 3
    del picture
    assert len(clip_vision.patcher.get_attachment("ipadapter_recall")) == before


def test_no_picture_gives_nothing_and_nan_is_refused(clip_vision, encode, counted):
    assert (
        encode.encode_reference(clip_vision, torch.zeros(0, 5, 7, 3), "crop", "image", "A node")
        is None
    )
    holed = torch.zeros(2, 5, 7, 3)
    holed[1, 2, 3, 0] = torch.nan
    with pytest.raises(ValueError, match="A node's 'image' number 2 of 2 holds NaN"):
        encode.encode_reference(clip_vision, holed, "crop", "image", "A node")
    assert not counted


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_alpha_are_taken_as_rgb(clip_vision, encode, channels, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    picture = photograph(60, 60)
    grey = picture[..., :1].expand(-1, -1, -1, 3)
    second = picture[..., :1] if channels == 1 else torch.cat([picture, picture[..., :1]], -1)
    expected = encode.encode(clip_vision, grey if channels == 1 else picture, "crop")
    result = encode.encode_reference(clip_vision, second, "crop", "image", "A node").output
    assert torch.equal(result.image_embeds, expected.image_embeds)


def test_an_encoder_of_another_size_sees_the_picture_at_its_own(host, encode, tmp_path):
    import make_models

    import comfy.clip_vision

    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"image_size": 336}))
    larger = comfy.clip_vision.ClipVisionModel(str(tmp_path / "config.json"))
    make_models.fill(larger.model, torch.Generator().manual_seed(3))
    picture = photograph(500, 400)
    assert encode.encoder_view(larger, picture, "crop").shape == (1, 336, 336, 3)
    assert encode.encode(larger, picture, "crop").penultimate_hidden_states.shape == (1, 577, 48)
    assert encode.encode_zeros(larger).penultimate_hidden_states.shape == (1, 577, 48)
