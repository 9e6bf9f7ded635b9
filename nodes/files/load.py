"""Load IPAdapter and Load CLIP Vision: files become objects, recognised by what they hold."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

import comfy.clip_vision
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
from comfy_api.latest import io

from ...ipadapter_core.adapter import module as core
from ...ipadapter_core.adapter.checkpoint import AdapterSpec
from ...ipadapter_core.adapter.encoders import EncoderSpec, read_encoder
from ...ipadapter_core.messages import Message, Predicate
from ..notes import shown_texts
from ..sockets import KEEPS_SHOWING, IPAdapterSocket, LoadedAdapter, require_adapter
from . import folders
from .open_files import read_shapes, read_weights

AUTO = "auto"
ASKS = "'auto' needs to know the adapter: connect 'ipadapter', or choose a file in 'clip_name'."
PAGE = 4096  # bytes of a file that the system reads at least
STEPS = 100  # of a progress bar
log = logging.getLogger("ipadapter")


class LoadIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LoadIPAdapter",
            display_name="Load IPAdapter",
            category="ipadapter",
            **KEEPS_SHOWING,
            search_aliases=["ip-adapter", "ip adapter", "image prompt", "picture prompt"],
            description="Opens an adapter from models/ipadapter and says on the node what it is: for which base model, of which kind, with which CLIP Vision. The file's name does not matter.",
            inputs=[
                io.Combo.Input(
                    "ipadapter_file",
                    options=folders.names(folders.ADAPTERS),
                    tooltip="A file in models/ipadapter, or in a folder that extra_model_paths.yaml names 'ipadapter'. Base, plus, plus-face, full-face and composition adapters for SD1.5 and SDXL, as .safetensors or .bin.",
                )
            ],
            outputs=[
                IPAdapterSocket.Output("ipadapter", tooltip="The adapter, for Apply IPAdapter.")
            ],
        )

    @classmethod
    def validate_inputs(cls, ipadapter_file):
        return _validate(folders.ADAPTERS, ipadapter_file)

    @classmethod
    def fingerprint_inputs(cls, ipadapter_file):
        return folders.stamp(folders.ADAPTERS, [ipadapter_file])

    @classmethod
    def execute(cls, ipadapter_file):
        path = folders.path_of(folders.ADAPTERS, ipadapter_file)
        try:
            loaded = loaded_adapter(ipadapter_file, read_weights(path))
        except Predicate as error:
            raise error.about(Message("The adapter file '<1>'", ipadapter_file)) from None
        return io.NodeOutput(loaded, ui=shown_texts(loaded.spec.describe()))


class LoadCLIPVision(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LoadCLIPVision",
            display_name="Load CLIP Vision (for IPAdapter)",
            category="ipadapter",
            **KEEPS_SHOWING,
            search_aliases=["clip vision", "image encoder", "vit-h", "vit-bigg"],
            description="Loads the image encoder that an adapter needs. 'auto' finds it in models/clip_vision by what the files hold, whatever they are called.",
            inputs=[
                io.Combo.Input(
                    "clip_name",
                    options=[AUTO, *folders.names(folders.ENCODERS)],
                    default=AUTO,
                    tooltip="'auto': the installed encoder that fits the adapter on 'ipadapter'. Or a file in models/clip_vision.",
                ),
                IPAdapterSocket.Input(
                    "ipadapter",
                    optional=True,
                    tooltip="The adapter the encoder must fit. Needed for 'auto'; with a file it is checked.",
                ),
            ],
            outputs=[
                io.ClipVision.Output(
                    "clip_vision",
                    tooltip="The encoder: the host's own type, for Apply IPAdapter and any other node.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, clip_name, **inputs):
        if clip_name == AUTO and "ipadapter" not in inputs:
            return ASKS
        if clip_name == AUTO and not folders.names(folders.ENCODERS):
            return f"No image encoder is installed: put the one that the adapter needs into {folders.searched(folders.ENCODERS, 'or')} (IPAdapter Doctor says which, and fetches it), and press R."
        return True if clip_name == AUTO else _validate(folders.ENCODERS, clip_name)

    @classmethod
    def fingerprint_inputs(cls, clip_name, **inputs):
        every = folders.names(folders.ENCODERS)
        return folders.stamp(folders.ENCODERS, every if clip_name == AUTO else [clip_name])

    @classmethod
    def execute(cls, clip_name, ipadapter=None):
        adapter = require_adapter(ipadapter) if ipadapter is not None else None
        if clip_name == AUTO:
            if adapter is None:
                raise ValueError(f"Load CLIP Vision's {ASKS}")
            clip_name = _find_encoder(adapter)
        path = folders.path_of(folders.ENCODERS, clip_name)
        try:  # what is wrong with the file is said before the host tries
            spec = _read_encoder(path)
        except Predicate as error:
            raise error.about(Message("The CLIP Vision file '<1>'", clip_name)) from None
        if adapter is not None:
            _check_pair(clip_name, spec, adapter)
        encoder = _load_encoder(clip_name, path)
        return io.NodeOutput(
            encoder, ui=shown_texts(Message("<1>: <2>", clip_name, encoder_name(encoder)))
        )


def loaded_adapter(name: str, weights: Mapping[str, Any]) -> LoadedAdapter:
    """An adapter of its weights, known to the host's memory management. Raises Predicate."""
    module = core.build(weights, comfy.ops.manual_cast)
    read_in(module.state_dict().values())
    patcher = comfy.model_patcher.CoreModelPatcher(
        module,
        load_device=comfy.model_management.text_encoder_device(),
        offload_device=comfy.model_management.text_encoder_offload_device(),
    )
    return LoadedAdapter(name, module.spec, patcher)


def read_in(tensors: Iterable[Tensor]) -> None:
    """Bring mapped tensors into memory, in the order of the file, with a progress bar.

    Whoever uses them first waits for the disk; here the wait is seen and can be interrupted. What is read already
    is passed over quickly.
    """
    kept = [one for one in tensors if one.device.type == "cpu" and one.is_contiguous()]
    kept.sort(key=lambda one: one.data_ptr())
    total, done, said = sum(one.nbytes for one in kept), 0, 0
    progress = comfy.utils.ProgressBar(max(total, 1))
    for one in kept:
        if one.nbytes > PAGE:  # one byte of each page
            one.reshape(-1).view(torch.uint8)[::PAGE].max()
        done += one.nbytes
        if done - said >= total / STEPS:
            comfy.model_management.throw_exception_if_processing_interrupted()
            progress.update_absolute(done)
            said = done
    progress.update_absolute(max(total, 1))


def installed_encoders(adapter: AdapterSpec) -> list[str]:
    """The files in models/clip_vision that hold an encoder which fits, the standard names first."""
    fits = []
    for name in folders.names(folders.ENCODERS):
        try:
            spec = _read_encoder(folders.path_of(folders.ENCODERS, name))
        except Predicate:
            continue
        if spec is not None and spec.fits(adapter):
            fits.append(name)
    return sorted(fits, key=lambda name: ("laion" not in name.lower(), name.lower()))


def encoder_hint(adapter: AdapterSpec) -> str:
    """What to do to have a fitting encoder."""
    fits = installed_encoders(adapter)
    if fits:
        return "choose 'auto' or " + " or ".join(f"'{name}'" for name in fits)
    return f"no installed file fits: put {adapter.encoder} into {folders.searched(folders.ENCODERS, 'or')} (README lists where to get it)"


def encoder_name(clip_vision) -> str:
    """What a loaded encoder is, in the words of the model table."""
    config = clip_vision.config
    spec = EncoderSpec.of(
        config.get("num_hidden_layers", 0),
        config.get("hidden_size", 0),
        config.get("projection_dim", 0),
    )
    return spec.name


def _find_encoder(adapter: LoadedAdapter) -> str:
    fits = installed_encoders(adapter.spec)
    if not fits:
        there = ", ".join(f"'{name}'" for name in folders.names(folders.ENCODERS)) or "none"
        raise ValueError(
            f"'{adapter.name}' needs {adapter.spec.encoder}, but {encoder_hint(adapter.spec)}; the files there: {there}."
        )
    if len(fits) > 1:
        log.info("Load CLIP Vision takes '%s' of the fitting %s.", fits[0], ", ".join(fits))
    return fits[0]


def _check_pair(clip_name: str, encoder: EncoderSpec | None, adapter: LoadedAdapter) -> None:
    if encoder is None or not encoder.fits(adapter.spec):
        found = encoder.name if encoder else "no CLIP vision encoder"
        raise ValueError(
            f"'{adapter.name}' needs {adapter.spec.encoder}, but '{clip_name}' is {found}: {encoder_hint(adapter.spec)}."
        )


def _read_encoder(path: str) -> EncoderSpec | None:
    return read_encoder(read_shapes(path))


def _load_encoder(clip_name: str, path: str):
    weights: Any = comfy.utils.load_torch_file(path)
    read_in(one for one in weights.values() if isinstance(one, Tensor))
    # as the host's own `load`, which gives no chance to show how far it is
    openclip = "visual.transformer.resblocks.0.attn.in_proj_weight" in weights
    encoder = comfy.clip_vision.load_clipvision_from_sd(
        weights, prefix="visual." if openclip else "", convert_keys=openclip
    )
    if encoder is None:
        raise ValueError(
            f"The CLIP Vision file '{clip_name}' holds no image encoder that ComfyUI can load: choose a CLIP ViT-H/14 or ViT-bigG/14 file, or 'auto'."
        )
    return encoder


def _validate(folder: str, name: str | None):
    try:
        return name is None or bool(folders.path_of(folder, name))
    except ValueError as error:
        return str(error)
