"""Comparisons in the host tests."""

import importlib

import torch

SIZE = (26, 18)  # latent height and width: 13 x 9, 7 x 5, 4 x 3 further down
NAMES = {"sd15": "ip-adapter-plus_sd15", "sdxl": "ip-adapter_sdxl_vit-h"}


def difference(first, second):
    """Largest difference as a share of the range."""
    return float((first - second).abs().max() / (second.max() - second.min()))


def mask(height=31, width=47, **parts):
    """A mask of another size and aspect ratio than the picture."""
    result = torch.full((1, height, width), parts.get("fill", 0.0))
    if "left" in parts:
        result[:, :, : parts["left"]] = 1
    return result


def host_node(module, name, *args, **kwargs):
    node = getattr(importlib.import_module(f"comfy_extras.{module}"), name)
    run = getattr(node, "execute", None) or getattr(node(), node.FUNCTION)
    result = run(*args, **kwargs)
    return result.args[0] if hasattr(result, "args") else result[0]
