"""ip-adapter-nodes: a picture as a prompt, for Stable Diffusion 1.5 and SDXL in ComfyUI."""

from comfy_api.latest import ComfyExtension, io

from .nodes import NODES

WEB_DIRECTORY = "./web"


class IPAdapterExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> ComfyExtension:
    return IPAdapterExtension()
