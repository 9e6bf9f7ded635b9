"""Combine, Save and Load IPAdapter Embeds: what an encoder saw, without encoder and picture."""

import os
from dataclasses import replace
from typing import Any

import safetensors.torch
import torch

import folder_paths
from comfy_api.latest import io, ui

from ...ipadapter_core.messages import Message, Predicate
from ...ipadapter_core.references.embeds import CONCAT, METHODS, combine
from ...ipadapter_core.references.embeds_file import from_file, from_ipadpt, to_file
from ..files.open_files import read_embeds
from ..notes import shown_texts
from ..pictures import rgb
from ..project import project
from ..sockets import EmbedsSocket, require_embeds

BEFORE, AFTER = "before", "after"
FILES = (".safetensors", ".ipadpt")
THUMBNAIL = 128
COMBINE, SAVE, LOAD = "Combine IPAdapter Embeds", "Save IPAdapter Embeds", "Load IPAdapter Embeds"


class CombineIPAdapterEmbeds(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        one = EmbedsSocket.Input(
            "embeds", tooltip="References, with the weight they were encoded with."
        )
        return io.Schema(
            node_id="CombineIPAdapterEmbeds",
            display_name=COMBINE,
            category="ipadapter/embeds",
            search_aliases=["merge embeds", "average embeds", "slerp", "blend references"],
            description="Makes one reference out of several. Each counts with its own weight, set "
            "where it was encoded.",
            inputs=[
                io.Autogrow.Input(
                    "references",
                    template=io.Autogrow.TemplatePrefix(one, prefix="embeds", min=2, max=16),
                    tooltip="The references, in order; 'subtract' takes the others from the first.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=CONCAT,
                    tooltip="concat: side by side, each looked at on its own; weighted: the mean "
                    "by weight; slerp: along the sphere; the others element by element.",
                ),
                io.Combo.Input(
                    "projection",
                    options=[BEFORE, AFTER],
                    default=BEFORE,
                    tooltip="Whether what the encoder saw is combined, or the tokens that the "
                    "adapter makes of it.",
                ),
            ],
            outputs=[EmbedsSocket.Output("embeds", tooltip="The combined reference.")],
        )

    @classmethod
    def execute(cls, references, method, projection):
        given = [require_embeds(one, name) for name, one in references.items() if one is not None]
        if not given:
            raise ValueError(f"{COMBINE} has no references: connect at least one to 'embeds0'.")
        for number, one in enumerate(given):
            if one.projected:
                raise ValueError(
                    f"{COMBINE}'s 'embeds{number}' is already combined after the projection, "
                    "which can only be the last step: combine all of them there."
                )
            if (
                one.feature != given[0].feature
                or one.features.shape[1:] != given[0].features.shape[1:]
            ):
                raise ValueError(
                    f"{COMBINE}'s 'embeds{number}' has the shape {list(one.features.shape[1:])}, "
                    f"'embeds0' has {list(given[0].features.shape[1:])}: combine embeds of one "
                    "encoder and one kind of adapter."
                )
        flat = [_alone(one) for one in given]
        made = replace(
            given[0],
            features=torch.cat([features for features, _ in flat]),
            weights=tuple(weight for _, weights in flat for weight in weights),
            method=method,
            projected=projection == AFTER and method != CONCAT,
            silent=False,
        )
        return io.NodeOutput(made)


class SaveIPAdapterEmbeds(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SaveIPAdapterEmbeds",
            display_name=SAVE,
            category="ipadapter/embeds",
            search_aliases=["ipadpt", "store embeds"],
            description="Saves embeds as a safetensors file in the output folder, with what is "
            "needed to use them on another machine.",
            inputs=[
                EmbedsSocket.Input("embeds", tooltip="The references to save."),
                io.String.Input(
                    "filename_prefix",
                    default="embeds/reference",
                    tooltip="Where below the output folder, and how the file's name begins.",
                ),
                EmbedsSocket.Input(
                    "embeds_negative",
                    optional=True,
                    tooltip="The negative side, saved in the same file. Plus and full-face "
                    "adapters need it where there is no encoder.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The reference itself, for a small preview in the file.",
                ),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, embeds, filename_prefix, embeds_negative=None, image=None):
        seen = require_embeds(embeds, "embeds")
        unseen = (
            None if embeds_negative is None else require_embeds(embeds_negative, "embeds_negative")
        )
        small = None if image is None else _thumbnail(image)
        tensors, metadata = to_file(seen, unseen, project("version"), small)
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        file = f"{name}_{counter:05}_.safetensors"
        tensors = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
        safetensors.torch.save_file(tensors, os.path.join(folder, file), metadata)
        return io.NodeOutput(ui=shown_texts(os.path.join(subfolder, file)))


class LoadIPAdapterEmbeds(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LoadIPAdapterEmbeds",
            display_name=LOAD,
            category="ipadapter/embeds",
            search_aliases=["ipadpt", "open embeds"],
            description="Opens embeds from the input or output folder: those of Save IPAdapter "
            "Embeds, and .ipadpt files of IPAdapter_plus and diffusers. Nothing in a file is "
            "run.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=_listed(),
                    tooltip="A .safetensors or .ipadpt file; [output] marks those in the output "
                    "folder.",
                )
            ],
            outputs=[
                EmbedsSocket.Output(
                    "embeds", tooltip="The references, for 'embeds' of Apply IPAdapter."
                ),
                EmbedsSocket.Output(
                    "embeds_negative",
                    tooltip="The negative side, if the file has one, for 'embeds_negative' of "
                    "Apply IPAdapter.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file):
        try:
            return file is None or bool(path_of(file))
        except ValueError as error:
            return str(error)

    @classmethod
    def fingerprint_inputs(cls, file):
        status = os.stat(path_of(file))
        return f"{status.st_size} {status.st_mtime_ns}"

    @classmethod
    def execute(cls, file):
        try:
            content, metadata = read_embeds(path_of(file))
            sides = from_ipadpt(content) if metadata is None else from_file(content, metadata)
        except Predicate as error:
            raise error.about(Message("The embeds file '<1>'", file)) from None
        return io.NodeOutput(*sides, ui=_shown(content, metadata))


def _alone(one) -> tuple[Any, tuple[float, ...]]:
    if one.method == CONCAT:
        return one.features, one.weights
    return combine(one.features, one.weights, one.method), (1.0,)


def _listed() -> list[str]:
    found = []
    for folder, mark in (
        (folder_paths.get_input_directory(), ""),
        (folder_paths.get_output_directory(), " [output]"),
    ):
        names, _ = folder_paths.recursive_search(folder)
        found += [name + mark for name in names if name.lower().endswith(FILES)]
    return sorted(found)


def path_of(file: str) -> str:
    """Where the file lies. Raises ValueError for what is not below the input or output folder."""
    try:
        path = os.path.realpath(folder_paths.get_annotated_filepath(file))
    except ValueError:  # newer hosts refuse a path that leaves the folder themselves
        path = ""
    roots = [
        os.path.realpath(root)
        for root in (folder_paths.get_input_directory(), folder_paths.get_output_directory())
    ]
    inside = any(path.startswith(root + os.sep) for root in roots)
    if not inside or not path.lower().endswith(FILES) or not os.path.isfile(path):
        there = ", ".join(f"'{name}'" for name in _listed()[:12]) or "none"
        raise ValueError(
            f"There is no embeds file '{file}' in the input or output folder; there are {there}: "
            "choose one of them, or press R."
        )
    return path


def _thumbnail(image):
    picture = rgb(image, SAVE, "image")[:1].movedim(-1, 1).float()
    side = max(picture.shape[-2:])
    size = [max(1, round(length * THUMBNAIL / side)) for length in picture.shape[-2:]]
    small = torch.nn.functional.interpolate(picture, size, mode="bilinear", antialias=True)
    return (small[0].movedim(0, -1).clamp(0, 1) * 255).round().byte()


def _shown(content, metadata):
    """What the node shows: the picture kept in the file, and what the encoder was."""
    if metadata is None:
        return shown_texts(Message("an .ipadpt file"))
    text = shown_texts(f"{metadata.get('encoder')}, {metadata.get('feature')}")
    small = content.get("thumbnail")
    if small is None or small.ndim != 3 or small.shape[-1] != 3 or small.dtype != torch.uint8:
        return text
    return {**ui.PreviewImage(small[None].float() / 255).as_dict(), **text}
