"""ip-adapter-nodes: a picture as a prompt, for Stable Diffusion 1.5, SDXL and 3.5, Kolors
and FLUX.1 in ComfyUI.
"""

import sys

import nodes as host
from comfy_api.latest import ComfyExtension, io

from .nodes import NODES
from .nodes.doctor import routes
from .nodes.legacy import free_nodes, listen

WEB_DIRECTORY = "./web"


class IPAdapterExtension(ComfyExtension):
    async def on_load(self) -> None:
        # looked up, not imported: an import would start a server where nodes are only called
        module = sys.modules.get("server")
        if server := getattr(getattr(module, "PromptServer", None), "instance", None):
            listen(server, host.NODE_CLASS_MAPPINGS)
            routes.register(server, host.NODE_CLASS_MAPPINGS)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        # those of old graphs are the host's first kind of class, which it takes from a list as well
        return [*NODES, *free_nodes(host.NODE_CLASS_MAPPINGS)]  # type: ignore[list-item]


async def comfy_entrypoint() -> ComfyExtension:
    return IPAdapterExtension()
