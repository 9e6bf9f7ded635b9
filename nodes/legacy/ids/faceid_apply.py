"""FaceID adapters on old apply nodes, with IPAdapter_plus's choices: one face of each picture, the
identities combined before the projection, a black picture on the negative side of plus.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from comfy.model_patcher import ModelPatcher

from ....ipadapter_core.adapter.features import HIDDEN
from ...pictures import rgb
from ...references.encode import CROP, encode
from ...references.face_identity import crop_side
from .encoder_views import ENCODER_SIZE, OldAdapter, OldFeatures
from .face_analysis import FaceAnalysis, read_faces
from .image_nodes import shuffled
from .old_apply import OldApply, apply_features


class AppliedFaces(NamedTuple):
    """The model, and the faces that it follows."""

    model: ModelPatcher
    crops: Tensor


def apply_faces(
    model: ModelPatcher, adapter: OldAdapter, settings: OldApply, noise: float = 0.0
) -> AppliedFaces:
    """The model with one old apply node's faces on it. Raises ValueError."""
    spec, node_name = adapter.loaded.spec, settings.node_name
    if settings.image is None or settings.image_composition is not None:
        raise ValueError(
            f"{node_name} uses the FaceID adapter '{adapter.loaded.name}', which takes faces only "
            "from 'image': connect 'image', and disconnect the image for the composition."
        )
    identity = spec.identity_input
    assert identity is not None
    pictures = rgb(settings.image, node_name, "image")
    analysis: Any = adapter.analysis or FaceAnalysis(identity.encoder, node_name)
    # Kolors' identities too, which its authors leave as they are
    is_normalised = identity.is_normalised or spec.family.is_projected_as_text
    identities, crops = read_faces(analysis, pictures, is_normalised, crop_side(spec), node_name)
    features = OldFeatures(identities, None)
    if spec.clip_input is not None:
        hidden = encode(adapter.clip_vision, crops, CROP)[HIDDEN]
        features = OldFeatures(hidden, _negative(adapter, settings, crops, noise))
        features = features._replace(identities=identities)
    settings = replace(settings, face_structure=_structure(settings))
    return AppliedFaces(apply_features(model, adapter.loaded, features, settings), crops)


def _negative(adapter: OldAdapter, settings: OldApply, crops: Tensor, noise: float) -> Tensor:
    """The encoder's output for the negative picture, else for noise or black."""
    if settings.image_negative is not None:
        pictures = rgb(settings.image_negative, settings.node_name, "image_negative")
    elif noise:
        pictures = shuffled(crops, noise)
    else:
        pictures = torch.zeros(1, ENCODER_SIZE, ENCODER_SIZE, 3)
    return encode(adapter.clip_vision, pictures, CROP)[HIDDEN]


def _structure(settings: OldApply) -> float:
    """The weight of plus v2's picture; twice the node's weight where it has no widget for it."""
    if settings.weight_faceidv2 is not None:
        return float(settings.weight_faceidv2)
    weight = settings.weight[0] if isinstance(settings.weight, list) else settings.weight
    return 2.0 * float(weight)
