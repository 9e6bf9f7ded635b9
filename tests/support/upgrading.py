"""Prompts with old nodes for the tests, and how they run: node by node, in this process."""

import torch

from support.tolerance import SAMPLING

BASE, PLUS, XL = "ip-adapter_sd15", "ip-adapter-plus_sd15", "ip-adapter_sdxl_vit-h"
XL_PLUS = "ip-adapter-plus_sdxl_vit-h"
SAME = SAMPLING  # what is promised is 1e-3


def picture(seed, count=1, height=40, width=50):
    source = torch.Generator().manual_seed(seed)
    return torch.rand(count, height, width, 3, generator=source)


class Old:
    """A prompt that grows; what stands at @ is the test's own, adapters come by name."""

    def __init__(self, model, encoder, file):
        self.prompt = {}
        self.model, self.clip_vision = self.given(model), self.given(encoder)
        self.adapter = self.add("IPAdapterModelLoader", ipadapter_file=f"{file}.bin")
        self.all = {
            "model": self.model,
            "ipadapter": self.adapter,
            "clip_vision": self.clip_vision,
        }

    def given(self, what):
        return self.add("@", what=what)

    def image(self, name):
        return self.add("LoadImage", image=name)

    def add(self, kind, **inputs):
        key = str(len(self.prompt) + 1)
        self.prompt[key] = {"class_type": kind, "inputs": inputs}
        return [key, 0]


# as the host runs nodes: features that remember how they came about are large
@torch.inference_mode()
def run(prompt, link, nodes_by_id, adapters, encoder):
    """One output of a prompt."""
    done = {}

    def value(given):
        linked = isinstance(given, list) and len(given) == 2 and given[0] in prompt
        return node(given[0])[given[1]] if linked else given

    def node(key):
        if key not in done:
            kind, inputs = prompt[key]["class_type"], prompt[key]["inputs"]
            inputs = {name: value(one) for name, one in inputs.items()}
            done[key] = called(kind, inputs)
        return done[key]

    def called(kind, inputs):
        if kind == "@":
            return (inputs["what"],)
        if kind in ("IPAdapterModelLoader", "LoadIPAdapter"):
            return (adapters(inputs["ipadapter_file"].split(".")[0])[0],)
        if kind == "LoadCLIPVision":
            return (encoder,)
        grown = {}
        for name, one in inputs.items():
            name, _, place = name.partition(".")
            if place:
                grown.setdefault(name, {})[place] = one
            else:
                grown[name] = one
        made = nodes_by_id[kind]
        call = made.execute if hasattr(made, "execute") else getattr(made(), made.FUNCTION)
        result = call(**grown)
        return getattr(result, "args", result)

    return node(link[0])[link[1]]
