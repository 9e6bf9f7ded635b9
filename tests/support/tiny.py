"""The real UNet classes at the real topology with small widths, in ComfyUI and in diffusers with
the same weights.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

import make_models
import torch
from adapter_layouts import Base, layout

# Widths as in the published models, one tenth and less; text widths and projections are the real
# ones.
SMALL = {
    "sd15": Base(768, (32,) * 2 + (64,) * 2 + (128,) * 5 + (64,) * 3 + (32,) * 3 + (128,)),
    "sdxl": Base(2048, (64,) * 4 + (128,) * 50 + (64,) * 6 + (128,) * 10),
}
SMALL["kolors"] = replace(SMALL["sdxl"], first_text=256)
KOLORS_POOLED = 4096
OVER = {
    "sd15": {"model_channels": 32, "channel_mult": [1, 2, 4, 4]},
    "sdxl": {"model_channels": 32, "channel_mult": [1, 2, 4]},
}
CROSS = {
    "sd15": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "sdxl": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2,
}


def model(kind: str, seed: int = 0, **over) -> Any:
    """A ModelPatcher around the host's own SD1.5 or SDXL, or a stand-in for Kolors, in float32."""
    import comfy.model_management
    import comfy.model_patcher
    import comfy.supported_models

    is_kolors, kind = kind == "kolors", topology(kind)
    over |= {"adm_in_channels": KOLORS_POOLED + 1536} if is_kolors else {}
    class_ = {"sd15": comfy.supported_models.SD15, "sdxl": comfy.supported_models.SDXL}[kind]
    config = class_({**make_models.COMMON, **make_models.UNETS[kind], **OVER[kind], **over})
    config.unet_config |= {"sd15": {"num_heads": 4}, "sdxl": {"num_head_channels": 16}}[kind]
    config.set_inference_dtype(torch.float32, None)
    base = config.get_model({}, "", device=torch.device("cpu"))
    if is_kolors:
        base.diffusion_model.__class__ = kolors_unet_class(type(base.diffusion_model))
        base.diffusion_model.encoder_hid_proj = torch.nn.Linear(
            SMALL["kolors"].first_text, SMALL["kolors"].text
        )
    make_models.fill(base.diffusion_model, make_models.generator(kind, seed))
    device = comfy.model_management.get_torch_device()
    offload = comfy.model_management.unet_offload_device()
    return comfy.model_patcher.CoreModelPatcher(base, load_device=device, offload_device=offload)


def topology(kind: str) -> str:
    """Whose UNet a model has."""
    return "sdxl" if kind == "kolors" else kind


def kolors_unet_class(unet_class: type) -> type:
    """The UNet as other packs have it for Kolors: it brings the text to the width of SDXL's.

    https://github.com/MinusZoneAI/ComfyUI-Kolors-MZ
    """

    class KolorsUNet(unet_class):
        def forward(self, x, timesteps=None, context=None, *args, **kwargs):
            context = self.encoder_hid_proj(context)
            return super().forward(x, timesteps, context, *args, **kwargs)

    return KolorsUNet


def twin(kind: str, patcher: Any) -> Any:
    """diffusers' UNet with the same weights."""
    import comfy.utils

    unet = diffusers_unet(kind)
    ours = patcher.model.diffusion_model.state_dict()
    names = comfy.utils.unet_to_diffusers(patcher.model.model_config.unet_config)
    weights = {
        theirs.replace("class_embedding", "add_embedding"): ours[name]
        for theirs, name in names.items()
        if name in ours
    }
    weights |= {name: value for name, value in ours.items() if name.startswith("encoder_hid_proj.")}
    missing, unexpected = unet.load_state_dict(weights, strict=False)
    assert not missing and not unexpected, (missing[:3], unexpected[:3])
    return unet.eval().requires_grad_(False)


def diffusers_unet(kind: str) -> Any:
    from diffusers import UNet2DConditionModel

    text = {"encoder_hid_dim": SMALL["kolors"].first_text, "encoder_hid_dim_type": "text_proj"}
    text = text if kind == "kolors" else {}
    label_width = KOLORS_POOLED + 1536 if text else 2816
    kind = topology(kind)
    sdxl = kind == "sdxl"
    return UNet2DConditionModel(
        **text,
        sample_size=32,
        block_out_channels=(32, 64, 128) if sdxl else (32, 64, 128, 128),
        layers_per_block=2,
        down_block_types=CROSS[kind],
        up_block_types=[name.replace("Down", "Up") for name in reversed(CROSS[kind])],
        cross_attention_dim=SMALL[kind].text,
        attention_head_dim=(2, 4, 8) if sdxl else 4,
        transformer_layers_per_block=[1, 2, 10] if sdxl else 1,
        use_linear_projection=sdxl,
        addition_embed_type="text_time" if sdxl else None,
        addition_time_embed_dim=256 if sdxl else None,
        projection_class_embeddings_input_dim=label_width if sdxl else None,
    )


def adapter_tensors(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """A published adapter with the small models' widths."""
    is_kolors = name.startswith("Kolors")
    shapes = layout(name, SMALL["kolors" if is_kolors else "sdxl" if "sdxl" in name else "sd15"])
    if is_kolors or name.endswith("plusv2_sdxl"):  # one of four layers, of 50 million weights each
        shapes = {key: shapes[key] for key in shapes if not re.search(r"\.layers\.[1-3]", key)}
    return make_models.draw(shapes, make_models.generator(name, seed), torch.float32)


@dataclass
class Text:
    """A positive and a negative prompt: tokens [1, 77, D] and, for SDXL, pooled [1, 1280]."""

    positive: torch.Tensor
    negative: torch.Tensor
    pooled: tuple[torch.Tensor, torch.Tensor]

    def conds(self):
        tokens = (self.positive, self.negative)
        pairs = zip(tokens, self.pooled, strict=True)
        return [[[one, {"pooled_output": pool}]] for one, pool in pairs]


def text(kind: str, seed: int = 1) -> Text:
    source = torch.Generator().manual_seed(seed)
    is_kolors = kind == "kolors"
    text_width = SMALL[kind].first_text if is_kolors else SMALL[kind].text
    tokens = [torch.randn(1, 77, text_width, generator=source) for _ in range(2)]
    pooled_width = KOLORS_POOLED if is_kolors else 1280
    pooled = [torch.randn(1, pooled_width, generator=source) for _ in range(2)]
    return Text(*tokens, tuple(pooled))


def sample(patcher, prompt: Text, size=(24, 16), batch=1, steps=2, cfg=5.0, sampler="euler"):
    """The host's KSampler at a latent of `size` (height, width)."""
    import comfy.sample

    latent = torch.zeros(batch, 4, *size)
    noise = comfy.sample.prepare_noise(latent, 0, None)
    with torch.inference_mode():
        return comfy.sample.sample(
            patcher,
            noise,
            steps,
            cfg,
            sampler,
            "normal",
            *prompt.conds(),
            latent,
            disable_pbar=True,
            seed=0,
        )


def features(seed: int = 2, count: int = 1, hidden=1280, projection=1024, tokens=257):
    """The host's CLIP_VISION_OUTPUT with random features, as an encoder's output."""
    import comfy.clip_vision

    source = torch.Generator().manual_seed(seed)
    output = comfy.clip_vision.Output()
    output["image_embeds"] = torch.randn(count, projection, generator=source)
    output["penultimate_hidden_states"] = torch.randn(count, tokens, hidden, generator=source)
    output["last_hidden_state"] = torch.randn(count, tokens, hidden, generator=source)
    return output
