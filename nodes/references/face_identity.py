"""Faces of reference images become identity embeddings, and aligned crops for an image encoder.

N faces.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

import comfy.model_management
import comfy.utils
from comfy.clip_vision import ClipVisionModel
from comfy_api.latest import ui

from ...ipadapter_core.adapter.checkpoint import FACE_CROP_SIDE, AdapterSpec
from ...ipadapter_core.adapter.features import HIDDEN, WEBFACE_R50, Picture, Source
from ...ipadapter_core.faces.face_square import crop, square_of
from ...ipadapter_core.faces.identity import recognisers
from ...ipadapter_core.faces.identity.alignment import align_face
from ...ipadapter_core.faces.identity.iresnet import EMBEDDING_WIDTH, IResNet
from ...ipadapter_core.faces.turned_square import TEMPLATE_SIDE
from ...ipadapter_core.messages import Message
from ...ipadapter_core.references.embeds import References
from ...ipadapter_core.references.embeds_file import RECOGNISER
from ...ipadapter_core.references.images import CROP
from ..face.recogniser_files import RecogniserFile, open_recogniser, require_recogniser
from ..face.reference_faces import (
    FaceSource,
    ReferenceFace,
    find_reference_faces,
)
from ..files.file_specs import file_stamp
from ..notes import shown_texts
from ..recall import Recalled, recall
from ..sockets import LoadedAdapter
from .encode import CHUNK_SIZE, PREVIEW_COUNT, encode

IDENTITY_NOTE = "aligned face"
log = logging.getLogger("ipadapter")


@dataclass(frozen=True, eq=False)
class EncodedFaces:
    """References of faces, their identities of any length, the crops [N, S, S, 3], and notes."""

    references: References
    crops: Tensor
    notes: Sequence[Message]

    def display(self) -> dict[str, Any]:
        """A node's display: the crops and the notes."""
        previews = ui.PreviewImage(self.crops[:PREVIEW_COUNT])
        return {**previews.as_dict(), **shown_texts(*self.notes)}


class FaceEncoder:
    """Finds and encodes the faces of one run of a node; looks for the recogniser once.

    adapter: whose recogniser and crop are used; without one, those of SD1.5's FaceID.
    """

    def __init__(self, node: str, adapter: LoadedAdapter | None):
        self.node, self.adapter = node, adapter

    @property
    def space(self) -> str:
        """Of the embeddings: which recogniser the adapter was trained with."""
        identity = self.adapter.spec.identity_input if self.adapter else None
        return identity.encoder if identity else WEBFACE_R50

    def encode(
        self, images: Tensor, source: FaceSource, clip_vision: ClipVisionModel | None = None
    ) -> EncodedFaces:
        """The faces of images [B, H, W, 3], one at most of each. Raises ValueError where there is
        none, or no recogniser of the adapter.

        clip_vision: for adapters that also take the encoder's output of the crop.
        """
        net = self._net
        faces, notes = find_reference_faces(images, source)
        if faces:
            identities = _embed_faces(net, images, faces)
            crops = _cut_for_encoder(images, faces, self.adapter and self.adapter.spec)
        else:
            identities = torch.zeros(len(images), EMBEDDING_WIDTH)
            crops = images
            notes = [Message("<1>: no face found; an empty identity is used.", source.input_name)]
        features = {Source.FACE_IDENTITY.value: identities}
        if clip_vision is not None:
            features[HIDDEN] = encode(clip_vision, crops, CROP)[HIDDEN]
        notes_of_file = {RECOGNISER: self.space, "fit": IDENTITY_NOTE}
        references = References(features, (1.0,) * len(crops), notes=notes_of_file)
        for note in notes:
            log.warning("%s", note)
        recogniser = self.recogniser.spec.space or self.recogniser.spec.describe()
        count = Message(
            "<1>: faces found: <2> (recogniser: <3>)", source.input_name, len(faces), recogniser
        )
        return EncodedFaces(references, crops, [count, *notes])

    @cached_property
    def recogniser(self) -> RecogniserFile:
        """The installed one. Raises ValueError where there is none that fits."""
        subject = self.node if self.adapter is None else f"'{self.adapter.name}'"
        return require_recogniser(self.space, subject)

    @cached_property
    def _net(self) -> IResNet:
        path = self.recogniser.path
        if self.adapter is None:
            return open_recogniser(path)
        return recall(
            self.adapter.patcher,
            Recalled.RECOGNISER,
            lambda: open_recogniser(path),
            settings=file_stamp(path),
            only_latest=True,
        )


def crop_side(spec: AdapterSpec | None) -> int:
    """Of the face for the encoder, in pixels; without an adapter, as for SD1.5's FaceID."""
    return spec.face_crop_side if spec else FACE_CROP_SIDE


def _embed_faces(net: IResNet, images: Tensor, faces: Sequence[ReferenceFace]) -> Tensor:
    """The embeddings [N, 512], on the processor, some faces at a time."""
    progress_bar = comfy.utils.ProgressBar(len(faces))
    embeddings: list[Tensor] = []
    for start in range(0, len(faces), CHUNK_SIZE):
        comfy.model_management.throw_exception_if_processing_interrupted()
        chunk = faces[start : start + CHUNK_SIZE]
        embeddings.append(recognisers.embed(net, _cut_faces(images, chunk)))
        progress_bar.update(len(chunk))  # pyright: ignore[reportUnknownMemberType]
    return torch.cat(embeddings)


def _cut_for_encoder(
    images: Tensor, faces: Sequence[ReferenceFace], spec: AdapterSpec | None
) -> Tensor:
    """The encoder's view of the faces, [N, S, S, 3]."""
    side = crop_side(spec)
    clip_input = spec.clip_input if spec is not None else None
    if clip_input is None or clip_input.picture is not Picture.FACE_SQUARE:
        return _cut_faces(images, faces, side)
    return torch.stack(
        [crop(images[face.picture_number], square_of(face.box), side) for face in faces]
    )


def _cut_faces(images: Tensor, faces: Sequence[ReferenceFace], side: int = TEMPLATE_SIDE) -> Tensor:
    """The aligned crops [N, S, S, 3], each out of the whole image."""
    return torch.stack(
        [align_face(images[face.picture_number], face.landmarks, side) for face in faces]
    )
