"""Files of encoders with two layers and narrow MLPs, for servers with `packs/counting_pack`."""

import make_models
import torch

LAYERS = 2
HIDDEN_UNITS = 64  # of an MLP; both as in packs/counting_pack


def encoder_tensors(name: str) -> dict[str, torch.Tensor]:
    """Those of make_models without most layers and hidden units; the last layers keep what tells
    the kind.
    """
    depth = make_models.TOWERS[name].depth
    tensors = {}
    for key, value in make_models.encoder_tensors(name).items():
        number = key.split("encoder.layers.")[-1].split(".")[0]
        is_late = number in (str(depth - 2), str(depth - 1)) and key.endswith("layer_norm1.weight")
        if not number.isdecimal() or int(number) < LAYERS or is_late:
            tensors[key] = narrow(key, value)
    return tensors


def narrow(key: str, value: torch.Tensor) -> torch.Tensor:
    """A tensor of an MLP with the first of its hidden units alone; others as they are."""
    if ".mlp.fc1." in key:
        return value[:HIDDEN_UNITS]
    return value[:, :HIDDEN_UNITS] if key.endswith(".mlp.fc2.weight") else value
