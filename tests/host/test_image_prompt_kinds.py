"""Image Prompt on FLUX.1, SD3.5 and Kolors: the adapter it finds, and tasks without a meaning."""

import re

import make_flux
import make_models
import pytest
import torch
from adapter_layouts import layout
from support import tiny_flux, tiny_sd3
from support.model_files import encoder_header

pytestmark = pytest.mark.host
KOLORS = "Kolors-IP-Adapter-Plus"
ENCODERS = {"l.safetensors": "l", "l336.safetensors": "l336"}


@pytest.fixture
def install(tmp_path, host, monkeypatch):
    """Adapters as the only files of models/ipadapter, beside encoders of CLIP alone."""
    import folder_paths

    for kind in ("clip_vision", "ipadapter"):
        (tmp_path / kind).mkdir()
        paths = [str(tmp_path / kind)], folder_paths.supported_pt_extensions
        monkeypatch.setitem(folder_paths.folder_names_and_paths, kind, paths)
        monkeypatch.delitem(folder_paths.filename_list_cache, kind, raising=False)
    for name, kind in ENCODERS.items():
        make_models.save(tmp_path / "clip_vision" / name, encoder_header(kind))

    def run(**adapters):
        for name, tensors in adapters.items():
            make_models.save(tmp_path / "ipadapter" / f"{name}.safetensors", tensors)

    return run


@pytest.fixture
def plan_for(pack):
    """(model, task) -> file, layers and weight, among what is installed."""
    plan, table = pack.nodes.apply.plan, pack.ipadapter_core.doctor.model_table.load()

    def run(model, task):
        kind = pack.nodes.sampling.layers.model_kind(model)
        adapters = pack.nodes.apply.image_prompt_node.fitting_adapters(kind)
        request = plan.Request(task, "balanced", plan.Strength(1.0))
        chosen = plan.plan_inputs(request, kind.base_model, adapters, table, lambda *_: [])
        return chosen.ipadapter_file, chosen.task, chosen.strength.weight

    return run


@pytest.fixture
def refusal(nodes_by_id):
    """The sentence with which the node stops."""

    def run(model, task):
        image = torch.rand(1, 16, 16, 3, generator=torch.Generator().manual_seed(0))
        with pytest.raises(ValueError) as error:
            nodes_by_id["ImagePrompt"].execute(model, image, task, "balanced")
        return str(error.value)

    return run


def test_each_model_gets_the_adapter_for_its_kind(install, plan_for, tiny):
    install(flux=make_flux.adapter_tensors(), kolors=tiny.adapter_tensors(KOLORS))
    assert plan_for(tiny_flux.model(), "whole image") == ("flux.safetensors", "whole image", 0.84)
    kolors = tiny.model("kolors")
    assert plan_for(kolors, "whole image") == ("kolors.safetensors", "whole image", 0.7)
    assert plan_for(kolors, "style") == ("kolors.safetensors", "style", 1.0)
    shapes = layout("Kolors-IP-Adapter-FaceID-Plus", tiny.SMALL["kolors"])
    install(face={key: torch.zeros(shape, dtype=torch.half) for key, shape in shapes.items()})
    assert plan_for(kolors, "face identity") == ("face.safetensors", "whole image", 0.8)


@pytest.mark.parametrize("task", ["style", "composition", "style and composition", "subject"])
def test_a_task_without_known_layers_is_refused_before_anything_is_encoded(install, refusal, task):
    install(flux=make_flux.adapter_tensors())
    sentence = f"Image Prompt's 'task' is '{task}', but it is not known which layers of this"
    assert refusal(tiny_flux.model(), task).startswith(sentence)


def test_a_task_for_which_nobody_published_an_adapter_is_refused(install, refusal, tiny):
    install(flux=make_flux.adapter_tensors())
    sentence = "Image Prompt knows of no published adapter for the task 'face' and {}: choose"
    assert refusal(tiny_flux.model(), "face").startswith(sentence.format("FLUX.1"))
    assert refusal(tiny.model("kolors"), "face").startswith(sentence.format("Kolors"))
    install(sd3=tiny_sd3.adapter_tensors())
    assert refusal(tiny_sd3.model(), "face identity").startswith(
        "Image Prompt knows of no published adapter for the task 'face identity' and SD3.5"
    )


def test_an_encoder_that_is_missing_as_well_is_named_with_the_adapter(install, refusal, tiny):
    install()
    sentence = refusal(tiny_sd3.model(), "whole image")
    assert "put SD3.5-Large-IP-Adapter.bin (https://huggingface.co/" in sentence
    too = r"and press R; it also needs \S+ \(https:\S+\) in models/clip_vision\.$"
    assert re.search(too, sentence)
    kolors = refusal(tiny.model("kolors"), "whole image")
    assert kolors.endswith("and press R.")  # its encoder, CLIP ViT-L/14-336, is installed


def test_on_sd3_the_encoder_that_is_missing_is_named(install, refusal):
    install(sd3=tiny_sd3.adapter_tensors())
    sentence = refusal(tiny_sd3.model(), "whole image")
    assert "uses 'sd3.safetensors', which needs SigLIP so400m/14-384, but that is not" in sentence
    assert "https://huggingface.co/" in sentence
