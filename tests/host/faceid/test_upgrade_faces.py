"""Old nodes with FaceID adapters become new ones that give the same picture."""

import make_models
import pytest
import torch
from adapter_layouts import Base, layout
from PIL import Image
from support import arcface
from support.faceid import FACEID, PLUS, batch, lora_of
from support.upgrading import OldGraph

pytestmark = pytest.mark.host

KOLORS = "Kolors-IP-Adapter-FaceID-Plus"
LOADER = "IPAdapterUnifiedLoaderFaceID"
SETTINGS = {"weight": 0.7, "weight_type": "linear", "start_at": 0.0, "end_at": 1.0}
ONE_STEP = {"steps": 1, "batch": 1}


@pytest.fixture
def files(installed, models_folder, monkeypatch):
    """Folders of adapters, for which hollow files stand, and of LoRAs."""
    import folder_paths

    extensions = folder_paths.supported_pt_extensions
    for name in ("ipadapter", "loras"):
        (models_folder / name).mkdir()
        entry = ([str(models_folder / name)], extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, entry)
    folder_paths.filename_list_cache.clear()
    for name in (FACEID, PLUS):
        arcface.hollow_file(models_folder / "ipadapter" / f"{name}.safetensors", layout(name))
    yield models_folder
    folder_paths.filename_list_cache.clear()


@pytest.fixture
def graph(files, models, shallow):
    return lambda name, kind="sd15": OldGraph(models(kind), shallow, name)


@pytest.fixture(autouse=True)
def unloaded(host):
    """No model is left with the weights of another test's LoRA."""
    import comfy.model_management

    comfy.model_management.unload_all_models()


def noise(height, width):
    return torch.rand(height, width, 3, generator=torch.Generator().manual_seed(3))


def saved(folder, picture, name="a.png"):
    """A picture [H, W, 3] as a file in the input folder."""
    Image.fromarray((picture * 255).round().byte().numpy()).save(folder / "input" / name)
    return name


def kinds(prompt):
    return [node["class_type"] for node in prompt.values()]


def apply_of(prompt):
    (node,) = (node for node in prompt.values() if node["class_type"] == "ApplyIPAdapter")
    return node["inputs"]


def test_several_faces_are_combined_as_before(graph, check, own_folders):
    """In one of the pictures the face with the best score is the smaller one."""
    old = graph(FACEID)
    pictures = batch("one_senator", "one_speaker")
    smaller = batch("one_portrait").movedim(-1, 1)
    smaller = torch.nn.functional.interpolate(smaller, (400, 400), mode="area")
    pictures[1:, 240:, 240:] = smaller.movedim(1, -1)
    images = [
        old.image(saved(own_folders, picture, f"{number}.png"))
        for number, picture in enumerate(pictures)
    ]
    image = old.add("ImageBatch", image1=images[0], image2=images[1])
    analysis = old.add("IPAdapterInsightFaceLoader", provider="CUDA", model_name="buffalo_l")
    inputs = {**old.all, "image": image, "insightface": analysis}
    settings = {**SETTINGS, "combine_embeds": "subtract", "weight_kolors": 0.5}  # of no effect here
    last = old.add("IPAdapterFaceIDKolors", **inputs, **settings)
    new_prompt, lines = check(old, last, **ONE_STEP)
    (combined,) = (node for node in new_prompt.values() if node["class_type"].startswith("Combine"))
    assert {"references.embeds0", "references.embeds1"} < set(combined["inputs"])
    assert apply_of(new_prompt)["lora_strength"] == 0.0
    assert any("this pack does not use InsightFace" in line for line in lines)


def test_plus_keeps_its_structure_its_crop_and_its_negative_picture(graph, check, own_folders):
    old = graph(PLUS)
    last = old.add(
        "IPAAdapterFaceIDBatch",
        **old.all,
        image=old.constant(batch("one_portrait", "one_senator")),
        image_negative=old.image(saved(own_folders, noise(48, 48))),
        weight_faceidv2=1.4,
        embeds_scaling="K+V",
        **SETTINGS,
    )
    new_prompt, _ = check(old, last, steps=1, batch=2)
    assert apply_of(new_prompt)["face_structure"] == 1.4
    assert "CombineIPAdapterEmbeds" not in kinds(new_prompt)


def test_the_node_of_before_march_2024(graph, check):
    old = graph(PLUS)
    inputs = {"weight": 0.8, "weight_type": "linear", "noise": 0.0, "weight_v2": 0.6}
    image = old.constant(batch("one_portrait"))
    last = old.add("IPAdapterApplyFaceID", **old.all, image=image, **inputs, faceid_v2=True)
    new_prompt, _ = check(old, last, **ONE_STEP)
    assert apply_of(new_prompt)["face_structure"] == 0.6
    assert "IPAdapterWeightMap" not in kinds(new_prompt)


def test_layers_by_hand(graph, check, own_folders):
    old = graph(PLUS)
    image = old.image(saved(own_folders, batch("one_portrait")[0]))
    inputs = {"weight_faceidv2": 0.8, "layer_weights": "0:1.0, 3:0.4, 9:-0.5"}
    last = old.add("IPAdapterMS", **old.all, image=image, **inputs, **SETTINGS)
    new_prompt, _ = check(old, last, **ONE_STEP)
    assert apply_of(new_prompt)["face_structure"] == 0.8
    assert "IPAdapterWeightMap" in kinds(new_prompt)


def test_a_node_without_structure_takes_twice_the_weight(graph, upgraded):
    old = graph(PLUS)
    old.add("IPAdapterAdvanced", **old.all, image=old.constant(None), **SETTINGS)
    new_prompt, _ = upgraded(old.prompt)
    assert apply_of(new_prompt)["face_structure"] == 1.4


@pytest.mark.parametrize("lora", ["of its own", "of the adapter"])
def test_the_loader_becomes_a_file_and_its_lora(
    graph, files, check, adapters, own_folders, run_prompt, lora
):
    """And the face that the node shows is the same."""
    path = files / "ipadapter" / f"{FACEID}.safetensors"
    path.unlink()
    make_models.save(path, adapters(FACEID)[1])
    old, is_own = graph(FACEID), lora == "of its own"
    if is_own:
        tensors = lora_of(old.prompt[old.model[0]]["inputs"]["what"])
        make_models.save(files / "loras" / "mine.safetensors", tensors)
    loader = old.add(LOADER, model=old.model, preset="FACEID", lora_strength=0.5, provider="CPU")
    image = old.image(saved(own_folders, batch("one_portrait")[0]))
    links = {"model": loader, "ipadapter": [loader[0], 1], "image": image}
    last = old.add("IPAdapterFaceID", **links, **SETTINGS)
    preview = old.add("PreviewImage", images=[last[0], 1])
    new_prompt, _ = check(old, last, **ONE_STEP)
    assert ("LoraLoaderModelOnly" in kinds(new_prompt)) is is_own
    assert apply_of(new_prompt)["lora_strength"] == (0.0 if is_own else 0.5)
    if is_own:
        link = new_prompt[preview[0]]["inputs"]["images"]
        assert link != [last[0], 1]
        assert torch.equal(run_prompt(new_prompt, link), run_prompt(old.prompt, [last[0], 1]))


@pytest.mark.parametrize(
    ("name", "node_id", "changed", "words"),
    [
        (PLUS, "IPAdapterFaceID", {"weight_faceidv2": 4.0}, "'face_structure' goes from 0 to 3"),
        (PLUS, "IPAdapterAdvanced", {"weight": ["1", 0]}, "a weight from another node"),
        (
            PLUS,
            "IPAdapterFaceID",
            {"image_negative": ["1", 0]},
            "the number of its negative images",
        ),
        (
            FACEID,
            "IPAdapterFaceID",
            {"combine_embeds": "average"},
            "the number of images that it combines",
        ),
        (FACEID, "IPAdapterFaceID", {"insightface": ["1", 0]}, "which is not part of this pack"),
        (FACEID, "IPAdapterTiled", {}, "only nodes that find the face"),
        ("nowhere-faceid", "IPAdapterFaceID", {}, "its file is not installed"),
    ],
)
def test_what_the_new_nodes_do_not_have_stays_and_says_why(
    graph, upgraded, name, node_id, changed, words
):
    old = graph(name)
    inputs = {**old.all, "image": old.constant(None), **SETTINGS, **changed}
    last = old.add(node_id, **inputs)
    new_prompt, report = upgraded(old.prompt)
    assert new_prompt[last[0]]["class_type"] == node_id
    assert any(words in change.describe() for change in report)


def test_another_recogniser_than_the_adapters_stays(graph, upgraded):
    old = graph(FACEID)
    analysis = old.add("IPAdapterInsightFaceLoader", provider="CPU", model_name="antelopev2")
    inputs = {**old.all, "image": old.constant(None), "insightface": analysis}
    last = old.add("IPAdapterFaceID", **inputs, **SETTINGS)
    new_prompt, report = upgraded(old.prompt)
    assert [new_prompt[link[0]]["class_type"] for link in (analysis, last)] == [
        "IPAdapterInsightFaceLoader",
        "IPAdapterFaceID",
    ]
    assert any("with 'glintr100'" in change.describe() for change in report)


def test_kolors_stays_since_the_new_nodes_do_as_its_authors(graph, upgraded, files):
    small = layout(KOLORS, Base(2048, (8,) * 70, 128))
    arcface.hollow_file(files / "ipadapter" / f"{KOLORS}.safetensors", small)
    old = graph(KOLORS)
    last = old.add("IPAdapterFaceIDKolors", **old.all, image=old.constant(None), **SETTINGS)
    new_prompt, report = upgraded(old.prompt)
    assert new_prompt[last[0]]["class_type"] == "IPAdapterFaceIDKolors"
    assert any("differently from its authors" in change.describe() for change in report)


def test_a_lora_that_no_node_can_add_alone_keeps_its_loader(graph, upgraded):
    old = graph(FACEID)
    loader = old.add(LOADER, model=old.model, preset="FACEID", lora_strength=0.5, provider="CPU")
    links = {"model": loader, "ipadapter": [loader[0], 1], "image": old.constant(None)}
    last = old.add("IPAdapterFaceID", **links, **SETTINGS)
    old.add("KSampler", model=loader)
    new_prompt, report = upgraded(old.prompt)
    assert {LOADER, "IPAdapterFaceID"} <= set(kinds(new_prompt))
    lines = [change.describe() for change in report]
    assert any("its LoRA is in the adapter's file" in line for line in lines)
    assert any(f"node {loader[0]}, to which it is connected, is not" in line for line in lines)
    assert new_prompt[last[0]]["class_type"] == "IPAdapterFaceID"


@pytest.mark.parametrize("pad_around", [True, False])
def test_a_picture_prepared_for_insightface(graph, upgraded, run_prompt, own_folders, pad_around):
    old = graph(FACEID)
    image = old.image(saved(own_folders, noise(60, 48)))
    inputs = {"crop_position": "center", "sharpening": 0.0, "pad_around": pad_around}
    prepared = old.add("PrepImageForInsightFace", image=image, **inputs)
    new_prompt, _ = upgraded(old.prompt)
    assert "PrepImageForInsightFace" not in kinds(new_prompt)
    before, after = (run_prompt(prompt, prepared) for prompt in (old.prompt, new_prompt))
    assert before.shape == (1, 640, 640, 3)
    assert torch.equal(after, before)
