"""A small FLUX.1 in the host, and adapters of XLabs for it."""

from dataclasses import dataclass

import make_flux
import make_models
import pytest
import torch

WEIGHT = 0.8


@pytest.fixture(autouse=True)
def host_of_flux(request, pack):
    """A ComfyUI that is too old is asked for its sentence alone."""
    problem = pack.nodes.sampling.flux.FluxLayout().host_problem()
    if problem and "host_without_queries" not in request.node.name:
        pytest.skip(problem)


@dataclass
class FluxCall:
    """One call of the transformer while the host samples."""

    x: torch.Tensor
    timesteps: torch.Tensor
    context: torch.Tensor
    pooled: torch.Tensor
    guidance: torch.Tensor
    roles: list[int]
    out: torch.Tensor


@pytest.fixture(scope="module")
def flux(host):
    from support import tiny_flux

    return tiny_flux


@pytest.fixture(scope="module")
def model(flux):
    return flux.model()


@pytest.fixture(scope="module")
def load_file(pack, tmp_path_factory):
    """tensors -> (the adapter as Load IPAdapter opens it from a file, the file)."""
    import comfy.ops
    from comfy.model_patcher import CoreModelPatcher

    folder = tmp_path_factory.mktemp("flux")

    def load(tensors, name):
        path = make_models.save(folder / f"{name}.safetensors", tensors)
        module = pack.nodes.files.load.build(
            pack.nodes.files.open_files.read_weights(str(path)), comfy.ops.manual_cast
        )
        patcher = CoreModelPatcher(module, torch.device("cpu"), torch.device("cpu"))
        return pack.nodes.sockets.LoadedAdapter(path.name, module.spec, patcher), path

    return load


@pytest.fixture(scope="module")
def xlabs(load_file):
    return load_file(make_flux.adapter_tensors(), "first")


@pytest.fixture(scope="module")
def instantx(load_file):
    return load_file(make_flux.instantx_tensors(), "instantx")


@pytest.fixture
def apply_instantx(nodes_by_id, pack, instantx):
    """(model, references [N, 1152] of SigLIP's pooling head, settings) -> the model with them."""

    def run(model, pooled, **settings):
        embeds = pack.nodes.sockets.References.of(pooled, "siglip_pooled")
        inputs = {"embeds": embeds, "weight": WEIGHT}
        return (
            nodes_by_id["ApplyIPAdapter"].execute(model, instantx[0], **inputs | settings).args[0]
        )

    return run


@pytest.fixture
def apply_flux(nodes_by_id, xlabs, tiny):
    def run(model, seed=5, count=1, adapter=None, **settings):
        inputs = {
            "clip_vision_output": tiny.features(seed, count, projection=768),
            "clip_vision_output_negative": tiny.features(seed + 1, projection=768),
            "weight": WEIGHT,
        }
        node = nodes_by_id["ApplyIPAdapter"]
        return node.execute(model, adapter or xlabs[0], **inputs | settings).args[0]

    return run


@pytest.fixture
def flux_calls(flux):
    """Samples with the host's KSampler and returns every call of the transformer."""
    from comfy.patcher_extension import WrappersMP

    def run(model, **settings):
        calls = []

        def watch(executor, x, timesteps, context, y, guidance, *args, **kwargs):
            out = executor(x, timesteps, context, y, guidance, *args, **kwargs)
            calls.append(
                FluxCall(x, timesteps, context, y, guidance, args[-1]["cond_or_uncond"], out)
            )
            return out

        model = model.clone()
        model.add_wrapper(WrappersMP.DIFFUSION_MODEL, watch)
        flux.sample(model, **settings)
        assert calls
        return calls

    return run


@pytest.fixture
def plain(flux, model):
    return flux.sample(model)


@pytest.fixture
def second_block_input(flux):
    """The image that comes to the second double block in the first step, from a patch there that
    another pack placed.
    """

    def run(model, **settings):
        images = []

        def look(arguments, extra):
            images.append(arguments["img"].clone())
            return extra["original_block"](arguments)

        model = model.clone()
        model.set_model_patch_replace(look, "dit", "double_block", 1)
        flux.sample(model, steps=1, **settings)
        (image,) = images
        return image

    return run


@pytest.fixture
def own_encoders(host, tmp_path, monkeypatch):
    """The host's folder of encoders, empty."""
    import folder_paths

    folder = [str(tmp_path)], folder_paths.supported_pt_extensions
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "clip_vision", folder)
    monkeypatch.delitem(folder_paths.filename_list_cache, "clip_vision", raising=False)
    return tmp_path
