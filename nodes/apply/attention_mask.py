"""The one check of attention masks; every mask that sampling gets comes from here."""

import logging

from torch import Tensor

log = logging.getLogger("ipadapter")


def checked_mask(mask: Tensor | None, node: str, name: str = "attn_mask") -> Tensor | None:
    """Any MASK as [M, H, W]. Raises ValueError, with node and input, for anything else."""
    if mask is None:
        return None
    if mask.ndim < 2 or 0 in mask.shape:
        raise ValueError(
            f"{node}'s '{name}' must be masks of shape [batch, height, width], "
            f"found {list(mask.shape)}: connect the MASK output of another node."
        )
    if not mask.isfinite().all():
        raise ValueError(
            f"{node}'s '{name}' holds NaN or infinite values: repair the node it comes from."
        )
    if not mask.any():
        log.warning("%s's '%s' is black everywhere: the picture never acts.", node, name)
    return mask.reshape(-1, *mask.shape[-2:]).float()
