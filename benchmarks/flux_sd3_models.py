"""FLUX.1 and SD3.5 Large with few blocks, and adapters on them.

In the host's own classes. As in hollow.py, attention and norms are real, and every projection gives
back ready-made tensors.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

XLABS, INSTANTX, SD35 = "FLUX.1 XLabs v2", "FLUX.1 InstantX", "SD3.5 Large"
WEIGHT = 0.7
FLUX_HEAD, SD3_HEAD = 128, 64  # widths


class Sizes(NamedTuple):
    """The real widths and numbers of tokens, with few blocks and a small image."""

    double: int = 8
    single: int = 6
    joint: int = 4
    flux_heads: int = 24
    sd3_heads: int = 38
    text_width: int = 4096
    text_tokens: int = 64
    xlabs_tokens: int = 16
    instantx_tokens: int = 128
    resampler: int = 1280  # its width within
    latent: int = 32  # its side; a token is 2 of it wide

    @property
    def flux_width(self) -> int:
        return self.flux_heads * FLUX_HEAD

    @property
    def sd3_width(self) -> int:
        return self.sd3_heads * SD3_HEAD


REAL = Sizes()
SMALL = Sizes(1, 1, 2, 2, 3, 768, 5, 4, 8, 128, 8)  # for trying the measurement itself


class Case(NamedTuple):
    """One adapter on one model."""

    pack: Any
    name: str
    plain: Any
    adapter: Any
    sizes: Sizes

    @property
    def layers(self) -> int:
        return len(self.adapter.spec.layers)

    @property
    def heads(self) -> int:
        return self.sizes.sd3_heads if self.name == SD35 else self.sizes.flux_heads

    def apply(self, references: int = 1, **settings: Any) -> Any:
        """The model with so many references on it."""
        import torch

        import nodes

        (feature,) = self.adapter.spec.inputs
        shape = (729, feature.width) if self.name == SD35 else (feature.width,)
        embeds = self.pack.nodes.sockets.References
        sides = [embeds.of(torch.randn(n, *shape), feature.name) for n in (references, 1)]
        inputs = {"embeds": sides[0], "embeds_negative": sides[1], "weight": WEIGHT, **settings}
        with torch.no_grad():
            node = nodes.NODE_CLASS_MAPPINGS["ApplyIPAdapter"]
            return node.execute(self.plain, self.adapter, **inputs).args[0]

    def sample(
        self, model: Any, step: Callable[[Any], Any], steps: int, is_time_still: bool = True
    ) -> None:
        """One sampling of the host in which step(call) runs one call of the model; with both
        prompts in a batch for SD3.5.

        is_time_still: the same sigma in all steps, so that no image tokens are made.
        """
        import torch

        import comfy.sample
        from comfy.samplers import KSAMPLER

        def sampler(denoise, noise, _, extra_args=None, callback=None, disable=None):
            for number in range(steps):
                moment = 0 if is_time_still else number
                sigma = noise.new_full([len(noise)], 0.9 - 0.8 * moment / steps)
                out = step(partial(denoise, noise, sigma, **extra_args))
            return out

        pooled, cfg = (2048, 4.0) if self.name == SD35 else (768, 1.0)
        text = torch.ones(1, self.sizes.text_tokens, self.sizes.text_width)
        conds = [[text, {"pooled_output": torch.ones(1, pooled)}]]
        latent = torch.zeros(1, 16, self.sizes.latent, self.sizes.latent)
        settings = (KSAMPLER(sampler), torch.tensor([0.9, 0.0]), conds, conds, latent)
        with torch.no_grad():
            comfy.sample.sample_custom(model, latent + 1, cfg, *settings, disable_pbar=True, seed=0)


def cases(pack: Any, sizes: Sizes, device: str = "cpu", part_of_name: str = "") -> Iterator[Case]:
    """Those with that in their name, one after another in memory."""
    import adapter_layouts

    flux, sd35 = (host_model(kind, sizes, device) for kind in ("flux", "sd35"))
    xlabs = adapter_layouts.flux_xlabs(
        sizes.xlabs_tokens, sizes.text_width, sizes.flux_width, sizes.double
    )
    base = adapter_layouts.Base(
        sizes.text_width, (sizes.flux_width,) * (sizes.double + sizes.single)
    )
    # its projection is narrow: that runs once, before sampling
    instantx = adapter_layouts.flux_instantx(base, sizes.instantx_tokens, hidden=64)
    joint = adapter_layouts.sd3(sizes.resampler, sizes.sd3_width, sizes.joint)
    layouts = ((XLABS, flux, xlabs), (INSTANTX, flux, instantx), (SD35, sd35, joint))
    for name, model, each in layouts:
        if part_of_name in name:
            yield Case(pack, name, model, opened(pack, name, each), sizes)


def host_model(kind: str, sizes: Sizes, device: str = "cpu") -> Any:
    """A ModelPatcher around the host's own class without weights."""
    import hollow
    import make_flux
    import make_sd3
    import torch

    import comfy.supported_models

    if kind == "flux":
        widths = {"hidden_size": sizes.flux_width, "num_heads": sizes.flux_heads}
        blocks = {"depth": sizes.double, "depth_single_blocks": sizes.single}
        text = {"context_in_dim": sizes.text_width}
        config = comfy.supported_models.Flux({**make_flux.FLUX, **widths, **blocks, **text})
    else:  # its depth gives the width
        widths = {"adm_in_channels": 2048, "pos_embed_max_size": 64, "num_patches": 64 * 64}
        widths["num_blocks"] = sizes.joint
        config = comfy.supported_models.SD3({**make_sd3.config(sizes.sd3_heads), **widths})
    config.set_inference_dtype(torch.bfloat16, None)
    base = config.get_model({}, "", device=torch.device("meta"))
    hollow_projections(base.diffusion_model, hollow.Supply(torch.bfloat16, device))
    return hollow.patcher_of(base)


def hollow_projections(module: Any, supply: Any) -> None:
    """Linear and convolution layers give ready tensors and lose their weights; norms keep ones."""
    import torch

    for name, part in module.named_modules():
        if hasattr(part, "out_features"):
            kind = supply.noise if name.endswith(("qkv", "linear1")) else supply.zeros
            part.forward = partial(_projected, kind, part.out_features)
        elif hasattr(part, "kernel_size"):
            part.forward = partial(_patched, supply, part.out_channels)
        is_dropped = hasattr(part, "out_features") or hasattr(part, "kernel_size")
        for key, weight in part._parameters.items():
            if weight is not None:
                value = torch.empty(0) if is_dropped else torch.ones(weight.shape)
                part._parameters[key] = torch.nn.Parameter(value.to(supply.dtype), False)
        for key, buffer in part._buffers.items():
            part._buffers[key] = torch.zeros(buffer.shape, dtype=supply.dtype)


def _projected(kind: Any, width: int, x: Any, *_: Any, **__: Any) -> Any:
    return kind(*x.shape[:-1], width)


def _patched(supply: Any, channels: int, x: Any) -> Any:
    return supply.zeros(len(x), channels, x.shape[2] // 2, x.shape[3] // 2)


def opened(pack: Any, name: str, layout: dict) -> Any:
    """An adapter as Load IPAdapter would open it."""
    import variants

    import comfy.model_management as management
    import comfy.model_patcher
    import comfy.ops

    module = pack.nodes.files.load.build(variants.tensors(layout), comfy.ops.manual_cast)
    devices = management.text_encoder_device(), management.text_encoder_offload_device()
    patcher = comfy.model_patcher.CoreModelPatcher(module, *devices)
    return pack.nodes.sockets.LoadedAdapter(name, module.spec, patcher)
