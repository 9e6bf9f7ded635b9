"""Installed files for the doctor, without any on the disk."""

import adapter_layouts

from ipadapter_core.adapter.checkpoint import read_spec
from ipadapter_core.adapter.encoders import EncoderSpec
from ipadapter_core.doctor.report import InstalledFile

VIT_H, BIGG = EncoderSpec.of(32, 1280, 1024, 257), EncoderSpec.of(48, 1664, 1280, 257)


class Shape:
    def __init__(self, shape):
        self.shape = shape


def spec(published_name, twin_kind=None):
    layout = adapter_layouts.layout(published_name)
    return read_spec({key: Shape(shape) for key, shape in layout.items()}, twin_kind)


def installed_file(path, size=9, listed=True, **found):
    """A file at `folder/name` of the models, with its content, fault or note."""
    folder, name = path.split("/", 1)
    return InstalledFile(
        folder=folder,
        name=name,
        display_path=f"models/{path}",
        size=size,
        is_listed=listed,
        **found,
    )


def adapter(name, kind="ip-adapter-plus_sd15", folder="ipadapter", size=5, listed=True):
    return installed_file(f"{folder}/{name}", size, listed, content=spec(kind))


def encoder(name="e.safetensors", content=VIT_H, folder="clip_vision", listed=True):
    return installed_file(f"{folder}/{name}", 7, listed, content=content)
