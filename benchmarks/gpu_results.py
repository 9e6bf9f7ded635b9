"""Small models with adapters on a GPU against the same on the CPU."""

import sys
from typing import Any

import inside

NAMES = {"sd15": "ip-adapter-plus_sd15", "sdxl": "ip-adapter-plus_sdxl_vit-h"}
TOLERANCE = 2e-3  # of the range: TF32 and other orders of summation


def results(pack: Any) -> dict:
    """The results of small models of the real topologies, with and without a mask."""
    sys.path.append(str(inside.PACK / "tests"))
    import make_models
    import torch
    import variants
    from support import tiny

    import comfy.model_patcher
    import comfy.ops
    import nodes

    outputs = {}
    for kind, name in NAMES.items():
        tensors = make_models.adapter_tensors(name, tiny.SMALL[kind], 0, torch.float32)
        module = pack.nodes.files.load.build(tensors, comfy.ops.manual_cast)
        devices = comfy.model_management.text_encoder_device(), torch.device("cpu")
        patcher = comfy.model_patcher.CoreModelPatcher(module, *devices)
        adapter = pack.nodes.sockets.LoadedAdapter(name, module.spec, patcher)
        source = torch.Generator().manual_seed(3)
        for mask in (None, torch.rand(1, 31, 47, generator=source)):
            model = variants.ours(
                nodes.NODE_CLASS_MAPPINGS, tiny.model(kind), [adapter], tiny.features(5), mask
            )
            out = tiny.sample(model, tiny.text(kind))
            outputs[f"{kind} {'whole' if mask is None else 'masked'}"] = out.float().cpu().clone()
    return outputs | transformer_results(pack)


def transformer_results(pack: Any) -> dict:
    """The same of small FLUX.1 and SD3.5."""
    sys.path.append(str(inside.PACK / "tests"))
    import make_flux
    import make_sd3
    import torch
    from support import tiny_flux, tiny_sd3

    flux, sd35 = tiny_flux.model(), tiny_sd3.model()
    source, outputs = torch.Generator().manual_seed(3), {}
    for name, model, tensors, sample in (
        ("flux XLabs", flux, make_flux.adapter_tensors(), tiny_flux.sample),
        ("flux InstantX", flux, make_flux.instantx_tensors(), tiny_flux.sample),
        ("sd35", sd35, make_sd3.adapter_tensors(), tiny_sd3.sample),
    ):
        adapter = pack.nodes.files.load.loaded_adapter(name, tensors)
        (feature,) = adapter.spec.inputs
        shape = (1, 729, feature.width) if name == "sd35" else (1, feature.width)
        sides = [torch.randn(shape, generator=source) for _ in range(2)]
        for mask in (None, torch.rand(1, 31, 47, generator=source)):
            patched = with_references(pack, model, adapter, sides, mask)
            outputs[f"{name} {'whole' if mask is None else 'masked'}"] = (
                sample(patched).float().cpu().clone()
            )
    return outputs


def with_references(pack: Any, model: Any, adapter: Any, sides: list, mask: Any) -> Any:
    """sides: features of the positive and the negative reference."""
    import torch

    import nodes

    (feature,) = adapter.spec.inputs
    embeds, negative = (pack.nodes.sockets.References.of(side, feature.name) for side in sides)
    inputs = {"embeds": embeds, "embeds_negative": negative, "weight": 0.7, "attn_mask": mask}
    with torch.no_grad():
        apply = nodes.NODE_CLASS_MAPPINGS["ApplyIPAdapter"]
        return apply.execute(model, adapter, **inputs).args[0]


def compare(pack: Any, path: str, label: str) -> None:
    from safetensors.torch import load_file

    everything = results(pack)
    for name, expected in load_file(path).items():
        gpu_result = everything[name]
        error = float((gpu_result - expected).abs().max() / (expected.max() - expected.min()))
        print(f"{label}, {name}: differs from the CPU by {error:.1e} of the range")
        if not error <= TOLERANCE:
            sys.exit("That is too much.")
