"""Of which kind an image projection is, by the shapes of its tensors: a test for each row of
`families.py`.
"""

from .projections import ProjectorShapes, read_identity

IDENTITY_WIDTH = 512  # of a face embedding
SIGLIP_WIDTH = 1152  # of what SigLIP gives
PORTRAIT_TOKENS = 16
KOLORS_WIDTHS = (2048, 1024)  # of the queries, and of the encoder's output


def is_linear(projector_shapes: ProjectorShapes) -> bool:
    return "proj.weight" in projector_shapes.shapes


def is_xlabs(projector_shapes: ProjectorShapes) -> bool:
    return is_linear(projector_shapes) and projector_shapes.has_biased_layers


def is_flux_instantx(projector_shapes: ProjectorShapes) -> bool:
    if not is_identity(projector_shapes):
        return False
    return read_identity(projector_shapes).feature_width == SIGLIP_WIDTH


def is_identity_resampler(projector_shapes: ProjectorShapes) -> bool:
    first_shape = projector_shapes.shapes.get("proj_in.weight", ())
    return is_resampler(projector_shapes) and first_shape[1:] == (IDENTITY_WIDTH,)


def is_resampler(projector_shapes: ProjectorShapes) -> bool:
    return "latents" in projector_shapes.shapes


def is_kolors(projector_shapes: ProjectorShapes) -> bool:
    latents, first_shape = (
        projector_shapes.shapes.get(key, ()) for key in ("latents", "proj_in.weight")
    )
    return len(latents) == 3 and (latents[2], *first_shape[1:]) == KOLORS_WIDTHS


def is_time_resampler(projector_shapes: ProjectorShapes) -> bool:
    return "time_embedding.linear_1.weight" in projector_shapes.shapes


def is_mlp(projector_shapes: ProjectorShapes) -> bool:
    return "proj.3.weight" in projector_shapes.shapes


def is_face_plus(projector_shapes: ProjectorShapes) -> bool:
    return "perceiver_resampler.proj_in.weight" in projector_shapes.shapes


def is_kolors_face(projector_shapes: ProjectorShapes) -> bool:
    first_shape = projector_shapes.shapes.get("perceiver_resampler.proj_in.weight", ())
    return first_shape[1:] == KOLORS_WIDTHS[1:]


def is_portrait(projector_shapes: ProjectorShapes) -> bool:
    if not is_identity(projector_shapes):
        return False
    return read_identity(projector_shapes).token_count == PORTRAIT_TOKENS


def is_identity(projector_shapes: ProjectorShapes) -> bool:
    return {"proj.0.weight", "norm.weight"} <= projector_shapes.shapes.keys()
