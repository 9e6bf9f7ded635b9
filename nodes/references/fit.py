"""The input of every node that takes a reference: how it becomes square."""

from comfy_api.latest import io

from ...ipadapter_core.references.images import CROP, FITS


def fit_input(tooltip: str, optional: bool = False, advanced: bool | None = None) -> io.Combo.Input:
    return io.Combo.Input(
        "fit",
        options=FITS,
        default=CROP,
        optional=optional,
        advanced=advanced,  # pyright: ignore[reportArgumentType] - None is the host's default
        tooltip=tooltip,
    )
