"""IMAGE inputs: what any node of the pack asks of a picture before it looks at it."""

from torch import Tensor


def rgb(image: Tensor, node: str, input_name: str) -> Tensor:
    """[B, H, W, any] -> [B, H, W, 3]; alpha is dropped, grey is repeated. B may be 0: no picture.

    Raises ValueError, with the position, for another shape and for NaN or infinite values.
    """
    if image.ndim != 4 or 0 in image.shape[1:]:
        raise ValueError(
            f"{node}'s '{input_name}' must be pictures of shape [batch, height, width, channels], "
            f"found {list(image.shape)}: connect the IMAGE output of another node."
        )
    check_finite(image, node, input_name)
    return image[..., :3] if image.shape[-1] >= 3 else image[..., :1].expand(-1, -1, -1, 3)


def check_finite(batch: Tensor, node: str, input_name: str) -> None:
    for number, picture in enumerate(batch, 1):
        if not picture.isfinite().all():
            raise ValueError(
                f"{node}'s '{input_name}' number {number} of {len(batch)} holds NaN or infinite "
                "values: repair the node it comes from (often a VAE in half precision)."
            )
