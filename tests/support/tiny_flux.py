"""A small FLUX.1 in ComfyUI and in diffusers with the same weights, and XLabs' adapters for it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import make_flux
import torch
from torch import Tensor

HEADS = make_flux.FLUX["num_heads"]
DOUBLE_BLOCKS, SINGLE_BLOCKS = make_flux.FLUX["depth"], make_flux.FLUX["depth_single_blocks"]
TEXT_WIDTH, POOLED_WIDTH = make_flux.FLUX["context_in_dim"], make_flux.FLUX["vec_in_dim"]
TOKENS = 5


def model(seed: int = 0, **sizes: int) -> Any:
    """A ModelPatcher around the host's own FLUX, in float32."""
    import comfy.model_management
    import comfy.model_patcher

    device = comfy.model_management.get_torch_device()
    offload = comfy.model_management.unet_offload_device()
    base = make_flux.flux(seed, **sizes)
    return comfy.model_patcher.CoreModelPatcher(base, load_device=device, offload_device=offload)


def text(seed: int = 1) -> list[Any]:
    """A positive and a negative conditioning."""
    source = torch.Generator().manual_seed(seed)
    return [
        [
            [
                torch.randn(1, TOKENS, TEXT_WIDTH, generator=source),
                {"pooled_output": torch.randn(1, POOLED_WIDTH, generator=source)},
            ]
        ]
        for _ in range(2)
    ]


def sample(
    patcher: Any,
    size: tuple[int, int] = (8, 6),
    batch: int = 1,
    steps: int = 2,
    cfg: float = 1.0,
    **options: Any,
) -> Tensor:
    """The host's KSampler at a latent of `size` (height, width); options: of the conditionings."""
    import comfy.sample

    latent = torch.zeros(batch, 16, *size)
    noise = comfy.sample.prepare_noise(latent, 0, None)
    conditionings = [[[tokens, {**pooled, **options}]] for ((tokens, pooled),) in text()]
    settings = (steps, cfg, "euler", "simple", *conditionings, latent)
    return comfy.sample.sample(patcher, noise, *settings, disable_pbar=True, seed=0)


def twin(patcher: Any) -> Any:
    """diffusers' transformer with the same weights, in the same memory."""
    from diffusers import FluxTransformer2DModel

    model = patcher.model.diffusion_model
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=len(model.double_blocks),
            num_single_layers=len(model.single_blocks),
            attention_head_dim=model.hidden_size // model.num_heads,
            num_attention_heads=model.num_heads,
            joint_attention_dim=TEXT_WIDTH,
            pooled_projection_dim=POOLED_WIDTH,
            guidance_embeds=True,
            axes_dims_rope=(16, 56, 56),
        )
    transformer.load_state_dict(_Converter(model).converted(), assign=True)
    return transformer.eval().requires_grad_(False)


def load_adapters(transformer: Any, paths: Sequence[Path], scale: float) -> None:
    """XLabs' adapters by diffusers' own loader, from the same files."""
    from diffusers.loaders.ip_adapter import FluxIPAdapterMixin

    class Pipeline(FluxIPAdapterMixin):
        """The parts of a pipeline that diffusers' loader needs."""

    pipeline = Pipeline()
    pipeline.transformer = transformer
    folders, names = zip(*((str(path.parent), path.name) for path in paths), strict=True)
    pipeline.load_ip_adapter(list(folders), list(names), [""] * len(paths), low_cpu_mem_usage=False)
    for processor in transformer.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [scale] * len(paths)
    transformer.requires_grad_(False)


def _whole(weight: Tensor) -> Tensor:
    return weight


class _Converter:
    """Weights of the host's FLUX under diffusers' names."""

    def __init__(self, model: Any):
        self.model, self.weights = model, model.state_dict()
        self.renamed: dict[str, Tensor] = {}

    def converted(self) -> dict[str, Tensor]:
        self._put("img_in", "x_embedder")
        self._put("txt_in", "context_embedder")
        for name, other in (("time", "timestep"), ("vector", "text"), ("guidance", "guidance")):
            embedder = f"time_text_embed.{other}_embedder"
            self._put(f"{name}_in.in_layer", f"{embedder}.linear_1")
            self._put(f"{name}_in.out_layer", f"{embedder}.linear_2")
        self._put("final_layer.linear", "proj_out")
        self._put("final_layer.adaLN_modulation.1", "norm_out.linear", _swapped)
        for number in range(len(self.model.double_blocks)):
            self._put_double(f"double_blocks.{number}", f"transformer_blocks.{number}")
        for number in range(len(self.model.single_blocks)):
            self._put_single(f"single_blocks.{number}", f"single_transformer_blocks.{number}")
        return self.renamed

    def _put(self, name: str, other: str, change: Callable[[Tensor], Tensor] = _whole) -> None:
        for kind in ("weight", "bias"):
            self.renamed[f"{other}.{kind}"] = change(self.weights[f"{name}.{kind}"])

    def _put_norms(self, name: str, query: str, key: str) -> None:
        self.renamed[f"{query}.weight"] = self.weights[f"{name}.query_norm.weight"]
        self.renamed[f"{key}.weight"] = self.weights[f"{name}.key_norm.weight"]

    def _put_double(self, name: str, other: str) -> None:
        attention = f"{other}.attn"
        for stream, projections in (
            ("img", ("to_q", "to_k", "to_v")),
            ("txt", ("add_q_proj", "add_k_proj", "add_v_proj")),
        ):
            for part, projection in enumerate(projections):
                self._put(f"{name}.{stream}_attn.qkv", f"{attention}.{projection}", _part(part))
        self._put_norms(f"{name}.img_attn.norm", f"{attention}.norm_q", f"{attention}.norm_k")
        self._put_norms(
            f"{name}.txt_attn.norm", f"{attention}.norm_added_q", f"{attention}.norm_added_k"
        )
        for layer, layer_twin in (
            ("img_mod.lin", "norm1.linear"),
            ("txt_mod.lin", "norm1_context.linear"),
            ("img_attn.proj", "attn.to_out.0"),
            ("txt_attn.proj", "attn.to_add_out"),
            ("img_mlp.0", "ff.net.0.proj"),
            ("img_mlp.2", "ff.net.2"),
            ("txt_mlp.0", "ff_context.net.0.proj"),
            ("txt_mlp.2", "ff_context.net.2"),
        ):
            self._put(f"{name}.{layer}", f"{other}.{layer_twin}")

    def _put_single(self, name: str, other: str) -> None:
        width = self.model.hidden_size
        self._put(f"{name}.modulation.lin", f"{other}.norm.linear")
        for part, projection in enumerate(("attn.to_q", "attn.to_k", "attn.to_v")):
            self._put(f"{name}.linear1", f"{other}.{projection}", _rows(part * width, width))
        self._put(f"{name}.linear1", f"{other}.proj_mlp", _rows(3 * width, 4 * width))
        self._put(f"{name}.linear2", f"{other}.proj_out")
        self._put_norms(f"{name}.norm", f"{other}.attn.norm_q", f"{other}.attn.norm_k")


def _part(number: int) -> Callable[[Tensor], Tensor]:
    return lambda weight: weight.chunk(3)[number]


def _rows(first: int, count: int) -> Callable[[Tensor], Tensor]:
    return lambda weight: weight[first : first + count]


def _swapped(weight: Tensor) -> Tensor:
    """Shift and scale stand in the other order."""
    shift, scale = weight.chunk(2)
    return torch.cat((scale, shift))


def pack(latent: Tensor) -> Tensor:
    """[B, 16, h, w] of even sides -> diffusers' tokens."""
    batch, channels, height, width = latent.shape
    patches = latent.view(batch, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * 4)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    patches = tokens.view(len(tokens), height // 2, width // 2, -1, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), -1, height, width)


def positions(height: int, width: int) -> Tensor:
    ids = torch.zeros(height // 2, width // 2, 3)
    ids[..., 1] += torch.arange(height // 2)[:, None]
    ids[..., 2] += torch.arange(width // 2)[None]
    return ids.reshape(-1, 3)


def diffusers_output(
    transformer: Any, call: Any, embeds: Sequence[tuple[Tensor, ...]] = ()
) -> Tensor:
    """The output for one call of ours; embeds: for each adapter the negative and the positive one,
    [N, E].
    """
    batch, height, width = len(call.x) // len(call.roles), *call.x.shape[-2:]
    image = [
        torch.cat([pair[1 - role].expand(batch, 1, -1) for role in call.roles]) for pair in embeds
    ]
    tokens = transformer(
        hidden_states=pack(call.x),
        encoder_hidden_states=call.context,
        pooled_projections=call.pooled,
        timestep=call.timesteps,
        img_ids=positions(height, width),
        txt_ids=torch.zeros(call.context.shape[1], 3),
        guidance=call.guidance,
        joint_attention_kwargs={"ip_adapter_image_embeds": image} if image else {},
        return_dict=False,
    )[0]
    return unpack(tokens, height, width)
