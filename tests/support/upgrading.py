"""Prompts with old nodes for the tests, and how they run: node by node, in this process."""

import torch

from support.tolerance import SAMPLING

BASE, PLUS, XL = "ip-adapter_sd15", "ip-adapter-plus_sd15", "ip-adapter_sdxl_vit-h"
XL_PLUS = "ip-adapter-plus_sdxl_vit-h"
SAME = SAMPLING  # what is promised is 1e-3


def picture(seed, count=1, height=40, width=50):
    source = torch.Generator().manual_seed(seed)
    return torch.rand(count, height, width, 3, generator=source)


class OldGraph:
    """A prompt that grows; what stands at @ is the test's own, adapters come by name."""

    def __init__(self, model, encoder, file):
        self.prompt = {}
        self.model, self.clip_vision = self.constant(model), self.constant(encoder)
        self.adapter = self.add("IPAdapterModelLoader", ipadapter_file=f"{file}.bin")
        self.all = {
            "model": self.model,
            "ipadapter": self.adapter,
            "clip_vision": self.clip_vision,
        }

    def constant(self, content):
        return self.add("@", what=content)

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
    return PromptRun(prompt, nodes_by_id, adapters, encoder).value(link)


class PromptRun:
    """The outputs of a prompt's nodes, each run once."""

    def __init__(self, prompt, nodes_by_id, adapters, encoder):
        self.prompt, self.nodes_by_id = prompt, nodes_by_id
        self.adapters, self.encoder = adapters, encoder
        self.outputs = {}

    def value(self, content):
        """The value of an input: that of its link, or the typed one."""
        is_link = isinstance(content, list) and len(content) == 2 and content[0] in self.prompt
        return self.node_outputs(content[0])[content[1]] if is_link else content

    def node_outputs(self, key):
        if key not in self.outputs:
            kind, inputs = self.prompt[key]["class_type"], self.prompt[key]["inputs"]
            inputs = {name: self.value(content) for name, content in inputs.items()}
            self.outputs[key] = self.call_node(kind, inputs)
        return self.outputs[key]

    def call_node(self, kind, inputs):
        if kind == "@":
            return (inputs["what"],)
        if kind in ("IPAdapterModelLoader", "LoadIPAdapter"):
            return (self.adapters(inputs["ipadapter_file"].split(".")[0])[0],)
        if kind == "LoadCLIPVision":
            return (self.encoder,)
        node_class = self.nodes_by_id[kind]
        is_new = hasattr(node_class, "execute")
        call = node_class.execute if is_new else getattr(node_class(), node_class.FUNCTION)
        result = call(**with_groups(inputs))
        return getattr(result, "args", result)


def with_groups(inputs):
    """`images.image0` and its like as one dict for each group, as the host hands them over."""
    groups, single = {}, {}
    for name, value in inputs.items():
        group, _, member = name.partition(".")
        if member:
            groups.setdefault(group, {})[member] = value
        else:
            single[name] = value
    return single | groups
