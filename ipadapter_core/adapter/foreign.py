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

    tensor_keys: Sequence[str]
    shapes: Mapping[str, Shape]

    def starts(self, *prefixes: str) -> bool:
        return any(key.startswith(prefixes) for key in self.tensor_keys)

    def ends(self, *endings: str) -> bool:
        return any(key.endswith(endings) for key in self.tensor_keys)

    def has(self, *tensor_keys: str) -> bool:
        return all(key in self.shapes for key in tensor_keys)


def refuse_foreign(outer_keys: Sequence[str], tensor_shapes: Mapping[str, Shape]) -> None:
    """Raise Predicate for a file that is no adapter of a family that runs."""
    file_content = FileContent(outer_keys, tensor_shapes)
    for is_kind, sentence in OTHER_ADAPTERS:
        if is_kind(file_content):
            raise Predicate.of(sentence)
    if is_adapter(file_content):
        return
    for is_kind, sentence in OTHER_FILES:
        if is_kind(file_content):
            raise Predicate.of(sentence)
    raise Predicate("is not an IP-Adapter: none of its tensors belongs to one")


def is_adapter(file_content: FileContent) -> bool:
    adapter_prefixes = (
        "image_proj",
        "image_proj_model",
        "ip_adapter_proj_model",
        "ip_adapter",
        "adapter_modules",
    )
    is_nested = any(key in ("image_proj", "ip_adapter") for key in file_content.tensor_keys)
    return is_nested or file_content.starts(*(f"{prefix}." for prefix in adapter_prefixes))


def _is_instruct(file_content: FileContent) -> bool:
    return file_content.has("image_proj.proj_new_input.weight")


def _is_ms_diffusion(file_content: FileContent) -> bool:
    return file_content.starts("ms_adapter.")


def _is_csgo(file_content: FileContent) -> bool:
    return file_content.starts("content_image_proj.", "style_image_proj.")


def _is_styleshot(file_content: FileContent) -> bool:
    return file_content.starts("style_image_proj_modules.")


def _other_method(method_name: str) -> Message:
    return Message(
        "is a file of <1>, which this pack does not support; choose an adapter for SD1.5 or SDXL",
        method_name,
    )


def _is_encoder(file_content: FileContent) -> bool:
    return file_content.starts("vision_model.", "visual.transformer.")


def _is_checkpoint(file_content: FileContent) -> bool:
    return file_content.starts("model.diffusion_model.")


def _is_lora(file_content: FileContent) -> bool:
    has_lora_weights = file_content.ends(".lora_down.weight", ".lora_A.weight")
    return has_lora_weights or file_content.starts("lora_unet_", "lora_te")


Table = tuple[tuple[Callable[[FileContent], bool], Message], ...]
OTHER_ADAPTERS: Table = (
    (_is_instruct, _other_method("IPAdapter-Instruct")),
    (_is_ms_diffusion, _other_method("MS-Diffusion")),
    (_is_csgo, _other_method("CSGO")),
    (_is_styleshot, _other_method("StyleShot")),
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
