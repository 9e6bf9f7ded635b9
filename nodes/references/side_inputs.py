"""The positive and negative inputs of a node become references."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from comfy.clip_vision import ClipVisionModel, Output
from comfy.model_patcher import ModelPatcher

from ...ipadapter_core.messages import Message
from ...ipadapter_core.references.embeds import CONCAT, References
from ..face.reference_faces import FaceSource
from ..files.file_specs import file_stamp
from ..files.load import encoder_name, find_encoder, installed_encoder
from ..notes import with_texts
from ..pictures import rgb
from ..recall import Recalled, recall
from ..sockets import LoadedAdapter, require_embeds
from .boxes import visible_box
from .encode import box_editor_picture, encode_reference
from .face_identity import FaceEncoder
from .pair import references_for, unconditional_references


@dataclass(frozen=True, eq=False)
class SideInputs:
    """The references connected to a node for the positive or the negative conditioning."""

    image: Tensor | None = None
    clip_vision_output: Output | None = None
    embeds: object = None
    suffix: str = ""  # of the inputs' names on the node
    is_negative: bool = False

    def input_name(self, field: str) -> str:
        return field + self.suffix

    def connected_inputs(self) -> list[str]:
        """The names of the connected inputs."""
        values = {
            "image": self.image,
            "clip_vision_output": self.clip_vision_output,
            "embeds": self.embeds,
        }
        return [self.input_name(field) for field, value in values.items() if value is not None]


def negative_inputs(
    image: Tensor | None = None,
    clip_vision_output: Output | None = None,
    embeds: object = None,
) -> SideInputs:
    return SideInputs(
        image=image,
        clip_vision_output=clip_vision_output,
        embeds=embeds,
        suffix="_negative",
        is_negative=True,
    )


class ReferenceEncoder:
    """Encodes the references of one run of a node, and collects what the node shows of them.

    model: the one that the node applies the adapter to, with which an encoder that is found stays
    in memory; without one it stays with the adapter.
    """

    def __init__(
        self,
        clip_vision: ClipVisionModel | None,
        adapter: LoadedAdapter,
        *,
        fit: str,
        node: str,
        box: str | None = None,
        model: ModelPatcher | None = None,
    ):
        self._connected_encoder, self._adapter = clip_vision, adapter
        self._model = model
        self._fit, self._node = fit, node
        self._box = box  # of 'image'; None on nodes without that input
        self.display: dict[str, Any] = {}

    @cached_property
    def clip_vision(self) -> ClipVisionModel:
        """The connected encoder, else the installed one that fits, which the node names.

        Images that were encoded elsewhere need it for the unconditional embeds.
        """
        if self._connected_encoder is not None:
            return self._connected_encoder
        file_name = find_encoder(self._adapter)
        encoder = installed_encoder(self._model or self._adapter.patcher, file_name, self._adapter)
        text = Message("<1>: <2>", file_name, encoder_name(encoder))
        self.display = with_texts(self.display, text)
        return encoder

    def encode_sides(
        self,
        positive: SideInputs,
        negative: SideInputs,
        method: str = CONCAT,
        by_frame: bool = False,
    ) -> tuple[References, References | None] | None:
        """The references of both sides, as the adapter takes them; None where there is no image.

        by_frame: each image is the reference of one frame, so none may be without a face.
        Raises ValueError for inputs that do not make sense together.
        """
        problem = input_problem(
            positive.connected_inputs(), negative.connected_inputs(), self._node
        )
        if problem:
            raise ValueError(problem)
        positive_references = self._references(positive, by_frame)
        negative_references = self._references(negative)
        if positive_references is None:
            return None
        if negative_references is None:
            negative_references = unconditional_references(self._adapter, lambda: self.clip_vision)
        if positive.embeds is None:  # embeds bring their own method
            positive_references = replace(positive_references, method=method)
        return positive_references, negative_references

    def _references(self, side: SideInputs, by_frame: bool = False) -> References | None:
        if side.embeds is not None:
            field, output = "embeds", require_embeds(side.embeds, side.input_name("embeds"))
        elif side.clip_vision_output is not None:
            field, output = "clip_vision_output", side.clip_vision_output
        elif side.image is not None:
            field, output = "image", self._encode_image(side.image, side, by_frame)
        else:
            return None
        if output is None:
            return None
        return references_for(output, self._adapter, side.input_name(field), side.is_negative)

    def _encode_image(
        self, image: Tensor, side: SideInputs, by_frame: bool
    ) -> Output | References | None:
        box = None if side.is_negative else self._box
        if self._adapter.spec.identity_input is not None:
            patcher = self._adapter.patcher
            encoded = self._encode_faces(image, side, box or "", by_frame)
        else:
            patcher, input_name = self.clip_vision.patcher, side.input_name("image")
            encoded = encode_reference(
                self.clip_vision, image, self._fit, input_name, self._node, box or ""
            )
        if encoded is None:
            return None
        output, display = encoded
        if box is not None:
            self.display |= box_editor_picture(patcher, image)
        for key, values in display.items():
            self.display[key] = (*self.display.get(key, ()), *values)
        return output

    def _encode_faces(
        self, image: Tensor, side: SideInputs, box: str, by_frame: bool
    ) -> tuple[References, dict[str, Any]] | None:
        """The identities of the faces in an image, and the encoder's output of their crops where
        the adapter takes that; and what the node shows of them. Recalled."""
        clip_vision = self.clip_vision if self._adapter.spec.clip_input is not None else None
        encoder = FaceEncoder(self._node, self._adapter)
        input_name = side.input_name("image")

        def make() -> tuple[References, dict[str, Any]] | None:
            images = rgb(image, self._node, input_name)
            if not len(images):
                return None
            part = visible_box(images, box, self._node)
            source = FaceSource(
                node=self._node,
                input_name=input_name,
                box=part,
                is_each_needed=by_frame,
                may_be_faceless=side.is_negative,
            )
            faces = encoder.encode(images, source, clip_vision)
            return faces.references, faces.display()

        stamp = file_stamp(encoder.recogniser.path)
        settings = (self._node, input_name, box.strip(), by_frame, stamp)
        inputs = (image, clip_vision)
        return recall(self._adapter.patcher, Recalled.ENCODED_FACES, make, inputs, settings)


def input_problem(positive: list[str], negative: list[str], node: str) -> str | None:
    """The sentence for connected inputs that do not make sense together, by their names."""
    if not positive:
        return (
            f"{node} has no reference: connect 'image', 'clip_vision_output' from CLIP Vision "
            "Encode, or 'embeds'."
        )
    for names in (positive, negative):
        if len(names) > 1:
            return (
                f"{node} has both '{names[0]}' and '{names[1]}', which both give the reference: "
                "disconnect one of them."
            )
    return None
