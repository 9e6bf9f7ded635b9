"""Load IPAdapter and Load CLIP Vision: files become objects, recognised by what they hold."""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import logging
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor

import comfy.clip_vision
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
from comfy.clip_vision import ClipVisionModel
from comfy_api.latest import io

from ...ipadapter_core.adapter.checkpoint import AdapterSpec
from ...ipadapter_core.adapter.encoders import EncoderSpec, read_encoder
from ...ipadapter_core.adapter.layout import Weights
from ...ipadapter_core.adapter.module import build
from ...ipadapter_core.messages import Message, Predicate, message_of
from ..notes import shown_texts
from ..sockets import KEEPS_SHOWING, IPAdapterSocket, LoadedAdapter, require_adapter
from . import folders
from .open_files import read_shapes, read_weights

AUTO = "auto"
PAGE = 4096  # bytes of a file that the system reads at least
STEPS = 100  # of a progress bar
log = logging.getLogger("ipadapter")


class LoadIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadIPAdapter",
            display_name="Load IPAdapter",
            category="ipadapter",
            **KEEPS_SHOWING,
            search_aliases=[
                "ip-adapter",
                "ip adapter",
                "image prompt",
                "picture prompt",
                "ipadapter unified loader",
            ],
            description="Opens an adapter from models/ipadapter and says on the node what it is: "
            "for which base model, of which kind, with which CLIP Vision. The file's name does not "
            "matter.",
            inputs=[
                io.Combo.Input(
                    "ipadapter_file",
                    options=folders.names(folders.ADAPTERS),
                    tooltip="A file in models/ipadapter, or in a folder that "
                    "extra_model_paths.yaml names 'ipadapter'. Base, plus, plus-face, full-face "
                    "and composition adapters for SD1.5 and SDXL, as .safetensors or .bin.",
                )
            ],
            outputs=[
                IPAdapterSocket.Output("ipadapter", tooltip="The adapter, for Apply IPAdapter.")
            ],
        )

    @classmethod
    def validate_inputs(cls, ipadapter_file: str | None) -> bool | str:
        return _validate(folders.ADAPTERS, ipadapter_file)

    @classmethod
    def fingerprint_inputs(cls, ipadapter_file: str) -> str:
        return folders.stamp(folders.ADAPTERS, [ipadapter_file])

    @classmethod
    def execute(cls, ipadapter_file: str) -> io.NodeOutput:
        adapter = open_adapter(ipadapter_file)
        return io.NodeOutput(adapter, ui=shown_texts(adapter.spec.describe()))


class LoadCLIPVision(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadCLIPVision",
            display_name="Load CLIP Vision (for IPAdapter)",
            category="ipadapter",
            **KEEPS_SHOWING,
            search_aliases=["clip vision", "image encoder", "vit-h", "vit-bigg"],
            description="Loads the image encoder that an adapter needs. 'auto' finds it in "
            "models/clip_vision by what the files hold, whatever they are called.",
            inputs=[
                io.Combo.Input(
                    "clip_name",
                    options=[AUTO, *folders.names(folders.ENCODERS)],
                    default=AUTO,
                    tooltip="'auto': the installed encoder that fits the adapter on 'ipadapter'. "
                    "Or a file in models/clip_vision.",
                ),
                IPAdapterSocket.Input(
                    "ipadapter",
                    optional=True,
                    tooltip="The adapter the encoder must fit. Needed for 'auto'; with a file it "
                    "is checked.",
                ),
            ],
            outputs=[
                io.ClipVision.Output(
                    "clip_vision",
                    tooltip="The encoder: the host's own type, for Apply IPAdapter and any other "
                    "node.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, clip_name: str | None) -> bool | str:
        # without 'ipadapter', which the page would mark as well
        if clip_name != AUTO:
            return _validate(folders.ENCODERS, clip_name)
        if not folders.names(folders.ENCODERS):
            return (
                "No image encoder is installed: put the one that the adapter needs into "
                f"{folders.searched(folders.ENCODERS, 'or')} (IPAdapter Doctor says which, and "
                "fetches it), and press R."
            )
        return True

    @classmethod
    def fingerprint_inputs(cls, clip_name: str, **inputs: object) -> str:
        names = folders.names(folders.ENCODERS) if clip_name == AUTO else [clip_name]
        return folders.stamp(folders.ENCODERS, names)

    @classmethod
    def execute(cls, clip_name: str, ipadapter: object = None) -> io.NodeOutput:
        adapter = require_adapter(ipadapter) if ipadapter is not None else None
        if clip_name == AUTO:
            if adapter is None:
                raise ValueError(
                    "Load CLIP Vision's 'auto' needs to know the adapter: connect 'ipadapter', "
                    "or choose a file in 'clip_name'."
                )
            clip_name = find_encoder(adapter)
        encoder = open_encoder_file(clip_name, adapter)
        text = Message("<1>: <2>", clip_name, encoder_name(encoder))
        return io.NodeOutput(encoder, ui=shown_texts(text))


def open_adapter(name: str) -> LoadedAdapter:
    """The adapter in a file of models/ipadapter. Raises ValueError with a sentence."""
    path = folders.path_of(folders.ADAPTERS, name)
    try:
        return loaded_adapter(name, read_weights(path))
    except Predicate as error:
        raise error.about(Message("The adapter file '<1>'", name)) from None


def open_encoder(adapter: LoadedAdapter) -> ClipVisionModel:
    """The installed encoder that fits an adapter. Raises ValueError with a sentence."""
    return open_encoder_file(find_encoder(adapter), adapter)


def open_encoder_file(name: str, adapter: LoadedAdapter | None = None) -> ClipVisionModel:
    """The encoder in a file of models/clip_vision, which must fit the adapter if there is one.

    Whatever is wrong with the file is said before the host tries. Raises ValueError.
    """
    path = folders.path_of(folders.ENCODERS, name)
    try:
        spec = _read_encoder(path)
    except Predicate as error:
        raise error.about(Message("The CLIP Vision file '<1>'", name)) from None
    if adapter is not None:
        _check_pair(name, spec, adapter)
    return _load_encoder(name, path)


def loaded_adapter(name: str, weights: Weights) -> LoadedAdapter:
    """An adapter of its weights, known to the host's memory management. Raises Predicate."""
    module = build(weights, comfy.ops.manual_cast)
    read_in(module.state_dict().values())
    patcher = comfy.model_patcher.CoreModelPatcher(
        module,
        load_device=comfy.model_management.text_encoder_device(),
        offload_device=comfy.model_management.text_encoder_offload_device(),
    )
    return LoadedAdapter(name, module.spec, patcher)


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
        if bytes_read - bytes_reported >= total / STEPS:
            comfy.model_management.throw_exception_if_processing_interrupted()
            progress.update_absolute(bytes_read)
            bytes_reported = bytes_read
    progress.update_absolute(max(total, 1))


def installed_encoders(adapter: AdapterSpec) -> list[str]:
    """The files in models/clip_vision with an encoder that fits, the standard names first."""
    fitting_names: list[str] = []
    for name in folders.names(folders.ENCODERS):
        try:
            encoder = _read_encoder(folders.path_of(folders.ENCODERS, name))
        except Predicate:
            continue
        if encoder is not None and encoder.fits(adapter):
            fitting_names.append(name)
    return sorted(fitting_names, key=lambda name: ("laion" not in name.lower(), name.lower()))


def encoder_hint(adapter: AdapterSpec) -> str:
    """What to do to have a fitting encoder."""
    fitting_names = installed_encoders(adapter)
    if fitting_names:
        return "choose 'auto' or " + " or ".join(f"'{name}'" for name in fitting_names)
    return (
        f"no installed file fits: put {adapter.encoder} into "
        f"{folders.searched(folders.ENCODERS, 'or')} (README lists where to get it)"
    )


def encoder_name(encoder: ClipVisionModel) -> str:
    """What a loaded encoder is, in the words of the model table."""
    config = cast("dict[str, int]", encoder.config)
    sizes = (config.get(key, 0) for key in ("num_hidden_layers", "hidden_size", "projection_dim"))
    return EncoderSpec.of(*sizes).name


def find_encoder(adapter: LoadedAdapter) -> str:
    """The name of the installed encoder that fits. Raises ValueError where there is none."""
    fitting_names = installed_encoders(adapter.spec)
    if not fitting_names:
        files = ", ".join(f"'{name}'" for name in folders.names(folders.ENCODERS)) or "none"
        raise ValueError(
            f"'{adapter.name}' needs {adapter.spec.encoder}, but {encoder_hint(adapter.spec)}; "
            f"the files there: {files}."
        )
    if len(fitting_names) > 1:
        names = ", ".join(fitting_names)
        log.info("Load CLIP Vision takes '%s' of the fitting %s.", fitting_names[0], names)
    return fitting_names[0]


def _check_pair(name: str, encoder: EncoderSpec | None, adapter: LoadedAdapter) -> None:
    if encoder is None or not encoder.fits(adapter.spec):
        content = encoder.name if encoder else "no CLIP vision encoder"
        raise ValueError(
            f"'{adapter.name}' needs {adapter.spec.encoder}, but '{name}' is {content}: "
            f"{encoder_hint(adapter.spec)}."
        )


def _read_encoder(path: str) -> EncoderSpec | None:
    return read_encoder(read_shapes(path))


def _load_encoder(name: str, path: str) -> ClipVisionModel:
    weights = cast("dict[str, Any]", comfy.utils.load_torch_file(path))
    read_in(value for value in weights.values() if isinstance(value, Tensor))
    # as the host's own `load`, which gives no chance to show how far it is
    is_openclip = "visual.transformer.resblocks.0.attn.in_proj_weight" in weights
    encoder = comfy.clip_vision.load_clipvision_from_sd(
        weights, prefix="visual." if is_openclip else "", convert_keys=is_openclip
    )
    if encoder is None:
        raise ValueError(
            f"The CLIP Vision file '{name}' holds no image encoder that ComfyUI can load: choose "
            "a CLIP ViT-H/14 or ViT-bigG/14 file, or 'auto'."
        )
    return encoder


def _validate(folder: str, name: str | None) -> bool | str:
    """Whether there is such a file; a linked name is not known yet."""
    try:
        return name is None or bool(folders.path_of(folder, name))
    except ValueError as error:
        return message_of(error)
