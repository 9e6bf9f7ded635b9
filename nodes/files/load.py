"""Files become objects for the nodes, recognised by what they hold."""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

import comfy.clip_vision
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
from comfy.clip_vision import ClipVisionModel
from comfy.model_patcher import ModelPatcher

from ...ipadapter_core.adapter.checkpoint import AdapterSpec, read_spec
from ...ipadapter_core.adapter.encoders import EncoderSpec, read_encoder
from ...ipadapter_core.adapter.layout import Weights, flatten
from ...ipadapter_core.adapter.lora import LoraPair, LoraTarget, is_lora_key, lora_pairs
from ...ipadapter_core.adapter.module import build
from ...ipadapter_core.messages import Message, Predicate
from ..recall import Recalled, recall
from ..sockets import LoadedAdapter
from . import folders
from .file_specs import file_stamp, installed_spec
from .missing_files import explain_missing
from .open_files import read_metadata, read_shapes, read_weights
from .twins import AUTO, find_twin

PAGE = 4096  # bytes of a file that the system reads at least
PROGRESS_STEPS = 100
LAYERS_KEY = "layers."  # and a task: in the metadata of an adapter file
log = logging.getLogger("ipadapter")


def open_adapter(name: str, variant: str = AUTO) -> LoadedAdapter:
    """The adapter in a file of models/ipadapter. Raises ValueError with a sentence.

    variant: which it is, of those that have the same shapes.
    """
    path = folders.path_of(folders.ADAPTERS, name)
    try:
        weights = read_weights(path)
        twin_kind = variant
        if variant == AUTO:
            twin = find_twin(read_spec(weights), path, name, weights)
            twin_kind = twin.kind if twin else None
        adapter = loaded_adapter(name, weights, twin_kind)
        layers_by_task = _layers_by_task(read_metadata(path))
        return replace(adapter, is_guess=twin_kind is None, layers_by_task=layers_by_task)
    except Predicate as error:
        raise error.about(Message("The adapter file '<1>'", name)) from None


def _layers_by_task(metadata: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix(LAYERS_KEY): text
        for key, text in metadata.items()
        if key.startswith(LAYERS_KEY)
    }


def open_encoder(adapter: LoadedAdapter) -> ClipVisionModel:
    """The installed encoder that fits an adapter. Raises ValueError with a sentence."""
    return open_encoder_file(find_encoder(adapter), adapter)


def installed_adapter(owner: ModelPatcher, name: str) -> LoadedAdapter:
    """The adapter in a file of models/ipadapter, which stays in memory with a model."""
    stamp = file_stamp(folders.path_of(folders.ADAPTERS, name))
    kind = Recalled.INSTALLED_ADAPTER
    return recall(origin(owner), kind, lambda: open_adapter(name), settings=stamp)


def installed_encoder(owner: ModelPatcher, name: str, adapter: LoadedAdapter) -> ClipVisionModel:
    """The encoder in a file of models/clip_vision, which stays in memory with a model or adapter.

    Encoders stay with the model that others were cloned from, so that all of them share one.
    """
    stamp = file_stamp(folders.path_of(folders.ENCODERS, name))
    kind = Recalled.INSTALLED_ENCODER
    return recall(origin(owner), kind, lambda: open_encoder_file(name, adapter), settings=stamp)


def origin(model: ModelPatcher) -> ModelPatcher:
    """The first model in the chain of clones that a model comes from."""
    while (parent := cast("ModelPatcher | None", model.parent)) is not None:
        model = parent
    return model


def open_encoder_file(name: str, adapter: LoadedAdapter | None = None) -> ClipVisionModel:
    """The encoder in a file of models/clip_vision, which must fit the adapter if there is one.

    Whatever is wrong with the file is said before the host tries. Raises ValueError.
    """
    path = folders.path_of(folders.ENCODERS, name)
    try:
        spec = read_encoder(read_shapes(path))
    except Predicate as error:
        raise error.about(Message("The CLIP Vision file '<1>'", name)) from None
    if adapter is not None:
        _check_pair(name, spec, adapter)
    return _load_encoder(name, path)


def loaded_adapter(name: str, weights: Weights, twin_kind: str | None = None) -> LoadedAdapter:
    """An adapter of its weights, known to the host's memory management. Raises Predicate."""
    module = build(weights, comfy.ops.manual_cast, twin_kind)
    read_in(module.state_dict().values())
    patcher = comfy.model_patcher.CoreModelPatcher(
        module,
        load_device=comfy.model_management.text_encoder_device(),
        offload_device=comfy.model_management.text_encoder_offload_device(),
    )
    return LoadedAdapter(
        name=name, spec=module.spec, patcher=patcher, lora=read_lora(weights, module.spec)
    )


def read_lora(weights: Weights, spec: AdapterSpec) -> dict[LoraTarget, LoraPair]:
    """The LoRA in an adapter's file, its tensors mapped. Raises Predicate for a damaged one."""
    tensors = {
        key: value
        for key, value in flatten(weights).items()
        if isinstance(value, Tensor) and is_lora_key(key)
    }
    return lora_pairs(tensors, spec.lora)


def read_in(tensors: Iterable[Tensor]) -> None:
    """Bring mapped tensors into memory, in the order of the file, with a progress bar.

    Whoever uses them first waits for the disk; here the wait is seen and can be interrupted. What
    is read already is passed over quickly.
    """
    mapped = [
        tensor for tensor in tensors if tensor.device.type == "cpu" and tensor.is_contiguous()
    ]
    mapped.sort(key=lambda tensor: tensor.data_ptr())
    total = sum(tensor.nbytes for tensor in mapped)
    bytes_read = bytes_reported = 0
    progress = comfy.utils.ProgressBar(max(total, 1))
    for tensor in mapped:
        if tensor.nbytes > PAGE:  # one byte of each page
            tensor.reshape(-1).view(torch.uint8)[::PAGE].max()
        bytes_read += tensor.nbytes
        if bytes_read - bytes_reported >= total / PROGRESS_STEPS:
            comfy.model_management.throw_exception_if_processing_interrupted()
            progress.update_absolute(bytes_read)
            bytes_reported = bytes_read
    progress.update_absolute(max(total, 1))


def installed_encoders(adapter: AdapterSpec) -> list[str]:
    """The files in models/clip_vision with an encoder that fits, the standard names first."""
    fitting_names = [name for name, encoder in _encoder_specs() if encoder.fits(adapter)]
    return sorted(fitting_names, key=lambda name: ("laion" not in name.lower(), name.lower()))


def has_encoder(encoder_name: str) -> bool:
    """Whether an encoder, by its name in the model table, is in models/clip_vision."""
    return any(encoder.name == encoder_name for _, encoder in _encoder_specs())


def _encoder_specs() -> Iterator[tuple[str, EncoderSpec]]:
    """(file name, kind) of every image encoder in models/clip_vision."""
    for name in folders.names(folders.ENCODERS):
        encoder = installed_spec(folders.ENCODERS, name, read_encoder)
        if encoder is not None:
            yield name, encoder


def encoder_hint(adapter: AdapterSpec) -> str:
    """Advice on how to get a fitting encoder."""
    fitting_names = installed_encoders(adapter)
    if fitting_names:
        return "choose 'auto' or " + " or ".join(f"'{name}'" for name in fitting_names)
    return (
        f"no installed file fits: put {adapter.encoder} into "
        f"{folders.searched(folders.ENCODERS, 'or')} (IPAdapter Doctor can download it)"
    )


def encoder_name(encoder: ClipVisionModel) -> str:
    """The name of a loaded encoder, as in the model table."""
    config = cast("dict[str, int]", encoder.config)
    sizes = (config.get(key, 0) for key in ("num_hidden_layers", "hidden_size", "projection_dim"))
    patches_per_side = config.get("image_size", 224) // config.get("patch_size", 14)
    class_tokens = 0 if "siglip" in str(config.get("model_type")) else 1
    return EncoderSpec.of(*sizes, token_count=class_tokens + patches_per_side**2).name


def find_encoder(adapter: LoadedAdapter) -> str:
    """The name of the installed encoder that fits. Raises ValueError where there is none."""
    if adapter.spec.clip_input is None:
        raise ValueError(no_encoder_note(adapter))
    fitting_names = installed_encoders(adapter.spec)
    if not fitting_names:
        reasons = [encoder_hint(adapter.spec), *explain_missing(folders.ENCODERS)]
        raise ValueError(
            f"'{adapter.name}' needs {adapter.spec.encoder}, but {'; '.join(reasons)}."
        )
    if len(fitting_names) > 1:
        names = ", ".join(fitting_names)
        log.info("Of the encoders that fit, '%s' is used: %s.", fitting_names[0], names)
    return fitting_names[0]


def no_encoder_note(adapter: LoadedAdapter) -> Message:
    """The sentence for an adapter of face identities alone."""
    return Message(
        "'<1>' needs no image encoder, only <2>: nothing is loaded.",
        adapter.name,
        adapter.spec.needs,
    )


def _check_pair(name: str, encoder: EncoderSpec | None, adapter: LoadedAdapter) -> None:
    if adapter.spec.clip_input is None:
        return
    if encoder is None or not encoder.fits(adapter.spec):
        content = encoder.name if encoder else "no CLIP vision encoder"
        raise ValueError(
            f"'{adapter.name}' needs {adapter.spec.encoder}, but '{name}' is {content}: "
            f"{encoder_hint(adapter.spec)}."
        )


def _load_encoder(name: str, path: str) -> ClipVisionModel:
    weights = cast("dict[str, Any]", comfy.utils.load_torch_file(path))
    read_in(value for value in weights.values() if isinstance(value, Tensor))
    encoder = _host_encoder(name, weights)
    if encoder is None:
        raise ValueError(
            f"The CLIP Vision file '{name}' holds no image encoder that ComfyUI can load: choose "
            "the file that the adapter needs, or 'auto'."
        )
    return encoder


def _host_encoder(name: str, weights: dict[str, Any]) -> ClipVisionModel | None:
    """As the host's own `load`, which gives no chance to show how far it is."""
    is_openclip = "visual.transformer.resblocks.0.attn.in_proj_weight" in weights
    prefix = "visual." if is_openclip else ""
    try:
        return comfy.clip_vision.load_clipvision_from_sd(weights, prefix, convert_keys=is_openclip)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, LookupError, AttributeError, TypeError):
        raise ValueError(
            f"The CLIP Vision file '{name}' looks like an image encoder, but some of its tensors "
            "are missing or have other shapes: it is damaged, or not a plain CLIP ViT; download "
            "it again, or choose another file or 'auto'."
        ) from None
