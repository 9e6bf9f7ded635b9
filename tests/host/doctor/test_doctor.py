"""The doctor in the host: what it finds in real folders, and what it tells nobody."""

import os
from pathlib import Path

import make_models
import pytest
import torch
from adapter_layouts import Base, adapter, layout, resampler
from support import arcface
from support.model_files import encoder_file

pytestmark = pytest.mark.host

ADAPTER = "is an adapter in the wrong folder: move it to models/ipadapter"


@pytest.fixture
def advice(pack, models):
    def run():
        report = pack.nodes.doctor.scan.report()
        return {entry.file.display_path: entry.advice for entry in report.entries}

    return run


def test_wrong_folders_are_found_wherever_they_are(adapter_file, models, advice):
    wrong = ["clip_vision/a.safetensors", "checkpoints/b.bin", "controlnet/c.safetensors"]
    wrong += ["loras/sub/d.safetensors", "IPAdapters/e.safetensors", "f.safetensors"]
    for name in [*wrong, "ipadapter/good.safetensors"]:
        adapter_file(name)
    encoder_file(models / "ipadapter" / "e.safetensors")
    encoder_file(models / "clip_vision" / "e.safetensors")
    encoder_file(models / "diffusers" / "x" / "model.safetensors")
    (models / "diffusers" / "x" / "config.json").touch()
    make_models.save(models / "loras" / "real.safetensors", {"lora_te_a.weight": torch.zeros(1)})
    assert advice() == {
        "models/clip_vision/e.safetensors": "",
        "models/ipadapter/good.safetensors": "",
        "models/ipadapter/e.safetensors": "is an image encoder in the wrong folder: move it to "
        "models/clip_vision",
        **{f"models/{name}": ADAPTER for name in wrong},
    }


def test_near_misses_are_said_in_one_sentence_each(adapter_file, models, advice):
    good = Path(adapter_file("ipadapter/good.safetensors"))
    whole, folder = good.read_bytes(), models / "ipadapter"
    for name in ("a .safetensors", "b.safetensors.1"):
        (folder / name).write_bytes(whole)
    for name in ("cut.safetensors", "c.safetensors.crdownload", ".d.safetensors.part"):
        (folder / name).write_bytes(whole[:5000])
    (folder / "page.bin").write_text("<!doctype html><html>")
    (folder / "lfs.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid x")
    (folder / "empty.bin").touch()
    (folder / "text.pth").write_text("hello")
    (folder / "gone.safetensors").symlink_to(models / "nothing")
    (folder / "readme.md").write_text("hello")
    make_models.save(folder / "lora.safetensors", {"lora_te_a.weight": torch.zeros(1)})
    expected = {
        "a .safetensors": "stray space or copy mark in its name, so other people's graphs do "
        "not find it: rename it to 'a.safetensors'",
        "b.safetensors.1": "is complete, but ComfyUI does not list it under this name: rename "
        "it to 'b.safetensors'",
        "cut.safetensors": "is damaged or cut off",
        "c.safetensors.crdownload": "is an unfinished download of 5000 bytes: finish the "
        "download, or delete it",
        ".d.safetensors.part": "is an unfinished download",
        "page.bin": "is a web page, not a model",
        "lfs.safetensors": "is a Git LFS pointer",
        "empty.bin": "is empty",
        "text.pth": "is neither a safetensors nor a torch file",
        "gone.safetensors": "is a link to a missing file",
        "lora.safetensors": "is a LoRA, not an adapter; move it to models/loras",
        "good.safetensors": "",
    }
    found = advice()
    assert set(found) == {f"models/ipadapter/{name}" for name in expected}
    for name, part in expected.items():
        assert part in found[f"models/ipadapter/{name}"]


def test_a_changed_file_is_read_again_and_a_folder_that_links_to_itself_ends(
    adapter_file, models, advice
):
    path = Path(adapter_file("ipadapter/a.safetensors"))
    (models / "loras" / "round").symlink_to(models / "loras")
    assert advice() == {"models/ipadapter/a.safetensors": ""}
    path.write_bytes(b"<html>")
    assert "is a web page" in advice()["models/ipadapter/a.safetensors"]


def test_one_folder_for_adapters_and_encoders_is_no_wrong_folder(
    adapter_file, models, advice, host
):
    import folder_paths

    both = str(models / "ipadapter")
    endings = folder_paths.supported_pt_extensions
    folder_paths.folder_names_and_paths["clip_vision"] = ([both], endings)
    adapter_file("ipadapter/a.safetensors")
    encoder_file(models / "ipadapter" / "e.safetensors")
    assert set(advice().values()) == {""}


def test_the_node_says_it_all_and_nothing_of_the_person(
    adapter_file, models, nodes_by_id, tmp_path, pack
):
    adapter_file("ipadapter/a.safetensors")
    encoder_file(models / "clip_vision" / "e.safetensors")
    (models / "ipadapter" / "bad.bin").write_bytes(b"PK" + str(tmp_path).encode() * 9)
    (models / "ipadapter" / "gone.bin").symlink_to(tmp_path / "nothing")
    metadata = {
        "format": pack.nodes.references.embeds.to_file.__globals__["FORMAT"],
        "encoder": "CLIP ViT-H",
    }
    seen = {"positive": torch.zeros(1, 1024)}
    pack.nodes.references.embeds.save_file(seen, tmp_path / "output" / "x.safetensors", metadata)
    pack.nodes.references.embeds.save_file(seen, tmp_path / "output" / "y.safetensors")
    torch.save(torch.zeros(2, 1024), tmp_path / "input" / "z.ipadpt")
    node = nodes_by_id["IPAdapterDoctor"]
    output = node.execute("SD1.5", "look")
    (text,) = output.args
    assert output.ui["text"] == (text,)
    assert "models/ipadapter/a.safetensors: SD1.5 base, 4 tokens" in text
    assert "works with e.safetensors" in text
    assert "models/ipadapter/bad.bin is damaged" in text
    assert "output/x.safetensors: embeds of CLIP ViT-H" in text
    assert "y.safetensors" not in text
    assert "input/z.ipadpt: embeds of 2 images, width 1024" in text
    assert (
        "For SD1.5, to follow the look of an image: ready\n  a.safetensors with e.safetensors"
        in text
    )
    assert text.count("\nFor ") == 1
    for private in (str(tmp_path), str(Path.home()), "home of somebody", os.uname().nodename):
        assert private not in text
    assert node.execute("every", "every").args[0].count("\nFor ") == 6
    assert node.fingerprint_inputs("SD1.5", "look") != node.fingerprint_inputs("SD1.5", "look")


def test_recognisers_are_listed_wherever_they_lie_and_damaged_ones_too(
    pack, adapter_file, models, advice
):
    adapter_file("ipadapter/face.bin", "ip-adapter-faceid_sd15")
    (models / "insightface" / "models" / "buffalo_l").mkdir(parents=True)
    (models / "insightface" / "models" / "buffalo_l" / "w600k_r50.onnx").write_bytes(b"cut")
    (models / "insightface" / "inswapper_128.onnx").write_bytes(b"something else")
    needs = (
        "needs the face recogniser w600k_r50, but 'w600k_r50.onnx' cannot be used (delete it): "
        "download 'w600k_r50.onnx' (174.4 MB, licence: non-commercial research) into "
        "models/insightface"
    )
    said = advice()
    fault = said.pop("models/insightface/models/buffalo_l/w600k_r50.onnx")
    assert fault.endswith("('w600k_r50.onnx' has 174.4 MB)")
    assert said == {"models/ipadapter/face.bin": needs}
    arcface.save_shapes(
        arcface.TrainedIResNet(arcface.R50), models / "ipadapter" / "recogniser.safetensors"
    )
    assert advice() == {
        "models/ipadapter/face.bin": "",
        "models/ipadapter/recogniser.safetensors": "",
        "models/insightface/models/buffalo_l/w600k_r50.onnx": fault,
    }
    texts = {entry.file.name: entry.text for entry in pack.nodes.doctor.scan.report().entries}
    assert texts["recogniser.safetensors"] == "IResNet50, not one of the published files"


def test_adapters_of_equal_shapes_are_told_apart_by_name_and_precision(pack, models):
    """As Load IPAdapter does, but for the SHA-256."""
    small = Base(2048, (8,))
    raw, plus = adapter(small, resampler(small, 128, 512)), layout("ip-adapter-faceid-plus_sd15")
    expected = {
        "ip-adapter-faceid-plus_sd15.bin": (plus, "F16", "SD1.5 FaceID plus, "),
        "a.safetensors": (plus, "F16", "SD1.5 FaceID plus v2, "),
        "b.safetensors": (raw, "F32", "SDXL InstantID, "),
        "c.safetensors": (raw, "F16", "SDXL FaceID portrait unnorm, "),
        "instantid d.safetensors": (raw, "F16", "SDXL InstantID, "),
    }
    for name, (shapes, dtype, _) in expected.items():
        arcface.hollow_file(models / "ipadapter" / name, shapes, dtype)
    weights = {key: torch.zeros(shape) for key, shape in raw.items()}
    torch.save(make_models.nested(weights), models / "ipadapter" / "ip-adapter.bin")
    expected["ip-adapter.bin"] = (raw, "F32", "SDXL InstantID, ")
    entries = pack.nodes.doctor.scan.report().of("adapter")
    texts = {entry.file.name: entry.text for entry in entries}
    assert texts.keys() == expected.keys()
    for name, (*_, start) in expected.items():
        assert texts[name].startswith(start)
        assert ("recogniser glintr100" in texts[name]) == ("InstantID" in start)
