"""INSIGHTFACE links of old graphs: this pack's detector and recogniser behind the methods of
insightface's FaceAnalysis, which InstantID's and PuLID's nodes also call.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor

from ....ipadapter_core.adapter.features import GLINT_R100, WEBFACE_R50
from ....ipadapter_core.faces.identity import recognisers
from ....ipadapter_core.faces.identity.alignment import align_face
from ....ipadapter_core.faces.identity.iresnet import IResNet
from ...face.recogniser_files import open_recogniser, require_recogniser
from ...face.reference_faces import analysed_landmarks
from ...face.search import search
from ...face.settings import ALL, ARCFACE, FaceCropSettings

SPACES = {"buffalo_l": WEBFACE_R50, "antelopev2": GLINT_R100}
DETECTION_SIDES = range(640, 256, -64)  # in which IPAdapter_plus looks, until there is a face


class AnalysedFace(dict[str, Any]):
    """A face as insightface gives it: the same names as keys and as attributes."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


class DetectionModel:
    """Takes the size that callers set; our detector looks at the whole picture anyway."""

    input_size = (640, 640)


class FaceAnalysis:
    """Finds the faces of a picture and reads whose they are. `space`: of the embeddings."""

    def __init__(self, space: str, node_name: str):
        self.space, self.node_name = space, node_name
        self.det_model = DetectionModel()
        self._net: IResNet | None = None

    def get(self, img: Any, max_num: int = 0) -> list[AnalysedFace]:
        """The faces of a picture [H, W, 3] with blue first, 0 to 255, the surest first."""
        blue_first = torch.from_numpy(numpy.ascontiguousarray(img)).float() / 255
        picture = blue_first.flip(-1)
        settings = FaceCropSettings(align=ARCFACE, which=ALL)
        (picture_faces,) = search(picture[None], None, None, None, settings, self.node_name)
        faces = sorted(picture_faces.chosen_faces, key=lambda face: -face.score)
        return [
            self._analyse(picture, face.box, face.landmarks, face.score)
            for face in faces[: max_num or None]
            if face.landmarks is not None
        ]

    def _analyse(
        self, picture: Tensor, box: Sequence[float], landmarks: Tensor, score: float
    ) -> AnalysedFace:
        embedding = recognisers.embed(self._open_net(), align_face(picture, landmarks)[None])[0]
        as_array = embedding.cpu().numpy()
        length = float(embedding.norm())
        return AnalysedFace(
            bbox=numpy.array(box, numpy.float32),
            kps=landmarks.cpu().numpy().astype(numpy.float32),
            det_score=score,
            embedding=as_array,
            embedding_norm=length,
            normed_embedding=as_array / max(length, 1e-12),
        )

    def _open_net(self) -> IResNet:
        if self._net is None:
            file = require_recogniser(self.space, self.node_name)
            self._net = open_recogniser(file.path)
        return self._net


class FaceBatch(NamedTuple):
    """Of each picture one face: its identity [N, 512], and its crop [N, S, S, 3]."""

    identities: Tensor
    crops: Tensor


def read_faces(
    analysis: Any, pictures: Tensor, is_normalised: bool, crop_side: int, node_name: str
) -> FaceBatch:
    """The surest face of each picture, as IPAdapter_plus takes it. Raises ValueError where there
    is none."""
    identities: list[Tensor] = []
    crops: list[Tensor] = []
    for number, picture in enumerate(pictures):
        face = _first_face(analysis, picture)
        if face is None:
            raise ValueError(
                f"{node_name} finds no face in image {number + 1} of {len(pictures)}: connect a "
                "larger, sharper image of the face from the front."
            )
        embedding = face.normed_embedding if is_normalised else face.embedding
        identities.append(torch.as_tensor(numpy.asarray(embedding, numpy.float32)).flatten())
        crops.append(align_face(picture.cpu().float(), analysed_landmarks(face), crop_side))
    return FaceBatch(torch.stack(identities), torch.stack(crops))


def _first_face(analysis: Any, picture: Tensor) -> Any:
    """The first face of a picture [H, W, 3], looked for in smaller and smaller sizes."""
    red_first = (picture * 255).clamp(0, 255).byte().cpu().numpy()
    blue_first = numpy.ascontiguousarray(red_first[..., ::-1])
    if isinstance(analysis, FaceAnalysis):
        return next(iter(analysis.get(blue_first)), None)
    for side in DETECTION_SIDES:
        analysis.det_model.input_size = (side, side)
        if faces := analysis.get(blue_first):
            return faces[0]
    return None
