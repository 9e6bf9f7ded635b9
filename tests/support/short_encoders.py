"""Files of encoders with two layers and narrow MLPs, for servers with `packs/counting_pack`."""

import make_models
import torch
from adapter_layouts import dense, norm

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


def siglip_tensors() -> dict[str, torch.Tensor]:
    """SigLIP so400m at 384 pixels, without its pooling head."""
    width, prefix = 1152, "vision_model.encoder.layers"
    shapes = {
        "vision_model.embeddings.patch_embedding.weight": (width, 3, 14, 14),
        "vision_model.embeddings.patch_embedding.bias": (width,),
        "vision_model.embeddings.position_embedding.weight": (729, width),
        **norm("vision_model.post_layernorm", width),
        **{f"{prefix}.{late}.layer_norm1.weight": (width,) for late in (22, 26)},
    }
    for layer in (f"{prefix}.{number}" for number in range(LAYERS)):
        shapes |= norm(f"{layer}.layer_norm1", width) | norm(f"{layer}.layer_norm2", width)
        for projection in ("q", "k", "v", "out"):
            shapes |= dense(f"{layer}.self_attn.{projection}_proj", width, width)
        shapes |= dense(f"{layer}.mlp.fc1", HIDDEN_UNITS, width)
        shapes |= dense(f"{layer}.mlp.fc2", width, HIDDEN_UNITS)
    return make_models.draw(shapes, make_models.generator("siglip", 0))


def narrow(key: str, value: torch.Tensor) -> torch.Tensor:
    """A tensor of an MLP with the first of its hidden units alone; others as they are."""
    if ".mlp.fc1." in key:
        return value[:HIDDEN_UNITS]
    return value[:, :HIDDEN_UNITS] if key.endswith(".mlp.fc2.weight") else value
