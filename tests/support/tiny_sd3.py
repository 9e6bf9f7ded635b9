"""Stable Diffusion 3.5 with few narrow blocks, here and in diffusers with the same weights."""

from typing import Any

import make_sd3
import torch
from make_sd3 import BLOCKS, POOLED, TEXT, adapter_tensors

__all__ = ["BLOCKS", "WEIGHT", "adapter_tensors", "conds", "features", "model", "sample", "twin"]
WEIGHT = 0.7  # of the adapter


def model(seed: int = 0, blocks: int = BLOCKS, **over: Any) -> Any:
    """A ModelPatcher around the host's own SD3, in float32."""
    import comfy.model_management
    import comfy.model_patcher

    base = make_sd3.sd3(seed, blocks, **over)
    device = comfy.model_management.get_torch_device()
    offload = comfy.model_management.unet_offload_device()
    return comfy.model_patcher.CoreModelPatcher(base, load_device=device, offload_device=offload)


def conds(seed: int = 1) -> list[Any]:
    """A positive and a negative prompt, as the host's samplers take them."""
    source = torch.Generator().manual_seed(seed)
    texts = [torch.randn(1, 5, TEXT, generator=source) for _ in range(2)]
    pooled = [torch.randn(1, POOLED, generator=source) for _ in range(2)]
    return [[[text, {"pooled_output": pool}]] for text, pool in zip(texts, pooled, strict=True)]


def features(seed: int = 2, count: int = 1) -> Any:
    """The host's CLIP_VISION_OUTPUT with random features, as SigLIP's output."""
    import comfy.clip_vision

    source = torch.Generator().manual_seed(seed)
    output = comfy.clip_vision.Output()
    for name in ("penultimate_hidden_states", "image_embeds", "last_hidden_state"):
        output[name] = torch.randn(count, 729, 1152, generator=source)
    return output


def sample(patcher: Any, size: tuple[int, int] = (8, 12), batch: int = 1, steps: int = 2) -> Any:
    """The host's KSampler at a latent of `size` (height, width)."""
    import comfy.sample

    latent = torch.zeros(batch, 16, *size)
    noise = comfy.sample.prepare_noise(latent, 0, None)
    settings = (steps, 4.0, "euler", "normal", *conds(), latent)
    return comfy.sample.sample(patcher, noise, *settings, disable_pbar=True, seed=0)


def twin(patcher: Any) -> Any:
    """diffusers' transformer with the same weights, in the same memory."""
    from diffusers import SD3Transformer2DModel

    model = patcher.model.diffusion_model
    with torch.device("meta"):
        transformer = SD3Transformer2DModel(
            sample_size=32,
            patch_size=2,
            in_channels=16,
            num_layers=len(model.joint_blocks),
            attention_head_dim=64,
            num_attention_heads=model.num_heads,
            joint_attention_dim=TEXT,
            caption_projection_dim=model.hidden_size,
            pooled_projection_dim=POOLED,
            out_channels=16,
            pos_embed_max_size=16,
            qk_norm="rms_norm",
        )
    weights = twin_weights(model.state_dict(), len(model.joint_blocks))
    missing, unexpected = transformer.load_state_dict(weights, strict=False, assign=True)
    assert not missing and not unexpected, (missing[:3], unexpected[:3])
    return transformer.eval().requires_grad_(False)


OUTER = {
    "x_embedder.proj": "pos_embed.proj",
    "context_embedder": "context_embedder",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}
INNER = {
    "x_block.adaLN_modulation.1": "norm1.linear",
    "context_block.adaLN_modulation.1": "norm1_context.linear",
    "x_block.attn.proj": "attn.to_out.0",
    "x_block.mlp.fc1": "ff.net.0.proj",
    "x_block.mlp.fc2": "ff.net.2",
    "context_block.attn.proj": "attn.to_add_out",
    "context_block.mlp.fc1": "ff_context.net.0.proj",
    "context_block.mlp.fc2": "ff_context.net.2",
    "x_block.attn.ln_q": "attn.norm_q",
    "x_block.attn.ln_k": "attn.norm_k",
    "context_block.attn.ln_q": "attn.norm_added_q",
    "context_block.attn.ln_k": "attn.norm_added_k",
}
QKV = {
    "x_block.attn.qkv": ("to_q", "to_k", "to_v"),
    "context_block.attn.qkv": ("add_q_proj", "add_k_proj", "add_v_proj"),
}


def twin_weights(ours: dict[str, torch.Tensor], blocks: int) -> dict[str, torch.Tensor]:
    """The weights under diffusers' names; scale and shift of the last norms change places."""
    last = f"transformer_blocks.{blocks - 1}.norm1_context.linear"
    names = dict(OUTER)
    for number in range(blocks):
        block, their_block = f"joint_blocks.{number}.", f"transformer_blocks.{number}."
        names |= {block + name: their_block + theirs for name, theirs in INNER.items()}
    weights = {"pos_embed.pos_embed": ours["pos_embed"]}
    for key, value in ours.items():
        module, _, kind = key.rpartition(".")
        if module in names:
            swaps = names[module] in ("norm_out.linear", last)
            halves = value.chunk(2)
            weights[f"{names[module]}.{kind}"] = torch.cat(halves[::-1]) if swaps else value
        block, _, part = module.partition(".")[2].partition(".")
        for name, part_value in zip(QKV.get(part, ()), value.chunk(3), strict=False):
            weights[f"transformer_blocks.{block}.attn.{name}.{kind}"] = part_value
    return weights
