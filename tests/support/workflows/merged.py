"""Many prompts as one, so that a server loads a model once and samples what is the same once."""

import json

Node = dict  # one node of an API prompt
Prompt = dict[str, Node]


def node_of(kind: str, inputs: dict) -> Node:
    return {"class_type": kind, "inputs": inputs}


def samplers(prompt: Prompt) -> list[str]:
    return [key for key, node in prompt.items() if node["class_type"] == "KSampler"]


def checkpoint(prompt: Prompt) -> str:
    """The id of the only node that loads one."""
    (loader,) = (
        key for key, node in prompt.items() if node["class_type"] == "CheckpointLoaderSimple"
    )
    return loader


def checkpoint_file(prompt: Prompt) -> str:
    return prompt[checkpoint(prompt)]["inputs"]["ckpt_name"]


class MergedPrompt:
    """Nodes of several prompts; those that are equal, with all that leads to them, are one."""

    def __init__(self) -> None:
        self.nodes: Prompt = {}
        self._ids: dict[str, str] = {}  # a node as JSON -> its id here

    def add(self, node: Node, wanted_id: str) -> str:
        """Its id here: the wanted one, unless an equal node has another."""
        text = json.dumps(node, sort_keys=True)
        if text not in self._ids:
            while wanted_id in self.nodes:
                wanted_id += "'"
            self._ids[text] = wanted_id
            self.nodes[wanted_id] = node
        return self._ids[text]

    def add_prompt(self, prompt: Prompt, name: str) -> dict[str, str]:
        """The ids here by those in the prompt."""
        ids: dict[str, str] = {}

        def add(key: str) -> str:
            if key not in ids:
                node = prompt[key]
                inputs = {
                    socket: [add(value[0]), value[1]] if isinstance(value, list) else value
                    for socket, value in node["inputs"].items()
                }
                ids[key] = self.add(node_of(node["class_type"], inputs), f"{name} {key}")
            return ids[key]

        for key in prompt:
            add(key)
        return ids

    def add_difference(self, latent_id: str, other_id: str, name: str) -> str:
        """A node that shows how far the two lie apart, and the range of the other."""
        return self.add(
            node_of("Difference", {"one": [latent_id, 0], "other": [other_id, 0]}), name
        )

    def without_pictures(self) -> Prompt:
        return {
            key: node for key, node in self.nodes.items() if node["class_type"] != "PreviewImage"
        }
