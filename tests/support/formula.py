"""Image prompts computed straight from the formulas, to compare graphs with.

Nothing here knows the pack: it takes an adapter's raw tensors, loops over rows and pictures, and
stands in the model as an ordinary replacement of each cross-attention.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch.nn.functional import gelu, interpolate, layer_norm, linear

V_ONLY, BOTH, PENALTY = "V only", "K+V", "K+V with C penalty"


def places(kind):
    """Block, number, transformer block of every layer, in the order of the file: the middle
    last.
    """
    if kind == "sd15":
        depths = {("input", n): 1 for n in (1, 2, 4, 5, 7, 8)}
        depths |= {("output", n): 1 for n in range(3, 12)} | {("middle", 0): 1}
    else:
        depths = {("input", 4): 2, ("input", 5): 2, ("input", 7): 10, ("input", 8): 10}
        depths |= {("output", n): 10 if n < 3 else 2 for n in range(6)} | {("middle", 0): 10}
    return [(*block, number) for block, depth in depths.items() for number in range(depth)]


def tokens(tensors, features):
    """The image tokens of references [N, F] or [N, S, F], side by side: [N * T, D]."""
    weights = {key.removeprefix("image_proj."): value for key, value in tensors.items()}
    if "latents" in weights:
        return torch.cat([resampled(weights, feature) for feature in features])
    if "proj.3.weight" in weights:
        hidden = gelu(dense(weights, "proj.0", features.flatten(0, -2)))
        return normed(weights, "proj.3", dense(weights, "proj.2", hidden))
    result = dense(weights, "proj", features)
    return normed(weights, "norm", result.reshape(len(features) * 4, -1))


def resampled(weights, picture):
    """The Perceiver resampler of the plus adapters: [S, F] -> [T, D]."""
    patches, latents = dense(weights, "proj_in", picture), weights["latents"][0]
    for number in range(sum(key.endswith(".0.to_q.weight") for key in weights)):
        layer = f"layers.{number}"
        queries = normed(weights, f"{layer}.0.norm2", latents)
        keys = torch.cat((normed(weights, f"{layer}.0.norm1", patches), queries))
        query = linear(queries, weights[f"{layer}.0.to_q.weight"])
        key, value = linear(keys, weights[f"{layer}.0.to_kv.weight"]).chunk(2, -1)
        out = attend(*(each[None] for each in (query, key, value)), query.shape[-1] // 64)[0]
        latents = latents + linear(out, weights[f"{layer}.0.to_out.weight"])
        wide = linear(normed(weights, f"{layer}.1.0", latents), weights[f"{layer}.1.1.weight"])
        latents = latents + linear(gelu(wide), weights[f"{layer}.1.3.weight"])
    return normed(weights, "norm_out", dense(weights, "proj_out", latents))


def dense(weights, name, x):
    return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def normed(weights, name, x):
    return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])


def attend(query, key, value, heads):
    """[1, N, C], [1, T, C] -> [1, N, C]."""
    q, k, v = (each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (query, key, value))
    out = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1) @ v
    return out.transpose(1, 2).flatten(2)


def everywhere(block, moment):
    """The weights of no weight map: for the picture, and against it."""
    return 1.0, 0.0


@dataclass
class Prompt:
    """One image prompt: weight * mask * softmax(q k / sqrt(d)) v, beside the text's attention."""

    tensors: dict
    positive: torch.Tensor  # what the encoder gave for the references
    negative: torch.Tensor  # and for the negative side
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: torch.Tensor | None = None
    weights: object = everywhere  # (block, moment) -> for the picture, against it
    scaling: str = V_ONLY
    keep: float = 0.0  # how much of what points as the text does is removed
    known_keys: dict = field(default_factory=dict, repr=False)

    @cached_property
    def sides(self):
        return [tokens(self.tensors, each) for each in (self.positive, self.negative)]

    def keys_values(self, side, number):
        """[1, T, C] each, of a layer by its number in the file."""
        names = [f"ip_adapter.{2 * number + 1}.to_{x}_ip.weight" for x in "kv"]
        if (side, number) not in self.known_keys:
            pair = [linear(self.sides[side], self.tensors[name])[None] for name in names]
            self.known_keys[side, number] = pair
        return self.known_keys[side, number]

    def image(self, side, number, query, text, heads, weight):
        """The addition of one side to a layer's text attention, without mask."""
        key, value = self.keys_values(side, number)
        after = weight if self.scaling == V_ONLY else 1.0
        if self.scaling != V_ONLY:
            inside = weight * (key.shape[-1] / 1280 if self.scaling == PENALTY else 1.0)
            key, value = inside * key, inside * value
        out = attend(query, key, value, heads)
        along = (out * text).sum(-1, keepdim=True) / (text * text).sum(-1, keepdim=True) * text
        return after * (out - self.keep * along)


class Reference:
    """A model with image prompts on it, computed by the formula."""

    def __init__(self, kind, model, prompts):
        self.at_percent = model.get_model_object("model_sampling").percent_to_sigma
        self.hundredths = [self.at_percent(step / 100) for step in range(101)]
        self.prompts, self.areas, self.latent, self.alone = prompts, {}, None, False
        self.model = model.clone()
        for number, place in enumerate(places(kind)):
            self.model.set_model_attn2_replace(self.at(number, place[:2]), *place)
        from comfy.patcher_extension import WrappersMP

        self.model.add_wrapper(WrappersMP.CALC_COND_BATCH, self.note)

    def note(self, executor, model, conds, x, *args):
        self.areas = {c["uuid"]: c.get("area") for cond in conds for c in cond or ()}
        self.latent, self.alone = x.shape[-2:], conds[1] is None
        return executor(model, conds, x, *args)

    def at(self, number, block):
        def replace(query, key, value, extra):
            rows, heads = extra["cond_or_uncond"], extra["n_heads"]
            count = len(query) // len(rows)
            grid, outs = extra["activations_shape"][-2:], []
            for row in range(len(query)):
                picture_rows, chunk = slice(row, row + 1), row // count
                area = self.areas[extra["uuids"][chunk]]
                out = text = attend(
                    query[picture_rows], key[picture_rows], value[picture_rows], heads
                )
                for prompt in self.prompts:
                    mask = self.mask(prompt, row % count, area, grid)
                    for side, weight, sign in self.acts(prompt, block, rows[chunk] == 0, extra):
                        image = prompt.image(side, number, query[picture_rows], text, heads, weight)
                        out = out + sign * mask * image
                outs.append(out)
            return torch.cat(outs)

        return replace

    def acts(self, prompt, block, positive, extra):
        """Which side of a prompt (0: the picture) this row attends to, with what weight, added or
        taken off.
        """
        sigma = float(extra["sigmas"][0])
        if not self.at_percent(prompt.end) <= sigma <= self.at_percent(prompt.start):
            return
        toward, against = (
            prompt.weight * part for part in prompt.weights(block, self.moment(sigma))
        )
        if toward:
            yield (0 if positive else 1), toward, 1
        if against and not positive:
            yield 0, against, 1
        if against and self.alone:  # no row to lead away from: its part is taken off
            yield 0, against, -1

    def moment(self, sigma):
        """The hundredth of the schedule that a sigma has reached, from 0 to 1."""
        return max(step for step, limit in enumerate(self.hundredths) if sigma <= limit) / 100

    def mask(self, prompt, picture, area, grid):
        if prompt.mask is None:
            return 1.0
        mask = prompt.mask[min(picture, len(prompt.mask) - 1)]
        if area is not None:  # masks here are whole multiples of the latent
            height, width, top, left = area
            factor = mask.shape[0] // self.latent[0]
            mask = mask[
                top * factor : (top + height) * factor, left * factor : (left + width) * factor
            ]
        return interpolate(mask[None, None], size=tuple(grid), mode="bilinear").reshape(1, -1, 1)
