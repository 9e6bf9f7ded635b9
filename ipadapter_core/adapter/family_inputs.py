"""The features that a family of adapters takes, by the widths of its projection."""

from .features import (
    GLINT_R100,
    WEBFACE_R50,
    FeatureSpec,
    Picture,
    Source,
    clip_feature,
    identity_feature,
    kolors_feature,
    siglip_hidden,
    siglip_pooled,
)
from .projections import IDENTITY_WIDTH, ProjectorSpec


def clip_embeds(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (clip_feature(Source.CLIP_EMBEDS, projector.feature_width),)


def clip_hidden(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (clip_feature(Source.CLIP_HIDDEN, projector.feature_width),)


def kolors_hidden(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (kolors_feature(projector.feature_width),)


def hidden_of_siglip(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (siglip_hidden(projector.feature_width),)


def pooled_of_siglip(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (siglip_pooled(projector.feature_width),)


def identity(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (identity_feature(projector.feature_width, WEBFACE_R50, is_normalised=True),)


def raw_identity(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (identity_feature(projector.feature_width, WEBFACE_R50, is_normalised=False),)


def instantid_identity(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    return (identity_feature(projector.feature_width, GLINT_R100, is_normalised=False),)


def identity_and_crop(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    crop = clip_feature(Source.CLIP_HIDDEN, projector.feature_width, Picture.ALIGNED_CROP)
    return (identity_feature(IDENTITY_WIDTH, WEBFACE_R50, is_normalised=True), crop)


def raw_identity_and_square(projector: ProjectorSpec) -> tuple[FeatureSpec, ...]:
    square = kolors_feature(projector.feature_width, Picture.FACE_SQUARE)
    return (identity_feature(IDENTITY_WIDTH, GLINT_R100, is_normalised=False), square)
