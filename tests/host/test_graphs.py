"""Random graphs of our nodes against a plain reference, written in formula.py from the formulas."""

import random
from itertools import pairwise

import numpy
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from support.formula import BOTH, PENALTY, V_ONLY, Prompt, Reference, everywhere
from support.tolerance import ANY_SAMPLER

pytestmark = pytest.mark.host

SAMPLERS = ["euler", "heun", "dpm_2", "dpmpp_2m", "ddim", "lms", "uni_pc", "dpmpp_2s_ancestral"]
ADAPTERS = {
    "sd15": ["ip-adapter_sd15", "ip-adapter-plus_sd15", "ip-adapter-full-face_sd15"],
    "sdxl": ["ip-adapter_sdxl_vit-h", "ip-adapter-plus_sdxl_vit-h"],
}
BLOCKS = {
    "sd15": [("input", n) for n in (1, 2, 4, 5, 7, 8)] + [("middle", 0)],
    "sdxl": [("input", n) for n in (4, 5, 7, 8)] + [("middle", 0)],
}
BLOCKS["sd15"] += [("output", n) for n in range(3, 12)]
BLOCKS["sdxl"] += [("output", n) for n in range(6)]
STYLE = {
    "sd15": {("input", n) for n in (1, 2, 4, 5)} | {("output", n) for n in range(5, 12)},
    "sdxl": {("output", 1)},
}
LAYOUT = {"sd15": {("input", 7): 0.25, ("input", 8): 1.0}, "sdxl": {("input", 8): 1.0}}


class Weights:
    """A random weight map: what the node is asked for, and its weights by the formulas of its help
    page.
    """

    def __init__(self, source, kind):
        self.kind, blocks = kind, BLOCKS[kind]
        kinds = ["balanced", "style", "style and layout", "precise style", "ease in", "weak input"]
        self.take, self.first = source.choice(kinds), source.choice([1.0, 0.6])
        self.second, self.factors = source.choice([1.0, 0.4]), dict.fromkeys(blocks, 1.0)
        layers = ""
        if source.random() < 0.5:
            some = source.sample(range(len(blocks)), 5)
            self.factors = {block: float(n in some) / 2 for n, block in enumerate(blocks)}
            layers = ", ".join(f"{n}: 0.5" for n in some)
        self.keys = [(0.0, 1.0), (0.4, source.choice([1.0, 0.3])), (0.9, source.choice([1.0, 0.0]))]
        self.holds = source.random() < 0.5
        how = " hold" if self.holds else ""
        curve = ", ".join(f"{time}:{value}{how}" for time, value in self.keys)
        self.inputs = (self.take, self.first, self.second, layers, curve)

    def __call__(self, block, moment):
        factor = self.factors[block] * self.now(moment)
        return tuple(factor * each for each in self.taken(block))

    def now(self, moment):
        for (start, first), (end, second) in pairwise(self.keys):
            if start <= moment < end:
                return (
                    first
                    if self.holds
                    else first + (second - first) * (moment - start) / (end - start)
                )
        return self.keys[-1][1]

    def taken(self, block):
        """For the picture, and against it."""
        blocks, style = BLOCKS[self.kind], float(block in STYLE[self.kind])
        layout = LAYOUT[self.kind].get(block, 0.0)
        return {
            "balanced": (self.first, 0.0),
            "style": (self.first * style, 0.0),
            "style and layout": (self.first * style + self.second * layout, 0.0),
            "precise style": (self.first * style, self.second * layout),
            "ease in": (self.first * (0.05 + 0.95 * (1 - blocks.index(block) / len(blocks))), 0.0),
            "weak input": (self.first * (0.2 if block[0] == "input" else 1.0), 0.0),
        }[self.take]


def arranged(masks, feather, overlap):
    """Masks [M, H, W] of one size as Apply IPAdapter Regions places them."""
    count = max(map(len, masks))
    masks = [torch.cat([mask, *[mask[-1:]] * (count - len(mask))]) for mask in masks]
    if feather:
        union = torch.stack(masks).amax(0)
        inside = (2 * blurred(union, feather) - 1).clamp(0, 1) * union
        masks = [blurred(mask, feather) * inside for mask in masks]
    share = sum(masks).clamp(min=1) if overlap == "normalised" else 1
    return [mask / share for mask in masks]


def blurred(masks, radius):
    result = masks.numpy().astype(numpy.float64)
    for axis in (1, 2):
        result = gaussian_filter1d(result, radius / 3, axis=axis, mode="nearest", radius=radius)
    return torch.from_numpy(result).float()


class Graph:
    """A tree of models, each with more prompts than the one it was made from."""

    def __init__(self, source, kind, model, adapters, nodes_by_id, tiny, references):
        self.random, self.kind, self.adapters, self.tiny = source, kind, adapters, tiny
        self.nodes, self.references, self.plain = nodes_by_id, references, model
        self.size = source.choice([8, 10, 13]), source.choice([8, 9, 12])
        self.batch = source.choice([1, 1, 2, 3])
        self.models = [(model, [])]
        for _ in range(source.randrange(1, 5 if kind == "sd15" else 3)):
            self.grow()

    def grow(self):
        model, prompts = self.random.choice(self.models)
        grown = self.regions if self.random.random() < 0.3 else self.one
        result, added = grown(model)
        self.models.append((result, [*prompts, *added]))

    def one(self, model):
        loaded, output, negative, prompt = self.prompt()
        weights, inputs = self.weights(model)
        prompt.weights, prompt.mask = weights, self.mask()
        prompt.keep = self.random.choice([0.0, 0.0, 0.5])
        if negative is not None:
            inputs["clip_vision_output_negative"] = negative
        result = self.nodes["ApplyIPAdapter"].execute(
            model,
            loaded,
            clip_vision_output=output,
            weight=prompt.weight,
            start_at=prompt.start,
            end_at=prompt.end,
            attn_mask=prompt.mask,
            scaling=prompt.scaling,
            keep_prompt=prompt.keep,
            **inputs,
        )
        return result.args[0], [prompt]

    def regions(self, model):
        """Two or three regions, whose masks overlap somewhere."""
        result, prompts, masks = {}, [], []
        factor = self.random.choice([1, 2])
        for number in range(self.random.choice([2, 3])):
            loaded, output, negative, prompt = self.prompt()
            prompt.weights, inputs = self.weights(model)
            if negative is not None:
                inputs["embeds_negative"] = self.references(loaded, negative)
            masks.append(self.mask(factor, always=True))
            region = self.nodes["IPAdapterRegion"].execute(
                loaded,
                prompt.weight,
                prompt.start,
                prompt.end,
                "crop",
                mask=masks[-1],
                embeds=self.references(loaded, output),
                scaling=prompt.scaling,
                **inputs,
            )
            result[f"region{number}"] = region.args[0]
            prompts.append(prompt)
        how = self.random.choice([0, 3]), self.random.choice(["normalised", "added"])
        for prompt, mask in zip(prompts, arranged(masks, *how), strict=True):
            prompt.mask = mask
        return self.nodes["ApplyIPAdapterRegions"].execute(model, result, *how).args[0], prompts

    def prompt(self):
        """An adapter, what the encoder gives for both sides, and what the formula makes of them."""
        name = self.random.choice(ADAPTERS[self.kind])
        loaded, tensors = self.adapters(name, self.random.randrange(2) if name[10] == "_" else 0)
        output = self.features(self.random.randrange(9), self.random.choice([1, 1, 2, 3]))
        key = loaded.spec.clip_input.name
        negative = self.features(self.random.randrange(10, 13))
        if key == "image_embeds" and self.random.random() < 0.7:  # zeros by themselves
            negative = None
        none = torch.zeros_like(output[key][:1]) if negative is None else negative[key]
        start, end = sorted(self.random.choice([0.0, 0.3, 0.5, 0.75, 1.0]) for _ in range(2))
        if self.random.random() < 0.4:
            start, end = 0.0, 1.0
        weight = self.random.choice([0.0, 0.3, 0.7, 1.0, -0.5, 1.7])
        scaling = self.random.choice([V_ONLY, V_ONLY, BOTH, PENALTY])
        prompt = Prompt(tensors, output[key], none, weight, start, end, scaling=scaling)
        return loaded, output, negative, prompt

    def features(self, seed, count=1):
        """What an encoder gives, of fewer patches: the formulas do not ask how many there are."""
        output = self.tiny.features(seed, count)
        output["penultimate_hidden_states"] = output["penultimate_hidden_states"][:, :21]
        return output

    def weights(self, model):
        if self.random.random() < 0.6:
            return everywhere, {}
        result = Weights(self.random, self.kind)
        node = self.nodes["IPAdapterWeightMap"].execute(model, *result.inputs)
        return result, {"weight_map": node.args[0]}

    def mask(self, factor=0, always=False):
        if not always and self.random.random() < 0.5:
            return None
        factor = factor or self.random.choice([1, 2, 8])
        count = self.random.choice([1, self.batch])
        source = torch.Generator().manual_seed(self.random.randrange(100))
        return torch.rand(count, *(factor * side for side in self.size), generator=source)

    def conds(self):
        prompt = self.tiny.text(self.kind, self.random.randrange(9))
        positive, negative = prompt.conds()
        if self.random.random() < 0.4:
            height, width = (side // 2 for side in self.size)
            ((text, options),), _ = self.tiny.text(self.kind, 20).conds()
            part = {**options, "area": (height, width, 3, 2), "strength": 0.8}
            part["set_area_to_bounds"] = False
            positive = [*positive, [text, part]]
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


@pytest.fixture
def references(pack):
    """(adapter, what the encoder gave) -> references as Encode IPAdapter Reference gives them."""

    def made(loaded, output):
        feature = loaded.spec.clip_input.name
        return pack.nodes.sockets.References.of(output[feature], feature)

    return made


CASES = [("sd15", seed) for seed in range(8)] + [("sdxl", seed) for seed in range(2)]


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_a_random_graph_equals_the_formula(
    kind, seed, models, adapters, nodes_by_id, tiny, references
):
    source, plain = random.Random(seed), models(kind)
    graph = Graph(source, kind, plain, adapters, nodes_by_id, tiny, references)
    conds, settings = graph.conds(), graph.sampling()
    assert graph.models
    for model, prompts in source.sample(graph.models, min(2, len(graph.models))):
        result = denoise(model, conds, graph, **settings)
        expected = denoise(Reference(kind, plain, prompts).model, conds, graph, **settings)
        difference = (result - expected).abs().max() / (expected.max() - expected.min())
        assert difference <= ANY_SAMPLER, (settings, graph.size, graph.batch, prompts)


def test_the_picture_of_a_map_shows_each_layer_over_time(nodes_by_id, models):
    """Orange where it acts, the ground's colour where it does not: output 1 alone, in the first
    half.
    """
    node = nodes_by_id["IPAdapterWeightMap"]
    _, picture = node.execute(models("sdxl"), "style", 1.0, 1.0, curve="0:1, 0.5:0 hold").args
    assert picture.shape[0] == 1 and picture.shape[3] == 3
    warm = picture[0, :, :, 0] - picture[0, :, :, 2] > 0.3
    rows, columns = warm.any(1).nonzero(), warm.any(0).nonzero()
    assert 15 <= len(rows) <= 24  # one row of cells
    first, last = int(columns[0]), int(columns[-1])
    from_left, complete = first, picture.shape[2] - 48
    assert abs((last - from_left) / (complete - from_left) - 0.5) < 0.03
