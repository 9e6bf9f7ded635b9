"""What nodes say where no file is found: which of those that are there explains it."""

import shutil

import make_models
import pytest
from adapter_layouts import Base
from support.model_files import adapter, encoder_file, encoder_header

pytestmark = pytest.mark.host

PLUS = "ip-adapter-plus_sd15.safetensors"


@pytest.fixture
def image_prompt(pack):
    """The sentence with which Image Prompt refuses, for SD1.5."""
    plan, table = pack.nodes.apply.plan, pack.ipadapter_core.doctor.model_table.load()

    def run(*adapters, task="whole image"):
        request = plan.Request(task, "balanced", plan.Strength(1.0))
        with pytest.raises(ValueError) as error:
            plan.plan_inputs(
                request, "SD1.5", adapters, table, pack.nodes.files.missing_files.explain_missing
            )
        return str(error.value)

    return run


def test_an_adapter_in_a_folder_for_others_is_named(models, adapter_file, image_prompt):
    adapter_file(f"checkpoints/{PLUS}", "ip-adapter-plus_sd15")
    assert image_prompt().startswith(
        "Image Prompt finds no adapter for the task 'whole image' and SD1.5 in models/ipadapter; "
        f"models/checkpoints/{PLUS} is an adapter in the wrong folder: move it to "
        f"models/ipadapter; the published one is {PLUS} (https://"
    )


def test_a_file_that_is_no_model_is_named_with_the_fault(models, image_prompt):
    (models / "ipadapter" / PLUS).write_text("<!doctype html><html>")
    sentence = image_prompt()
    assert f"; '{PLUS}' is a web page, not a model: download the file" in sentence
    (models / "ipadapter" / f"{PLUS}.crdownload").write_bytes(b"0" * 99)
    assert f"'{PLUS}.crdownload' is an unfinished download of 99 bytes" in image_prompt()


def test_adapters_for_other_models_and_tasks_are_named_as_such(pack, models, image_prompt):
    xl = make_models.adapter_tensors("ip-adapter-plus_sdxl_vit-h", Base(2048, (8,) * 70))
    make_models.save(models / "ipadapter" / "xl.safetensors", xl)
    make_models.save(models / "loras" / "xl.safetensors", xl)  # no help for SD1.5
    spec = pack.ipadapter_core.adapter.checkpoint.read_spec(adapter("ip-adapter-full-face_sd15"))
    face = pack.nodes.apply.plan.InstalledAdapter("full-face.bin", spec, True)
    sentence = image_prompt(face)
    assert "; 'full-face.bin' is for the task 'face'; 'xl.safetensors' is for SDXL; the" in sentence
    assert "loras" not in sentence


def test_an_encoder_elsewhere_and_one_of_another_kind_are_named(
    models, adapter_file, nodes_by_id, image_prompt
):
    adapter_file("ipadapter/a.safetensors")
    encoder_file(models / "ipadapter" / "h.safetensors")
    (models / "clip_vision" / "cut.safetensors").write_bytes(b"")
    make_models.save(models / "clip_vision" / "l.safetensors", encoder_header("l"))
    loaded = nodes_by_id["LoadIPAdapter"].execute("a.safetensors").args[0]
    with pytest.raises(ValueError, match="needs CLIP ViT-H/14, but no installed") as error:
        nodes_by_id["LoadCLIPVision"].execute("auto", loaded)
    assert str(error.value).endswith(
        "(IPAdapter Doctor can download it); 'cut.safetensors' is empty (0 bytes): "
        "download it again; models/ipadapter/h.safetensors is an image encoder in the wrong "
        "folder: move it to models/clip_vision; 'l.safetensors' is CLIP ViT-L/14."
    )


def test_a_missing_file_of_a_template_is_named_where_it_is(models, adapter_file, nodes_by_id):
    adapter_file(f"checkpoints/sub/{PLUS}")
    check = nodes_by_id["LoadIPAdapter"].validate_inputs
    assert "is in" not in check(PLUS)
    shutil.move(models / "checkpoints" / "sub" / PLUS, models / "checkpoints" / PLUS)
    assert f"a file of that name is in '{models / 'checkpoints'}': move it here" in check(PLUS)
