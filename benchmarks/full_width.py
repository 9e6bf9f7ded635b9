"""FLUX.1 and SD3.5 Large with adapters at their full widths, few blocks, against diffusers with the
same weights.

Called by scripts/bench with the host's folder. The tests compare small models: these take 3 GB.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import inside

WEIGHT = 0.7
SIZE = (16, 24)  # of the latent: 96 tokens
BOUND = 5e-6  # of the range: MODEL_CALL and FLUX of the tests


@contextmanager
def calls_of(model: Any) -> Iterator[list[SimpleNamespace]]:
    """Every call of the transformer while the host samples, and what it gave."""
    module, calls = model.model.diffusion_model, []
    forward = module.forward

    def noting(x, timesteps, context, y=None, guidance=None, transformer_options=None, **rest):
        out = forward(
            x,
            timesteps,
            context=context,
            y=y,
            transformer_options=transformer_options,
            **({} if guidance is None else {"guidance": guidance}),
            **rest,
        )
        roles = transformer_options["cond_or_uncond"]
        call = {"x": x, "timesteps": timesteps, "context": context, "pooled": y}
        calls.append(SimpleNamespace(**call, guidance=guidance, roles=roles, out=out))
        return out

    module.forward = noting
    try:
        yield calls
    finally:
        del module.forward


def with_reference(pack: Any, model: Any, adapter: Any, sides: list[Any]) -> Any:
    """sides: features of the positive and of the negative reference."""
    import nodes

    (feature,) = adapter.spec.inputs
    embeds = [pack.nodes.sockets.References.of(side, feature.name) for side in sides]
    inputs = {"embeds": embeds[0], "embeds_negative": embeds[1], "weight": WEIGHT}
    return nodes.NODE_CLASS_MAPPINGS["ApplyIPAdapter"].execute(model, adapter, **inputs).args[0]


def differences(calls: list[SimpleNamespace], expected: Any) -> float:
    """The largest of all calls, as a share of the range."""
    from support.compare import difference

    return max(float(difference(call.out, expected(call))) for call in calls)


def sd35(pack: Any) -> float:
    """Two joint blocks, the last one among them."""
    import adapter_layouts
    import make_models
    import torch
    from support import tiny_sd3

    model = tiny_sd3.model(blocks=38, num_blocks=2)  # 38 gives the width
    shapes = adapter_layouts.sd3(blocks=2)
    tensors = make_models.draw(shapes, make_models.generator("wide", 0), torch.float32)
    transformer = tiny_sd3.twin(model)
    transformer._load_ip_adapter_weights(make_models.nested(tensors), low_cpu_mem_usage=False)
    for processor in transformer.attn_processors.values():
        processor.scale = WEIGHT
    transformer.eval().requires_grad_(False)
    adapter = pack.nodes.files.load.loaded_adapter("SD3.5", tensors)
    sides = [torch.randn(1, 729, 1152), torch.zeros(1, 729, 1152)]
    patched = with_reference(pack, model, adapter, sides)
    with calls_of(patched) as calls:
        tiny_sd3.sample(patched, size=SIZE, steps=1)

    def expected(call: SimpleNamespace) -> Any:
        embeds = torch.cat([sides[role] for role in call.roles])
        return transformer(
            hidden_states=call.x,
            encoder_hidden_states=call.context,
            pooled_projections=call.pooled,
            timestep=call.timesteps,
            return_dict=False,
            joint_attention_kwargs={"ip_adapter_image_embeds": embeds},
        )[0]

    return differences(calls, expected)


def flux(pack: Any) -> float:
    """XLabs' adapter; a double and a single block."""
    import adapter_layouts
    import make_models
    import torch
    from support import tiny_flux

    sizes = {"hidden_size": 3072, "num_heads": 24, "depth": 1, "depth_single_blocks": 1}
    model = tiny_flux.model(**sizes)
    shapes = adapter_layouts.flux_xlabs(text=tiny_flux.TEXT_WIDTH, blocks=1)
    tensors = make_models.draw(shapes, make_models.generator("wide", 1), torch.float32)
    transformer = tiny_flux.twin(model)
    with tempfile.TemporaryDirectory() as folder:
        path = make_models.save(Path(folder) / "adapter.safetensors", tensors)
        tiny_flux.load_adapters(transformer, [path], WEIGHT)
    adapter = pack.nodes.files.load.loaded_adapter("FLUX.1", tensors)
    positive, negative = torch.randn(2, 1, 768)
    patched = with_reference(pack, model, adapter, [positive, negative])
    with calls_of(patched) as calls:
        tiny_flux.sample(patched, size=SIZE, steps=1)
    pair = [(negative, positive)]
    return differences(calls, lambda call: tiny_flux.diffusers_output(transformer, call, pair))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    options = parser.parse_args()
    pack = inside.start(options.tree)
    sys.path.append(str(inside.PACK / "tests"))
    import torch

    results = []
    for name, compare in {"SD3.5 Large, 2 blocks": sd35, "FLUX.1 XLabs, 2 blocks": flux}.items():
        with torch.inference_mode():
            results.append(compare(pack))
        print(f"{name} at full width: {results[-1]:.1e} of the range off diffusers'", flush=True)
    if not max(results) <= BOUND:
        sys.exit("That is too much.")


if __name__ == "__main__":
    main()
