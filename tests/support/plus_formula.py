"""IPAdapter_plus's formulas, written here as they are known: a plain attention patch on every
layer.

By default the middle block is left out, as its releases since September 2024 did.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

BASE = {"sd15": "ip-adapter_sd15", "sdxl": "ip-adapter_sdxl_vit-h"}
LAYOUT = {"sd15": {4: 0.25, 5: 1.0}, "sdxl": {3: 1.0}}
STYLE = {"sd15": [0, 1, 2, 3, *range(9, 16)], "sdxl": [6]}
BLOCK_COUNT, MIDDLE_BLOCK = {"sd15": 16, "sdxl": 11}, {"sd15": 6, "sdxl": 4}
FILE_ORDER = {"input": 0, "output": 1, "middle": 2}
FORWARD_ORDER = {"input": 0, "middle": 1, "output": 2}
BlockTable = list[tuple[float, bool]]  # t -> weight, whether the picture is on the negative side


def block_table(kind: str, weight_type: str, weight: float, second: float = 1.0) -> BlockTable:
    """A weight type by IPAdapter_plus's tables."""
    count, layout, style = BLOCK_COUNT[kind], LAYOUT[kind], STYLE[kind]
    plain = {**_eases(count, weight), **_by_place(kind, weight)}
    if weight_type in plain:
        return [(value, False) for value in plain[weight_type]]
    if weight_type == "style transfer precise":
        rows = [layout[t] * second if t in layout else weight * (t in style) for t in range(count)]
        return [(value, t in layout) for t, value in enumerate(rows)]
    return _precise_composition(kind, weight, second)


def _precise_composition(kind: str, weight: float, second: float) -> BlockTable:
    count, layout, style = BLOCK_COUNT[kind], LAYOUT[kind], STYLE[kind]
    rows = [
        layout[t] * weight if t in layout else second * (1 if t in style else 0.1)
        for t in range(count)
    ]
    return [(value, t not in layout) for t, value in enumerate(rows)]


def _eases(count: int, weight: float) -> dict[str, list[float]]:
    depths = [t / count for t in range(count)]
    return {
        "linear": [weight] * count,
        "ease in": [weight * (0.05 + 0.95 * (1 - d)) for d in depths],
        "ease out": [weight * (0.05 + 0.95 * d) for d in depths],
        "ease in-out": [weight * (0.05 + 0.95 * (1 - abs(d - 0.5) / 0.5)) for d in depths],
        "reverse in-out": [weight * (0.05 + 0.95 * abs(d - 0.5) / 0.5) for d in depths],
    }


def _by_place(kind: str, weight: float) -> dict[str, list[float]]:
    count, layout, style = BLOCK_COUNT[kind], LAYOUT[kind], STYLE[kind]
    middle, blocks = MIDDLE_BLOCK[kind], range(count)
    return {
        "weak input": [weight * (0.2 if t < middle else 1) for t in blocks],
        "weak output": [weight * (0.2 if t > middle else 1) for t in blocks],
        "weak middle": [weight] * count,
        "strong middle": [weight * 0.2] * count,
        "style transfer": [weight * (t in style) for t in blocks],
        "composition": [weight * layout.get(t, 0) for t in blocks],
        "strong style transfer": [weight * (t not in layout) for t in blocks],
        "style and composition": [
            layout[t] if t in layout else weight * (t in style) for t in blocks
        ],
    }


@dataclass
class PlusSettings:
    """tokens: of the positive and the negative side, [N, T, D]; window: sigmas, both included."""

    tokens: tuple[Tensor, Tensor]
    weights: BlockTable
    window: tuple[float, float] = (1e9, 0.0)
    factors: tuple[float, ...] = (1.0,)  # for each picture
    scaling: str = "V only"
    mask: Tensor | None = None


class PlusPatch:
    """The addition at one layer, step by step as the formulas say."""

    def __init__(self, tensors: dict[str, Tensor], number: int, t: int, settings: PlusSettings):
        self.k, self.v = (tensors[f"ip_adapter.{number}.to_{side}_ip.weight"] for side in "kv")
        self.t, self.settings = t, settings

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> Tensor:
        from comfy.ldm.modules.attention import optimized_attention

        settings, heads, sides = self.settings, extra["n_heads"], extra["cond_or_uncond"]
        text = optimized_attention(q, k, v, heads)
        start, end = settings.window
        if not end <= float(extra["sigmas"][0]) <= start:
            return text
        count = len(q) // len(sides)
        key, value, weight = self.scaled(count, sides)
        image = optimized_attention(q, key, value, heads) * weight
        if settings.mask is not None:
            shape = extra["original_shape"]
            image = image * flat_mask(settings.mask, q.shape[1], shape, count, len(sides))
        return text + image

    def scaled(self, count: int, sides: list[int]) -> tuple[Tensor, Tensor, Any]:
        """Keys, values, and the weight that is left for the result."""
        weight, is_negative = self.settings.weights[self.t]
        positive, negative = (repeat_last(tokens, count) for tokens in self.settings.tokens)
        if is_negative:
            positive, negative = torch.zeros_like(positive), positive
        tokens = torch.cat([negative if side == 1 else positive for side in sides])
        factors = repeat_last(torch.tensor(self.settings.factors), count)
        weights = torch.cat([factors] * len(sides)).view(-1, 1, 1) * weight
        key, value, scaling = tokens @ self.k.T, tokens @ self.v.T, self.settings.scaling
        if "C penalty" in scaling:
            weights = weights * (key.shape[-1] / 1280)
        if scaling.startswith("K+mean"):
            mean = value.mean(1, keepdim=True)
            return key * weights, value - mean + mean * weights, 1
        if scaling.startswith("K+V"):
            return key * weights, value * weights, 1
        return key, value, weights


def repeat_last(batch: Tensor, count: int) -> Tensor:
    return torch.stack([batch[min(number, len(batch) - 1)] for number in range(count)])


def flat_mask(mask: Tensor, length: int, shape: Any, count: int, sides: int) -> Tensor:
    """[rows, length, 1]: at a grid that IPAdapter_plus guesses of the layer's length."""
    height, width = shape[-2:]
    rows = int(height / math.sqrt(height * width / length))
    rows += int(length % rows != 0)
    small = interpolate(mask[:, None], (rows, length // rows), mode="bilinear").flatten(1)
    flat = torch.cat([repeat_last(small, count)] * sides)
    excess = flat.shape[1] - length
    if excess > 0:
        return flat[:, excess // 2 : excess // 2 + length, None]
    before = -excess // 2
    ends = flat.new_zeros(len(flat), before), flat.new_zeros(len(flat), -excess - before)
    return torch.cat((ends[0], flat, ends[1]), 1)[..., None]


def patch_model(
    model: Any, kind: str, tensors: dict[str, Tensor], settings: PlusSettings, middle: bool = False
) -> Any:
    """A clone of the model with the formulas' patches on it."""
    model = model.clone()
    addresses = sorted(_addresses(kind), key=lambda address: (FILE_ORDER[address[0]], *address[1:]))
    blocks = sorted(
        {address[:2] for address in addresses},
        key=lambda block: (FORWARD_ORDER[block[0]], block[1]),
    )
    for number, address in enumerate(addresses):
        patch = PlusPatch(tensors, 2 * number + 1, blocks.index(address[:2]), settings)
        if middle or address[0] != "middle":
            model.set_model_attn2_replace(patch, *address)
    return model


def _addresses(kind: str) -> list[tuple[str, int, int]]:
    if kind == "sd15":
        inputs = [("input", number, 0) for number in (1, 2, 4, 5, 7, 8)]
        outputs = [("output", number, 0) for number in range(3, 12)]
        return [*inputs, *outputs, ("middle", 0, 0)]
    depths = {("input", 4): 2, ("input", 5): 2, ("input", 7): 10, ("input", 8): 10}
    depths |= {("middle", 0): 10}
    depths |= {("output", number): 10 if number < 3 else 2 for number in range(6)}
    return [(*block, index) for block, depth in depths.items() for index in range(depth)]


def features(seed: int, count: int = 1, base: bool = False) -> Tensor:
    """Random features as a ViT-H's output: embeds for a base adapter, else hidden states."""
    shape = (count, 1024) if base else (count, 257, 1280)
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def photo(seed: int, height: int = 50, width: int = 40) -> Tensor:
    coarse = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return interpolate(coarse, (height, width), mode="bilinear").movedim(1, -1)


def embeds_inputs(
    model: Any, adapter: Any, positive: Tensor, negative: Tensor, **settings: Any
) -> dict[str, Any]:
    """Of IPAdapter Embeds."""
    defaults = {"weight": 0.7, "weight_type": "linear", "start_at": 0.0, "end_at": 1.0}
    links = {"model": model, "ipadapter": adapter, "pos_embed": positive, "neg_embed": negative}
    return {**links, **defaults, **settings}
