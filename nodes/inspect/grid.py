"""Label Image Grid: images side by side with labels, to compare weights, kinds or adapters."""

import torch
from torch import Tensor

from comfy_api.latest import io

from ..drawing import draw_labelled_grid
from ..pictures import rgb

NODE = "Label Image Grid"
MOST_IMAGES = 64


class LabelImageGrid(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        image_input = io.Image.Input("image", tooltip="An image, or a batch of images.")
        return io.Schema(
            node_id="LabelImageGrid",
            display_name=NODE,
            category="ipadapter/inspect",
            search_aliases=["compare", "xy plot", "contact sheet", "a/b"],
            description="Arranges images in one grid, each with a line of text above it.",
            inputs=[
                io.Autogrow.Input(
                    "images",
                    template=io.Autogrow.TemplatePrefix(
                        image_input, prefix="image", min=1, max=MOST_IMAGES
                    ),
                    tooltip="The images, row by row.",
                ),
                io.String.Input(
                    "labels",
                    default="",
                    multiline=True,
                    tooltip="One line for each image, in the same order.",
                ),
                io.Int.Input(
                    "columns", default=3, min=1, max=64, tooltip="How many images are in a row."
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="The grid.")],
        )

    @classmethod
    def execute(cls, images: dict[str, Tensor | None], labels: str, columns: int) -> io.NodeOutput:
        image_batches = [
            rgb(image, NODE, name).float().cpu()
            for name, image in images.items()
            if image is not None
        ]
        image_batches = [batch for batch in image_batches if len(batch)]
        if not image_batches:
            raise ValueError(f"{NODE} has no images: connect at least one to 'image0'.")
        height, width = image_batches[0].shape[1:3]
        all_images = torch.cat([_resize(batch, (height, width)) for batch in image_batches])
        return io.NodeOutput(draw_labelled_grid(all_images, labels.splitlines(), columns))


def _resize(batch: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, H, W, C] at another height and width."""
    if batch.shape[1:3] == size:
        return batch
    channels = batch.movedim(-1, 1)
    resized_images = torch.nn.functional.interpolate(
        channels, size, mode="bilinear", antialias=True
    )
    return resized_images.movedim(1, -1)
