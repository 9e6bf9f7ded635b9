"""ip-adapter-nodes: a picture as a prompt, for Stable Diffusion 1.5 and SDXL in ComfyUI."""

import nodes as host
from comfy_api.latest import ComfyExtension, io

from .nodes import NODES, free

WEB_DIRECTORY = "./web"


class IPAdapterExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        # those of old graphs are the host's first kind of class, which it takes from a list as well
        return [*NODES, *free(host.NODE_CLASS_MAPPINGS)]  # type: ignore[list-item]


async def comfy_entrypoint() -> ComfyExtension:
    return IPAdapterExtension()
