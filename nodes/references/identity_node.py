"""Encode Face Identity: the faces of reference images become embeds for FaceID adapters."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from comfy.clip_vision import ClipVisionModel
from comfy_api.latest import io, ui

from ...ipadapter_core.adapter.features import HIDDEN, Source, Unconditional
from ...ipadapter_core.faces.identity.recognisers import similarities
from ...ipadapter_core.messages import Message
from ...ipadapter_core.references.embeds import References
from ..drawing import draw_rows
from ..face.host_faces import HostLandmarks
from ..face.reference_faces import FaceSource
from ..face.settings import LandmarksSocket
from ..notes import shown_texts
from ..pictures import rgb
from ..sockets import (
    KEEPS_SHOWING,
    EmbedsSocket,
    InsightFaceSocket,
    IPAdapterSocket,
    LoadedAdapter,
    require_adapter,
)
from .encode import unconditional_output
from .face_identity import EncodedFaces, FaceEncoder
from .pair import references_for

NODE = "Encode Face Identity"
STRIP_COLUMNS = 8


class EncodeFaceIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="EncodeFaceIdentity",
            display_name=NODE,
            category="ipadapter/embeds",
            **KEEPS_SHOWING,
            search_aliases=["faceid", "insightface", "arcface", "face similarity", "face embeds"],
            description="Finds the face in each image and encodes its identity, for FaceID "
            "adapters: the embeds can be combined, saved, and used by many Apply IPAdapter "
            "nodes. It also measures how alike the faces of two images are. It needs the "
            "recogniser w600k_r50.onnx in models/insightface, which, like the FaceID adapters, "
            "is for non-commercial research only.",
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="An image of the face; each image of a batch is one reference. An "
                    "image without a face is left out, and the node says so.",
                ),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=-5.0,
                    max=5.0,
                    step=0.05,
                    tooltip="How much these faces count when they are combined with others.",
                ),
                *_optional_inputs(),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        weight: float,
        ipadapter: object = None,
        clip_vision: ClipVisionModel | None = None,
        compare_with: Tensor | None = None,
        face_landmarks: HostLandmarks | None = None,
        insightface: Any = None,
    ) -> io.NodeOutput:
        adapter = None if ipadapter is None else _require_face_adapter(ipadapter, clip_vision)
        if adapter is not None and adapter.spec.clip_input is None:
            clip_vision = None
        source = FaceSource(NODE, "image", landmarks=face_landmarks, analysis=insightface)
        encoder = FaceEncoder(NODE, adapter)
        faces = encoder.encode(_checked_images(image, source), source, clip_vision)
        if adapter is not None:
            references_for(faces.references, adapter, "image")
        compared = None
        if compare_with is not None:
            source = FaceSource(NODE, "compare_with", analysis=insightface)
            compared = encoder.encode(_checked_images(compare_with, source), source)
        similarity, note = _compare(faces, compared)
        strip = draw_rows(
            [side.crops for side in (faces, compared) if side is not None], STRIP_COLUMNS
        )
        texts = [*faces.notes, *(compared.notes if compared else ()), note]
        display: dict[str, Any] = {**ui.PreviewImage(strip).as_dict(), **shown_texts(*texts)}
        references = replace(faces.references, weights=(weight,) * faces.references.count)
        empty_identity = _empty_identity(references, clip_vision, adapter)
        return io.NodeOutput(references, empty_identity, similarity, strip, ui=display)


def _optional_inputs() -> list[io.Input]:
    return [
        IPAdapterSocket.Input(
            "ipadapter",
            optional=True,
            tooltip="The adapter that the embeds are for: its recogniser and its crop are used. "
            "Not connected: those of the FaceID adapters for SD1.5.",
        ),
        io.ClipVision.Input(
            "clip_vision",
            optional=True,
            tooltip="The encoder that FaceID plus adapters need as well: it encodes the aligned "
            "face.",
        ),
        io.Image.Input(
            "compare_with",
            optional=True,
            tooltip="Another image, whose face is compared with the one in 'image': 'similarity' "
            "says how alike they are.",
        ),
        LandmarksSocket.Input(
            "face_landmarks",
            optional=True,
            tooltip="The positions of eyes, nose and mouth in 'image', from Detect Face Landmarks "
            "(MediaPipe) or Face Crop. Faces are then not detected again.",
        ),
        InsightFaceSocket.Input(
            "insightface",
            optional=True,
            tooltip="InsightFace from another pack, which then finds the faces instead of the "
            "built-in detector.",
        ),
    ]


def _outputs() -> list[io.Output]:
    return [
        EmbedsSocket.Output(
            "embeds",
            tooltip="The faces, for 'embeds' of Apply IPAdapter, Combine or Save IPAdapter Embeds.",
        ),
        EmbedsSocket.Output(
            "embeds_negative",
            tooltip="The unconditional embeds that the adapters were trained with, an empty "
            "identity. Save them with the embeds, and no encoder is needed later.",
        ),
        io.Float.Output(
            "similarity",
            tooltip="The cosine similarity of the faces in 'image' and 'compare_with', the mean "
            "if there are several: 1 is the same image, two people are near 0. Without "
            "'compare_with', the faces in 'image' are compared with each other.",
        ),
        io.Image.Output(
            "faces",
            tooltip="The aligned faces side by side; those of 'compare_with' are below them.",
        ),
    ]


def _require_face_adapter(value: object, clip_vision: ClipVisionModel | None) -> LoadedAdapter:
    adapter = require_adapter(value)
    if adapter.spec.identity_input is None:
        raise ValueError(
            f"'{adapter.name}' does not take the identity of a face: use Encode IPAdapter "
            "Reference, with Face Crop before it for a face adapter."
        )
    if adapter.spec.clip_input is not None and clip_vision is None:
        raise ValueError(
            f"'{adapter.name}' also needs the face encoded by {adapter.spec.encoder}: connect "
            f"'clip_vision' of {NODE}."
        )
    return adapter


def _checked_images(image: Tensor, source: FaceSource) -> Tensor:
    images = rgb(image, NODE, source.input_name)
    if not len(images):
        raise ValueError(f"{NODE} got an empty '{source.input_name}': connect an image.")
    return images


def _compare(faces: EncodedFaces, compared: EncodedFaces | None) -> tuple[float, Message]:
    """How alike faces are, and in words."""
    identities = faces.references.features[Source.FACE_IDENTITY.value]
    if compared is None:
        pairs = similarities(identities, identities)
        count = len(pairs)
        is_other = ~torch.eye(count, dtype=torch.bool)
        cosines = pairs[is_other] if count > 1 else pairs.flatten()
    else:
        others = compared.references.features[Source.FACE_IDENTITY.value]
        cosines = similarities(identities, others).flatten()
    mean, lowest, highest = (float(value) for value in (cosines.mean(), *cosines.aminmax()))
    text = f"{mean:.3f}"
    if len(cosines) == 1:
        return mean, Message("similarity: <1>", text)
    return mean, Message("similarity: <1> (<2> to <3>)", text, f"{lowest:.3f}", f"{highest:.3f}")


def _empty_identity(
    references: References, clip_vision: ClipVisionModel | None, adapter: LoadedAdapter | None
) -> References:
    """The unconditional side: an identity of zeros, and the encoder's output for no image, or
    zeros for an adapter that takes them.
    """
    if adapter is not None and adapter.spec.unconditional is Unconditional.ZERO_FEATURES:
        zeros = References.zeros(adapter.spec.inputs)
        return replace(zeros, notes=references.notes)
    identity = Source.FACE_IDENTITY.value
    features = {identity: torch.zeros_like(references.features[identity][:1])}
    if clip_vision is not None:
        features[HIDDEN] = unconditional_output(clip_vision)[HIDDEN]
    return References(features, (1.0,), notes=references.notes)
