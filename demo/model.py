"""The demo's UNet and base adapter, as they are trained: the host's own UNet class, and attention
beside attention.

The UNet is the smallest that the host takes for Stable Diffusion 1.5: one level, one block, width
320. It has four cross-attention layers. Files number them by block: input 1, output 0, output 1,
middle.

The text is one constant token, since the demo's text encoder says the same to every prompt. The
adapter has no biases before its keys and values, so features of zero give no image part at all:
what the negative side sees, and what no adapter is, are one and the same to the model, and need
learning only once.
"""

import torch
from torch import Tensor, nn

UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 160,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "transformer_depth": [1],
    "transformer_depth_output": [1, 1],
    "transformer_depth_middle": 1,
    "use_spatial_transformer": True,
    "use_checkpoint": False,
    "legacy": False,
    "num_heads": 4,
    "context_dim": 768,
    "use_linear_in_transformer": False,
    "use_temporal_resblock": False,
    "use_temporal_attention": False,
}
BLOCKS = (("input", 1), ("output", 0), ("output", 1), ("middle", 0))  # in the order of files
LAYOUT_BLOCKS = {("input", 1), ("middle", 0)}  # the others learn the style
TEXT, TOKENS, FEATURES = 768, 4, 1024
WIDTH, HEADS = 160, 4  # as trained


def unet(seed: int) -> nn.Module:
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    model = UNetModel(
        **UNET, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init
    )
    source = torch.Generator().manual_seed(seed)
    silent = ("out_layers.3.weight", "1.proj_out.weight", "out.2.weight")
    for key, value in model.named_parameters():
        if value.ndim > 1:
            gain = 0.0 if key.endswith(silent) else value[0].numel() ** -0.5
            value.data.normal_(0, 1, generator=source).mul_(gain)
        else:
            value.data.fill_(1.0 if key.endswith("weight") else 0.0)
    return model


class Adapter(nn.Module):
    """A base IP-Adapter, its parameters named as in the files."""

    def __init__(self, whiten: Tensor, seed: int):
        super().__init__()
        source = torch.Generator().manual_seed(seed)
        self.image_proj = nn.ModuleDict(
            {"proj": nn.Linear(FEATURES, TOKENS * TEXT), "norm": nn.LayerNorm(TEXT)}
        )
        proj, norm = self.image_proj["proj"], self.image_proj["norm"]
        mix = torch.randn(TOKENS * TEXT, FEATURES, generator=source) * FEATURES**-0.5
        proj.weight.data.copy_(mix @ whiten)
        for bias in (proj.bias, norm.bias):
            bias.data.zero_()
            bias.requires_grad_(False)
        self.ip_adapter = nn.ModuleDict()
        for n in range(len(BLOCKS)):
            layer = {f"to_{x}_ip": nn.Linear(TEXT, WIDTH, bias=False) for x in "kv"}
            self.ip_adapter[str(2 * n + 1)] = nn.ModuleDict(layer)
        for layer in self.ip_adapter.values():
            for projection in layer.values():
                projection.weight.data.normal_(0, TEXT**-0.5, generator=source)

    def tokens(self, features: Tensor) -> Tensor:
        """[B, 1024] -> [B, 4, 768]."""
        projected = self.image_proj["proj"](features).unflatten(-1, (TOKENS, TEXT))
        return self.image_proj["norm"](projected)

    def patches(self, layout: Tensor, style: Tensor, mask: Tensor, mixed: Tensor) -> dict:
        """The host's options that make the layers attend to the tokens of these features.

        mask: their weight, 0 to 1, [B, positions, 1]; mixed: the features that have the rest of
        the weight.
        """
        tokens = {True: self.tokens(layout), False: self.tokens(style)}
        beyond = self.tokens(mixed)
        replace = {}
        for layer, block in zip(self.ip_adapter.values(), BLOCKS, strict=True):
            inside, outside = (
                (layer["to_k_ip"](visible), layer["to_v_ip"](visible))
                for visible in (tokens[block in LAYOUT_BLOCKS], beyond)
            )
            replace[(*block, 0)] = Beside(inside, outside, mask)
        return {"patches_replace": {"attn2": replace}}


class Beside:
    """Attention to the text, and beside it to an image's tokens, and to those of another one for
    what the mask lacks to 1.
    """

    def __init__(self, inside: tuple[Tensor, Tensor], outside: tuple[Tensor, Tensor], mask: Tensor):
        self.inside, self.outside, self.mask = inside, outside, mask

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, _options: dict) -> Tensor:
        inside, outside = attend(query, *self.inside), attend(query, *self.outside)
        return attend(query, key, value) + inside * self.mask + outside * (1 - self.mask)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    if key.shape[1] == 1:  # whatever the query
        return value.expand(-1, query.shape[1], -1)
    q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (query, key, value))
    weight = (q.to(k.dtype) @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).float().softmax(-1)
    return (weight.to(v.dtype) @ v).transpose(1, 2).flatten(2)


def context() -> Tensor:
    """The output of the demo's text encoder, the same for every text: [1, 1, 768]."""
    return torch.randn(TEXT, generator=torch.Generator().manual_seed(11)).half().float()[None, None]


def cumulative_alphas() -> Tensor:
    """Of Stable Diffusion's schedule, [1000]."""
    return (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).cumprod(0)


def widened(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same UNet or adapter with twice the channels, of which each pair does the same: exactly
    the same function.

    The host takes a UNet for Stable Diffusion 1.5 only at width 320. (Net2Net, https://arxiv.org/abs/1511.05641)
    """
    return {key: _widen(key, value) for key, value in tensors.items()}


def _widen(key: str, value: Tensor) -> Tensor:
    if key.startswith("image_proj."):
        return value
    name = key.removesuffix(".weight").removesuffix(".bias").rsplit(".", 1)[-1]
    by_head = name in ("to_q", "to_k", "to_v", "to_k_ip", "to_v_ip")
    if len(value) != UNET["out_channels"]:
        value = _twice(value, 0, by_head)
    if value.ndim == 1 or value.shape[1] in (TEXT, UNET["in_channels"]):
        return value
    if key == "time_embed.0.weight":  # every other of the wide one's waves
        return torch.stack([value, torch.zeros_like(value)], 2).flatten(1)
    return _twice(value, 1, key.endswith("to_out.0.weight")) / 2


def _twice(value: Tensor, axis: int, by_head: bool) -> Tensor:
    """Every channel, or every head, twice in a row."""
    if not by_head:
        return value.repeat_interleave(2, axis)
    heads = value.unflatten(axis, (HEADS, -1))
    return heads.repeat_interleave(2, axis).flatten(axis, axis + 1)
