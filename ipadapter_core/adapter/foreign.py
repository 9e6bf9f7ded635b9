"""Files that this pack knows and cannot run, or that lie in the wrong folder: what each one is, in
words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..messages import Message, Predicate
from .layout import Shape


@dataclass(frozen=True)
class FileContent:
    """The outermost keys of a file as they stand there, and its shapes under the names of an
    adapter.
    """

    keys: Sequence[str]
    shapes: Mapping[str, Shape]

    def starts(self, *prefixes: str) -> bool:
        return any(key.startswith(prefixes) for key in self.keys)

    def ends(self, *endings: str) -> bool:
        return any(key.endswith(endings) for key in self.keys)

    def has(self, *keys: str) -> bool:
        return all(key in self.shapes for key in keys)

    def width(self, key: str) -> int:
        """The last axis of a matrix, 0 for anything else."""
        shape = self.shapes.get(key, ())
        return shape[1] if len(shape) == 2 else 0


def refuse_foreign(keys: Sequence[str], shapes: Mapping[str, Shape]) -> None:
    """Raise Predicate for a file that is no adapter of a family that runs."""
    content = FileContent(keys, shapes)
    for is_kind, sentence in OTHER_ADAPTERS:
        if is_kind(content):
            raise Predicate.of(sentence)
    if is_adapter(content):
        return
    for is_kind, sentence in OTHER_FILES:
        if is_kind(content):
            raise Predicate.of(sentence)
    raise Predicate("is no IP-Adapter: none of its tensors belongs to one")


def is_adapter(content: FileContent) -> bool:
    prefixes = ("image_proj", "image_proj_model", "ip_adapter", "adapter_modules")
    nested = any(key in ("image_proj", "ip_adapter") for key in content.keys)
    return nested or content.starts(*(f"{prefix}." for prefix in prefixes))


def _is_flux(content: FileContent) -> bool:
    starts = content.starts("double_blocks.", "ip_adapter_proj_model.")
    return starts or content.width("ip_adapter.0.to_k_ip.weight") == 4096


def _is_sd3(content: FileContent) -> bool:
    return content.has("image_proj.time_embedding.linear_1.weight")


def _is_face_identity_resampler(content: FileContent) -> bool:
    return content.width("image_proj.proj_in.weight") == 512


def _is_faceid(content: FileContent) -> bool:
    marks = ("image_proj.proj.0.weight", "image_proj.norm.weight")
    return content.has(*marks) or any(
        "_lora." in key or key.startswith("image_proj.perceiver_resampler.")
        for key in content.shapes
    )


def _is_kolors(content: FileContent) -> bool:
    latents = content.shapes.get("image_proj.latents", ())
    wide = len(latents) == 3 and latents[2] == 2048
    return wide and content.width("image_proj.proj_in.weight") == 1024


def _is_encoder(content: FileContent) -> bool:
    return content.starts("vision_model.", "visual.transformer.")


def _is_checkpoint(content: FileContent) -> bool:
    return content.starts("model.diffusion_model.")


def _is_lora(content: FileContent) -> bool:
    endings = content.ends(".lora_down.weight", ".lora_A.weight")
    return endings or content.starts("lora_unet_", "lora_te")


Table = tuple[tuple[Callable[[FileContent], bool], Message], ...]
OTHER_ADAPTERS: Table = (
    (
        _is_flux,
        Message(
            "is an IP-Adapter for FLUX; this pack cannot run those yet; choose a base, plus "
            "or full-face adapter for SD1.5 or SDXL"
        ),
    ),
    (
        _is_sd3,
        Message(
            "is an IP-Adapter for SD3; this pack cannot run those yet; choose a base, plus "
            "or full-face adapter for SD1.5 or SDXL"
        ),
    ),
    (
        _is_face_identity_resampler,
        Message(
            "is a face-identity adapter (FaceID Portrait unnorm or InstantID), which needs "
            "InsightFace embeddings; this pack cannot run those yet; choose a base, plus or "
            "full-face adapter for SD1.5 or SDXL"
        ),
    ),
    (
        _is_faceid,
        Message(
            "is a FaceID adapter, which needs InsightFace embeddings; this pack cannot run "
            "those yet; choose a base, plus or full-face adapter for SD1.5 or SDXL"
        ),
    ),
    (
        _is_kolors,
        Message(
            "is an IP-Adapter for Kolors; this pack cannot run those yet; choose a base, "
            "plus or full-face adapter for SD1.5 or SDXL"
        ),
    ),
)
OTHER_FILES: Table = (
    (
        _is_encoder,
        Message("is a CLIP vision encoder, not an adapter; move it to models/clip_vision"),
    ),
    (
        _is_checkpoint,
        Message("is a whole checkpoint, not an adapter; move it to models/checkpoints"),
    ),
    (_is_lora, Message("is a LoRA, not an adapter; move it to models/loras")),
)
