"""Prepared pictures, noise, tiles and the enhancer become new nodes where their numbers are the
same.
"""

import numpy
import pytest
import torch
from PIL import Image
from support.compare import difference
from support.tolerance import CROP, SAMPLING
from support.upgrading import BASE, PLUS, XL, XL_PLUS, OldGraph, picture

pytestmark = pytest.mark.host
SETTINGS = {"weight": 0.8, "weight_type": "linear", "start_at": 0.0, "end_at": 1.0}


def model_kind(file):
    return "sdxl" if file in (XL, XL_PLUS) else "sd15"


def saved(folder, name, height, width, seed=1):
    """A picture file, a few smooth waves and noise."""
    noise = picture(seed, 1, height, width)[0].numpy()
    rows = numpy.linspace(0, 9, height)[:, None, None]
    result = (numpy.sin(rows) * 0.3 + 0.5) * 0.7 + noise * 0.3
    Image.fromarray((result.clip(0, 1) * 255).astype("uint8")).save(folder / "input" / name)
    return name


@pytest.mark.parametrize("file", [BASE, PLUS])
@pytest.mark.parametrize("size", [(61, 61), (61, 43), (31, 77)], ids=str)
def test_a_prepared_picture(models, shallow, check, own_folders, run_prompt, file, size):
    graph = OldGraph(models("sd15"), shallow, file)
    image = graph.image(saved(own_folders, "a.png", *size))
    small = graph.add(
        "PrepImageForClipVision",
        image=image,
        interpolation="LANCZOS",
        crop_position="center",
        sharpening=0.0,
    )
    new_prompt, _ = check(
        graph, graph.add("IPAdapterAdvanced", **graph.all, image=small, **SETTINGS)
    )
    assert torch.equal(run_prompt(graph.prompt, small), run_prompt(new_prompt, small))


@pytest.mark.parametrize("way", ["lanczos", "bicubic", "bilinear", "area", "nearest-exact"])
def test_a_picture_prepared_in_2023(models, shallow, upgraded, own_folders, run_prompt, way):
    graph = OldGraph(None, shallow, BASE)
    image = graph.image(saved(own_folders, "a.png", 61, 43))
    inputs = {"interpolation": way, "crop_position": "center", "sharpening": 0.0}
    small = graph.add("PrepImageWithWeight", image=image, **inputs, add_weight=True)
    new_prompt, _ = upgraded(graph.prompt)
    assert new_prompt[small[0]]["class_type"] == "RepeatImageBatch"
    assert difference(run_prompt(new_prompt, small), run_prompt(graph.prompt, small)) < SAMPLING


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "half a pixel"),
        ({"interpolation": "BOX"}, "does not resize by 'BOX'"),
        ({"crop_position": "top"}, "crops at an edge"),
        ({"sharpening": 0.2}, "sharpens"),
        ({"image": ["1", 0]}, "the size of its image"),
    ],
)
def test_what_the_host_prepares_otherwise_stays(shallow, upgraded, own_folders, changed, words):
    graph = OldGraph(None, shallow, BASE)
    image = graph.image(saved(own_folders, "a.png", 60, 43))
    inputs = {"interpolation": "LANCZOS", "crop_position": "center", "sharpening": 0.0}
    small = graph.add("PrepImageForClipVision", **{"image": image, **inputs, **changed})
    new_prompt, report = upgraded(graph.prompt)
    assert new_prompt[small[0]]["class_type"] == "PrepImageForClipVision"
    assert any(words in change.describe() for change in report)


@pytest.mark.parametrize("file", [BASE, PLUS])
@pytest.mark.parametrize("kind", ["fade", "dissolve", "gaussian"])
def test_noise_on_black(models, shallow, check, run_prompt, file, kind):
    graph = OldGraph(models("sd15"), shallow, file)
    noise = graph.add("IPAdapterNoise", type=kind, strength=0.6, blur=0)
    image = graph.constant(picture(1))
    last = graph.add(
        "IPAdapterAdvanced", **graph.all, image=image, image_negative=noise, **SETTINGS
    )
    new_prompt, _ = check(graph, last)
    assert torch.equal(
        run_prompt(graph.prompt, noise),
        run_prompt(new_prompt, new_prompt[last[0]]["inputs"]["image_negative"]),
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"type": "shuffle"}, "its shuffle"),
        ({"blur": 3}, "it blurs differently"),
        ({"image_optional": ["1", 0]}, "the seed of its noise from the image"),
    ],
)
def test_other_noise_stays(shallow, upgraded, changed, words):
    graph = OldGraph(None, shallow, BASE)
    inputs = {"type": "fade", "strength": 0.6, "blur": 0, **changed}
    noise = graph.add("IPAdapterNoise", **inputs)
    image = graph.constant(picture(1))
    graph.add("IPAdapterAdvanced", **graph.all, image=image, image_negative=noise, **SETTINGS)
    new_prompt, report = upgraded(graph.prompt)
    assert new_prompt[noise[0]]["class_type"] == "IPAdapterNoise"
    assert any(words in change.describe() for change in report)


@pytest.mark.parametrize("file", [BASE, PLUS, XL])
@pytest.mark.parametrize("size", [(91, 91), (77, 61), (40, 80), (120, 40)], ids=str)
def test_tiles_that_do_not_overlap(models, shallow, check, own_folders, run_prompt, file, size):
    """Nearly square pictures are four tiles, long ones a row; what overlapped stays."""
    kind = model_kind(file)
    graph = OldGraph(models(kind), shallow, file)
    image = graph.image(saved(own_folders, "a.png", *size))
    inputs = {**SETTINGS, "weight_type": "weak input", "sharpening": 0.0, "embeds_scaling": "K+V"}
    negative = {"image_negative": graph.constant(picture(5))} if size == (77, 61) else {}
    last = graph.add("IPAdapterTiled", **graph.all, **negative, image=image, **inputs)
    new_prompt, _ = check(graph, last, kind, size=(24, 16) if kind == "sd15" else (16, 24))
    (tiles,) = (key for key, node in new_prompt.items() if node["class_type"] == "IPAdapterTiles")
    for slot in (1, 2):
        before, after = (
            run_prompt(graph.prompt, [last[0], slot]),
            run_prompt(new_prompt, [tiles, slot]),
        )
        torch.testing.assert_close(after, before, atol=CROP, rtol=0)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((60, 40), "overlap"),
        ((60, 61), "half a pixel"),
        ((30, 141), "overlap"),
        ((30, 150), "this long"),
    ],
)
def test_tiles_that_overlap_stay(shallow, upgraded, own_folders, size, words):
    graph = OldGraph(None, shallow, BASE)
    image = graph.image(saved(own_folders, "a.png", *size))
    last = graph.add("IPAdapterTiled", **graph.all, image=image, **SETTINGS)
    new_prompt, report = upgraded(graph.prompt)
    assert new_prompt[last[0]]["class_type"] == "IPAdapterTiled"
    assert any(words in change.describe() for change in report)


@pytest.mark.parametrize("file", [PLUS, XL_PLUS])
@pytest.mark.parametrize("combine", ["concat", "average", "norm average"])
@pytest.mark.parametrize("ratio", [1.0, 0.6])
def test_the_enhancer(models, shallow, check, own_folders, file, combine, ratio):
    kind = model_kind(file)
    graph = OldGraph(models(kind), shallow, file)
    image = graph.image(saved(own_folders, "a.png", 99, 99))
    inputs = {**SETTINGS, "enhance_tiles": 3, "enhance_ratio": ratio, "combine_embeds": combine}
    last = graph.add("IPAdapterClipVisionEnhancer", **graph.all, image=image, **inputs)
    check(graph, last, kind)


def test_the_enhancer_for_each_picture(models, shallow, check, own_folders):
    graph = OldGraph(models("sd15"), shallow, PLUS)
    images = [graph.image(saved(own_folders, f"{n}.png", 64, 64, n)) for n in (1, 2)]
    pair = graph.add("ImageBatch", image1=images[0], image2=images[1])
    sized = graph.add(
        "ImageScale", image=pair, upscale_method="area", width=62, height=62, crop="disabled"
    )
    inputs = {**SETTINGS, "enhance_tiles": 2, "enhance_ratio": 0.4}
    last = graph.add("IPAdapterClipVisionEnhancerBatch", **graph.all, image=sized, **inputs)
    check(graph, last, batch=3)


def test_an_enhancer_whose_tiles_are_cut_otherwise_stays(shallow, upgraded, own_folders):
    for file, size, words in (
        (PLUS, (64, 60), "from a square"),
        (PLUS, (65, 65), "from a square"),
        (BASE, (64, 64), "as an image"),
    ):
        graph = OldGraph(None, shallow, file)
        image = graph.image(saved(own_folders, "a.png", *size))
        last = graph.add(
            "IPAdapterClipVisionEnhancer", **graph.all, image=image, **SETTINGS, enhance_tiles=2
        )
        new_prompt, report = upgraded(graph.prompt)
        assert new_prompt[last[0]]["class_type"] == "IPAdapterClipVisionEnhancer"
        assert any(words in change.describe() for change in report)
