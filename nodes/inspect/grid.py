"""Label Image Grid: pictures side by side with what they are, to compare weights, kinds or adapters."""

import torch

from comfy_api.latest import io

from ..drawing import labelled_grid
from ..pictures import rgb

NODE = "Label Image Grid"


class LabelImageGrid(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        one = io.Image.Input("image", tooltip="A picture, or a batch of them.")
        return io.Schema(
            node_id="LabelImageGrid",
            display_name=NODE,
            category="ipadapter/inspect",
            search_aliases=["compare", "xy plot", "contact sheet", "a/b"],
            description="Puts pictures into one grid, each with a line of text above it.",
            inputs=[
                io.Autogrow.Input(
                    "images",
                    template=io.Autogrow.TemplatePrefix(one, prefix="image", min=1, max=64),
                    tooltip="The pictures, row by row.",
                ),
                io.String.Input(
                    "labels",
                    default="",
                    multiline=True,
                    tooltip="One line for each picture, in their order.",
                ),
                io.Int.Input(
                    "columns", default=3, min=1, max=64, tooltip="How many pictures stand in a row."
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="The grid.")],
        )

    @classmethod
    def execute(cls, images, labels, columns):
        given = [
            rgb(one, NODE, name).float().cpu() for name, one in images.items() if one is not None
        ]
        given = [batch for batch in given if len(batch)]
        if not given:
            raise ValueError(f"{NODE} has no pictures: connect at least one to 'image0'.")
        size = given[0].shape[1:3]
        sized = [_sized(batch, size) for batch in given]
        return io.NodeOutput(labelled_grid(torch.cat(sized), labels.splitlines(), columns))


def _sized(batch, size):
    if batch.shape[1:3] == size:
        return batch
    channels = batch.movedim(-1, 1)
    made = torch.nn.functional.interpolate(channels, size, mode="bilinear", antialias=True)
    return made.movedim(1, -1)
