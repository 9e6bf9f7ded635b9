"""Load IPAdapter and Load CLIP Vision."""

from comfy_api.latest import io

from ...ipadapter_core.messages import Message, message_of
from ..notes import shown_texts
from ..sockets import KEEPS_SHOWING, IPAdapterSocket, require_adapter
from . import folders
from .load import encoder_name, find_encoder, no_encoder_note, open_adapter, open_encoder_file
from .twins import AUTO, VARIANTS, guess_note


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
            "its base model, its kind, and the CLIP Vision encoder it needs. The file name does "
            "not matter.",
            inputs=[
                io.Combo.Input(
                    "ipadapter_file",
                    options=folders.names(folders.ADAPTERS),
                    tooltip="A file in models/ipadapter, or in a folder that "
                    "extra_model_paths.yaml lists under 'ipadapter', as .safetensors or .bin. "
                    "Base, plus, plus-face, full-face, composition and FaceID adapters for SD1.5 "
                    "and SDXL, and adapters for Kolors, FLUX.1 and SD3.5 Large.",
                ),
                io.Combo.Input(
                    "variant",
                    options=VARIANTS,
                    default=AUTO,
                    optional=True,
                    tooltip="Decides between two kinds of adapter whose tensors have the same "
                    "shapes. auto: published files are recognised by their SHA-256, others by "
                    "their name. It has no effect on files of any other kind.",
                ),
            ],
            outputs=[
                IPAdapterSocket.Output("ipadapter", tooltip="The adapter, for Apply IPAdapter.")
            ],
        )

    @classmethod
    def validate_inputs(cls, ipadapter_file: object) -> bool | str:
        return _validate(folders.ADAPTERS, ipadapter_file)

    @classmethod
    def fingerprint_inputs(cls, ipadapter_file: str, **inputs: object) -> str:
        return folders.stamp(folders.ADAPTERS, [ipadapter_file])

    @classmethod
    def execute(cls, ipadapter_file: str, variant: str = AUTO) -> io.NodeOutput:
        adapter = open_adapter(ipadapter_file, variant)
        texts = [adapter.spec.describe()]
        if adapter.lora:
            texts.append(Message("It includes a LoRA."))
        if adapter.is_guess:
            texts.append(guess_note(adapter.spec))
        return io.NodeOutput(adapter, ui=shown_texts(*texts))


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
            "models/clip_vision by the content of the files, whatever they are called.",
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
                    tooltip="The adapter that the encoder must fit. 'auto' needs it; if you "
                    "choose a file, it is checked whether the two fit.",
                ),
            ],
            outputs=[
                io.ClipVision.Output(
                    "clip_vision",
                    tooltip="The encoder, for Apply IPAdapter and any other node that takes a "
                    "CLIP Vision.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, clip_name: object) -> bool | str:
        # without 'ipadapter', which the page would mark as well
        if clip_name != AUTO:
            return _validate(folders.ENCODERS, clip_name)
        if not folders.names(folders.ENCODERS):
            return (
                "No image encoder is installed: put the one that the adapter needs into "
                f"{folders.searched(folders.ENCODERS, 'or')} (IPAdapter Doctor says which one, "
                "whether it is in another folder, and downloads it), and press R."
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
            if adapter.spec.clip_input is None:
                return io.NodeOutput(None, ui=shown_texts(no_encoder_note(adapter)))
            clip_name = find_encoder(adapter)
        encoder = open_encoder_file(clip_name, adapter)
        text = Message("<1>: <2>", clip_name, encoder_name(encoder))
        return io.NodeOutput(encoder, ui=shown_texts(text))


def _validate(folder: str, name: object) -> bool | str:
    """Whether there is such a file; a linked name is not known yet."""
    if not isinstance(name, str):
        return name is None or folders.NO_NAME
    try:
        return bool(folders.path_of(folder, name))
    except ValueError as error:
        return message_of(error)
