"""Combine, Save and Load IPAdapter Embeds: encoded references, without encoder and image."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

import folder_paths
from comfy_api.latest import io, ui

from ...ipadapter_core.messages import Message, Predicate, printable
from ...ipadapter_core.references.embeds import CONCAT, METHODS, References, join
from ...ipadapter_core.references.embeds_file import (
    ENDING,
    OLD_ENDING,
    from_file,
    from_ipadpt,
    to_file,
)
from ...ipadapter_core.references.images import scale_to_side, to_bytes
from ..files.folders import NO_NAME, names_below
from ..files.open_files import read_embeds
from ..files.output_file import write_output
from ..notes import shown_texts
from ..pictures import rgb
from ..project import project_field
from ..sockets import EmbedsSocket, require_embeds

BEFORE, AFTER = "before", "after"  # the projection
THUMBNAIL_SIDE = 128
LARGEST_THUMBNAIL_SIDE = 1024  # of a file that somebody else wrote
COMBINE_NODE, SAVE_NODE = "Combine IPAdapter Embeds", "Save IPAdapter Embeds"
LOAD_NODE = "Load IPAdapter Embeds"


class CombineIPAdapterEmbeds(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        embeds = EmbedsSocket.Input(
            "embeds", tooltip="References, each with the weight that was set when it was encoded."
        )
        return io.Schema(
            node_id="CombineIPAdapterEmbeds",
            display_name=COMBINE_NODE,
            category="ipadapter/embeds",
            search_aliases=["merge embeds", "average embeds", "slerp", "blend references"],
            description="Combines several references into one. Each counts with the weight that "
            "was set when it was encoded.",
            inputs=[
                io.Autogrow.Input(
                    "references",
                    template=io.Autogrow.TemplatePrefix(embeds, prefix="embeds", min=2, max=16),
                    tooltip="The references, in order: 'subtract' subtracts the mean of the others "
                    "from the first.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=CONCAT,
                    tooltip="concat: side by side; weighted: the mean, with the weights as shares; "
                    "slerp: interpolation along a sphere; the others: element by element.",
                ),
                io.Combo.Input(
                    "projection",
                    options=[BEFORE, AFTER],
                    default=BEFORE,
                    tooltip="What is combined. before: the embeddings of the image encoder; after: "
                    "the image tokens that the adapter makes of them.",
                ),
            ],
            outputs=[EmbedsSocket.Output("embeds", tooltip="The combined reference.")],
        )

    @classmethod
    def execute(
        cls, references: Mapping[str, object], method: str, projection: str
    ) -> io.NodeOutput:
        parts = [
            require_embeds(embeds, name)
            for name, embeds in references.items()
            if embeds is not None
        ]
        _check_parts(parts)
        combined = replace(
            join(parts), method=method, projected=projection == AFTER and method != CONCAT
        )
        return io.NodeOutput(combined)


def _check_parts(parts: Sequence[References]) -> None:
    if not parts:
        raise ValueError(f"{COMBINE_NODE} has no references: connect at least one to 'embeds0'.")
    for number, part in enumerate(parts):
        if part.projected:
            raise ValueError(
                f"{COMBINE_NODE}'s 'embeds{number}' is already combined after the projection, "
                "which must be the last step: combine all references in one such node."
            )
        if _shapes(part) != _shapes(parts[0]):
            raise ValueError(
                f"{COMBINE_NODE}'s 'embeds{number}' has the shape {_shape_text(part)}, 'embeds0' "
                f"has {_shape_text(parts[0])}: combine embeds of one encoder and one kind of "
                "adapter."
            )


def _shapes(references: References) -> dict[str, list[int]]:
    """The shape of one reference's features, by name."""
    return {name: list(tensor.shape[1:]) for name, tensor in references.features.items()}


def _shape_text(references: References) -> str:
    return ", ".join(map(str, _shapes(references).values()))


class SaveIPAdapterEmbeds(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SaveIPAdapterEmbeds",
            display_name=SAVE_NODE,
            category="ipadapter/embeds",
            search_aliases=["ipadpt", "store embeds"],
            description="Saves embeds as a safetensors file in the output folder, with everything "
            "that another machine needs to use them.",
            inputs=[
                EmbedsSocket.Input("embeds", tooltip="The references to save."),
                io.String.Input(
                    "filename_prefix",
                    default="embeds/reference",
                    tooltip="Sub-folder of the output folder, and the beginning of the file name.",
                ),
                EmbedsSocket.Input(
                    "embeds_negative",
                    optional=True,
                    tooltip="The negative embeds, saved in the same file. Plus and full-face "
                    "adapters need them if there is no encoder.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The reference image, for a small preview in the file.",
                ),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        embeds: object,
        filename_prefix: str,
        embeds_negative: object = None,
        image: Tensor | None = None,
    ) -> io.NodeOutput:
        positive = require_embeds(embeds, "embeds")
        negative = None
        if embeds_negative is not None:
            negative = require_embeds(embeds_negative, "embeds_negative")
        thumbnail = None if image is None else _thumbnail(image)
        tensors, metadata = to_file(positive, negative, project_field("version"), thumbnail)
        tensors = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
        file_name = write_output(
            filename_prefix,
            "_.safetensors",
            lambda path: save_file(tensors, path, metadata),
            SAVE_NODE,
        )
        return io.NodeOutput(ui={"text": (file_name,)})


class LoadIPAdapterEmbeds(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LoadIPAdapterEmbeds",
            display_name=LOAD_NODE,
            category="ipadapter/embeds",
            search_aliases=["ipadpt", "open embeds"],
            description="Opens embeds from the input or output folder: files of Save IPAdapter "
            "Embeds, and .ipadpt files of IPAdapter_plus and diffusers. Nothing in a file is "
            "executed.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=embeds_file_names(),
                    tooltip="A .safetensors or .ipadpt file; [output] marks files in the output "
                    "folder.",
                )
            ],
            outputs=[
                EmbedsSocket.Output(
                    "embeds", tooltip="The references, for 'embeds' of Apply IPAdapter."
                ),
                EmbedsSocket.Output(
                    "embeds_negative",
                    tooltip="The negative embeds, if the file has them, for 'embeds_negative' of "
                    "Apply IPAdapter.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file: object) -> bool | str:
        if not isinstance(file, str):
            return file is None or NO_NAME
        try:
            return bool(embeds_path(file))
        except ValueError as error:
            return str(error)

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        status = os.stat(embeds_path(file))
        return f"{status.st_size} {status.st_mtime_ns}"

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        try:
            content, metadata = read_embeds(embeds_path(file))
            sides = from_ipadpt(content) if metadata is None else from_file(content, metadata)
        except Predicate as error:
            raise error.about(Message("The embeds file '<1>'", file)) from None
        return io.NodeOutput(*sides, ui=_display(content, metadata))


def embeds_file_names() -> list[str]:
    """Embeds files below the input and output folders, as the list shows them."""
    roots = (
        (folder_paths.get_input_directory(), ""),
        (folder_paths.get_output_directory(), " [output]"),
    )
    return sorted(
        name + mark
        for root, mark in roots
        for name in names_below(root)
        if name.lower().endswith((ENDING, OLD_ENDING))
    )


def embeds_path(file: str) -> str:
    """The path of a listed file. Raises ValueError for one outside the input and output folders."""
    try:
        path = os.path.realpath(folder_paths.get_annotated_filepath(file))
    except ValueError:  # newer hosts refuse a path that leaves the folder themselves
        path = ""
    roots = [folder_paths.get_input_directory(), folder_paths.get_output_directory()]
    is_inside = any(path.startswith(os.path.realpath(root) + os.sep) for root in roots)
    if not is_inside or not path.lower().endswith((ENDING, OLD_ENDING)) or not os.path.isfile(path):
        installed = ", ".join(f"'{name}'" for name in embeds_file_names()[:12]) or "none"
        raise ValueError(
            f"There is no embeds file '{printable(file)}' in the input or output folder; there are "
            f"{installed}: choose one of them, or press R."
        )
    return path


def _thumbnail(image: Tensor) -> Tensor:
    small_image = scale_to_side(rgb(image, SAVE_NODE, "image")[:1], THUMBNAIL_SIDE, "bilinear")
    return to_bytes(small_image[0])


def _display(content: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """The node's display: the thumbnail in the file, and the name of the encoder."""
    if metadata is None:
        return shown_texts(Message("an .ipadpt file"))
    encoder, feature = (printable(str(metadata.get(key))) for key in ("encoder", "feature"))
    texts = shown_texts(f"{encoder}, {feature}")
    thumbnail = content.get("thumbnail")
    if thumbnail is None or thumbnail.dtype != torch.uint8:
        return texts
    if thumbnail.ndim != 3 or thumbnail.shape[-1] != 3 or 0 in thumbnail.shape:
        return texts
    if max(thumbnail.shape) > LARGEST_THUMBNAIL_SIDE:
        return texts
    return {**ui.PreviewImage(thumbnail[None].float() / 255).as_dict(), **texts}
