"""The one check of attention masks; every mask that sampling gets comes from here."""

import logging

from torch import Tensor

from ..pictures import require_masks

log = logging.getLogger("ipadapter")


def checked_mask(mask: object, node: str, input_name: str = "attn_mask") -> Tensor | None:
    """Any MASK as [M, H, W]. Raises ValueError, with node and input, for anything else."""
    if mask is None:
        return None
    masks = require_masks(mask, node, input_name)
    if not masks.any():
        log.warning("%s's '%s' is black everywhere: the picture never acts.", node, input_name)
    return masks
