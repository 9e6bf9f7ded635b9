"""IPAdapter References: several images, each with its weight, become embeds at once."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from comfy.clip_vision import ClipVisionModel
from comfy_api.latest import io

from ...ipadapter_core.messages import Predicate
from ...ipadapter_core.references.embeds import CONCAT, METHODS, References, join
from ...ipadapter_core.references.images import CROP
from ...ipadapter_core.weights.curves import numbers
from ..sockets import KEEPS_SHOWING, EmbedsSocket, IPAdapterSocket, require_adapter
from .fit import fit_input
from .side_inputs import ReferenceEncoder, SideInputs, negative_inputs

NODE = "IPAdapter References"
MOST_PICTURES = 16


class IPAdapterReferences(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        image = io.Image.Input(
            "image", tooltip="A reference image; a batch is several references with one weight."
        )
        return io.Schema(
            node_id="IPAdapterReferences",
            display_name=NODE,
            category="ipadapter/embeds",
            **KEEPS_SHOWING,
            search_aliases=["several references", "multiple images", "reference weights"],
            description="Encodes several reference images for an adapter, each with its own "
            "weight. Connect its outputs to 'embeds' and 'embeds_negative' of Apply IPAdapter.",
            inputs=[
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter, from Load IPAdapter."),
                io.Autogrow.Input(
                    "images",
                    template=io.Autogrow.TemplatePrefix(
                        image, prefix="image", min=1, max=MOST_PICTURES
                    ),
                    tooltip="The reference images, in the order of the weights.",
                ),
                io.String.Input(
                    "weights",
                    default="",
                    tooltip="A weight for each reference, like 1, 0.5, 0.8. References without a "
                    "number have weight 1.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=CONCAT,
                    tooltip="How the references are combined. concat: side by side; weighted: "
                    "their mean by weight; Combine IPAdapter Embeds describes the others.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="The encoder that the adapter needs, from Load CLIP Vision. Not "
                    "connected: the installed one that fits is used, and the node names it.",
                ),
                fit_input(
                    "How a reference that is not square becomes square: as in Apply IPAdapter.",
                    optional=True,
                ),
            ],
            outputs=[
                EmbedsSocket.Output("embeds", tooltip="The references, encoded."),
                EmbedsSocket.Output("embeds_negative", tooltip="The unconditional embeds."),
            ],
        )

    @classmethod
    def execute(
        cls,
        ipadapter: object,
        images: Mapping[str, Tensor | None],
        weights: str,
        method: str,
        clip_vision: ClipVisionModel | None = None,
        fit: str = CROP,
    ) -> io.NodeOutput:
        adapter = require_adapter(ipadapter)
        connected_images = {name: image for name, image in images.items() if image is not None}
        encoder = ReferenceEncoder(clip_vision, adapter, fit=fit, node=NODE)
        parts: list[References] = []
        negative = None
        for (name, image), weight in zip(
            connected_images.items(), image_weights(weights, len(connected_images)), strict=True
        ):
            side = SideInputs(image, suffix=name.removeprefix("image"))
            references = encoder.encode_sides(side, negative_inputs())
            if references is not None:
                positive, negative = references
                parts.append(replace(positive, weights=(weight,) * positive.count))
        if not parts:
            raise ValueError(f"{NODE} has no image: connect at least one to 'image0'.")
        zeros = References.zeros(adapter.spec.inputs)
        embeds = replace(join(parts), method=method)
        return io.NodeOutput(embeds, negative or zeros, ui=encoder.display)


def image_weights(text: str, count: int) -> list[float]:
    """A weight for each of so many images; 1 where there is no number. Raises ValueError."""
    try:
        weights = numbers(text) if text.strip() else []
    except Predicate as error:
        raise error.about(f"{NODE}'s 'weights'") from None
    if len(weights) > count:
        raise ValueError(
            f"{NODE}'s 'weights' has {len(weights)} numbers for {count} images: write one for "
            "each, in the order of the inputs."
        )
    return weights + [1.0] * (count - len(weights))
