"""Random graphs of our nodes against a plain reference, written here from the formula of the paper.

The reference knows nothing of the pack: it takes the adapter's raw tensors, loops over rows, pictures and heads,
and stands in the model as an ordinary replacement of each cross-attention.
"""

import random
from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import interpolate, layer_norm

pytestmark = pytest.mark.host

CASES = 40
# Of the range, after several steps, which amplify rounding; one hundredth of a weight is more.
TOLERANCE = 2e-4
SAMPLERS = ["euler", "heun", "dpm_2", "dpmpp_2m", "ddim", "lms"]
PLACES = [("input", i) for i in (1, 2, 4, 5, 7, 8)] + [("output", i) for i in range(3, 12)]
PLACES.append(("middle", 0))  # the order of the file


@dataclass
class Prompt:
    """One Apply IPAdapter."""

    tensors: dict
    features: torch.Tensor
    weight: float
    start: float
    end: float
    mask: torch.Tensor | None


def tokens(tensors, features):
    """[N, F] -> [N * 4, D]"""
    made = features @ tensors["image_proj.proj.weight"].T + tensors["image_proj.proj.bias"]
    made = made.reshape(len(features) * 4, -1)
    weight, bias = (tensors[f"image_proj.norm.{name}"] for name in ("weight", "bias"))
    return layer_norm(made, weight.shape, weight, bias)


class Reference:
    """The text's attention plus, for each prompt, weight * mask * softmax(q k / sqrt(d)) v."""

    def __init__(self, model, prompts):
        sampling = model.get_model_object("model_sampling")
        self.windows = [
            [sampling.percent_to_sigma(one) for one in (p.start, p.end)] for p in prompts
        ]
        self.prompts, self.areas, self.latent = prompts, {}, None
        self.model = model.clone()
        for number, place in enumerate(PLACES):
            self.model.set_model_attn2_replace(self.at(number), *place)
        from comfy.patcher_extension import WrappersMP

        self.model.add_wrapper(WrappersMP.CALC_COND_BATCH, self.note)

    def note(self, executor, model, conds, x, *args):
        self.areas = {c["uuid"]: c.get("area") for listed in conds for c in listed or ()}
        self.latent = x.shape[-2:]
        return executor(model, conds, x, *args)

    def at(self, number):
        def replace(query, key, value, extra):
            rows = extra["cond_or_uncond"]
            count = len(query) // len(rows)
            outs = []
            for row in range(len(query)):
                picture, chunk = row % count, row // count
                one = slice(row, row + 1)
                out = attend(query[one], key[one], value[one], extra["n_heads"])
                for prompt, (start, end) in zip(self.prompts, self.windows, strict=True):
                    if end <= float(extra["sigmas"][0]) <= start:
                        positive, area = rows[chunk] == 0, self.areas[extra["uuids"][chunk]]
                        image = self.image(prompt, number, positive, query[one], extra["n_heads"])
                        grid = extra["activations_shape"][-2:]
                        out = out + prompt.weight * self.mask(prompt, picture, area, grid) * image
                outs.append(out)
            return torch.cat(outs)

        return replace

    def image(self, prompt, number, positive, query, heads):
        features = prompt.features if positive else torch.zeros_like(prompt.features[:1])
        seen = tokens(prompt.tensors, features)
        key, value = (
            seen @ prompt.tensors[f"ip_adapter.{2 * number + 1}.to_{x}_ip.weight"].T for x in "kv"
        )
        return attend(query, key[None], value[None], heads)

    def mask(self, prompt, picture, area, grid):
        if prompt.mask is None:
            return 1.0
        one = prompt.mask[min(picture, len(prompt.mask) - 1)]
        if area is not None:  # masks here are whole multiples of the latent
            height, width, top, left = area
            factor = one.shape[0] // self.latent[0]
            one = one[
                top * factor : (top + height) * factor, left * factor : (left + width) * factor
            ]
        return interpolate(one[None, None], size=tuple(grid), mode="bilinear").reshape(1, -1, 1)


def attend(query, key, value, heads):
    """[1, N, C], [1, T, C] -> [1, N, C], one head after the other."""
    parts = []
    for q, k, v in zip(*(one.chunk(heads, -1) for one in (query, key, value)), strict=True):
        parts.append((q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1) @ v)
    return torch.cat(parts, -1)


class Graph:
    """A tree of models, each with one more prompt than the one it was made from."""

    def __init__(self, source, model, adapters, nodes_by_id, tiny):
        self.random, self.adapters, self.tiny = source, adapters, tiny
        self.apply = nodes_by_id["ApplyIPAdapter"].execute
        self.size = source.choice([8, 10, 13]), source.choice([8, 9, 12])
        self.batch = source.choice([1, 1, 2, 3])
        self.models = [(model, [])]
        for _ in range(source.randrange(1, 5)):
            self.grow()

    def grow(self):
        model, prompts = self.random.choice(self.models)
        adapter, raw = self.adapters("ip-adapter_sd15", self.random.randrange(2))
        output = self.tiny.features(self.random.randrange(100), self.random.choice([1, 1, 2, 3]))
        start, end = sorted(self.random.choice([0.0, 0.3, 0.5, 0.75, 1.0]) for _ in range(2))
        if self.random.random() < 0.4:
            start, end = 0.0, 1.0
        weight = self.random.choice([0.0, 0.3, 0.7, 1.0, -0.5, 1.7])
        prompt = Prompt(raw, output["image_embeds"], weight, start, end, self.mask())
        settings = {"weight": weight, "start_at": start, "end_at": end, "attn_mask": prompt.mask}
        made = self.apply(model, adapter, clip_vision_output=output, **settings).args[0]
        self.models.append((made, [*prompts, prompt]))

    def mask(self):
        if self.random.random() < 0.5:
            return None
        factor, count = self.random.choice([1, 2, 8]), self.random.choice([1, self.batch])
        source = torch.Generator().manual_seed(self.random.randrange(100))
        return torch.rand(count, *(factor * side for side in self.size), generator=source)

    def conds(self):
        prompt = self.tiny.text("sd15", self.random.randrange(9))
        positive, negative = prompt.conds()
        if self.random.random() < 0.4:
            height, width = (side // 2 for side in self.size)
            part = {**positive[0][1], "area": (height, width, 3, 2), "strength": 0.8}
            part["set_area_to_bounds"] = False
            positive = [*positive, [self.tiny.text("sd15", 20).positive, part]]
        return positive, negative

    def sampling(self):
        return {
            "steps": self.random.choice([2, 3]),
            "cfg": self.random.choice([1.0, 4.0]),
            "sampler": self.random.choice(SAMPLERS),
        }


def denoise(model, conds, graph, steps, cfg, sampler):
    import comfy.sample

    latent = torch.zeros(graph.batch, 4, *graph.size)
    noise = comfy.sample.prepare_noise(latent, 0, None)
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, steps, cfg, sampler, "normal", *conds, latent, disable_pbar=True, seed=0
        )


@pytest.mark.parametrize("seed", range(CASES))
def test_a_random_graph_equals_the_formula(seed, models, adapters, nodes_by_id, tiny):
    source, plain = random.Random(seed), models("sd15")
    graph = Graph(source, plain, adapters, nodes_by_id, tiny)
    conds, settings = graph.conds(), graph.sampling()
    for model, prompts in source.sample(graph.models, min(2, len(graph.models))):
        found = denoise(model, conds, graph, **settings)
        expected = denoise(Reference(plain, prompts).model, conds, graph, **settings)
        difference = (found - expected).abs().max() / (expected.max() - expected.min())
        assert difference <= TOLERANCE, (settings, graph.size, graph.batch, prompts)
