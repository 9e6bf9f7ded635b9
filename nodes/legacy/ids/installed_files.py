"""Files by what they hold: a name that is not here, or a preset, becomes an installed file of the same kind."""

import functools
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import folder_paths

from ....ipadapter_core.adapter.checkpoint import EMBEDS, ENCODERS, read_spec
from ....ipadapter_core.adapter.encoders import EncoderSpec, read_encoder
from ....ipadapter_core.doctor.model_table import ModelFile, load
from ....ipadapter_core.messages import Predicate
from ...files import folders
from ...files.open_files import read_shapes

log = logging.getLogger("ipadapter")
VIT_H, VIT_BIGG, VIT_L = ENCODERS[EMBEDS, 1024], ENCODERS[EMBEDS, 1280], ENCODERS[EMBEDS, 768]
WIDTHS = {VIT_H: (1280, 1024), VIT_BIGG: (1664, 1280), VIT_L: (1024, 768)}  # hidden, projection
PUBLISHED = load()
TWINS = ("light", "face", "composition")  # of the same shapes: only a name can tell them apart


@dataclass(frozen=True)
class AdapterKind:
    """A kind of adapter by the published file, and what a name says besides."""

    row: ModelFile
    twin: str  # "", or one of TWINS

    @property
    def has_twins(self) -> bool:
        """Whether adapters for another purpose have the same shapes."""
        return self.row.kind in ("base", "plus")

    def describe(self) -> str:
        twin = f", {self.twin}" if self.twin else ""
        return f"{self.row.base} {self.row.kind}{twin} for {self.row.encoder}"


def _want(name: str, twin: str = "") -> AdapterKind:
    return AdapterKind(next(row for row in PUBLISHED if row.name == name), twin)


LIGHT = _want("ip-adapter_sd15_light_v11.bin", "light")
SD15 = _want("ip-adapter_sd15.safetensors")
SD15_G = _want("ip-adapter_sd15_vit-G.safetensors")
PLUS = _want("ip-adapter-plus_sd15.safetensors")
FACE = _want("ip-adapter-plus-face_sd15.safetensors", "face")
FULL = _want("ip-adapter-full-face_sd15.safetensors")
COMPOSITION = _want("ip_plus_composition_sd15.safetensors", "composition")
XL = _want("ip-adapter_sdxl_vit-h.safetensors")
XL_G = _want("ip-adapter_sdxl.safetensors")
XL_PLUS = _want("ip-adapter-plus_sdxl_vit-h.safetensors")
XL_FACE = _want("ip-adapter-plus-face_sdxl_vit-h.safetensors", "face")
XL_COMPOSITION = _want("ip_plus_composition_sdxl.safetensors", "composition")
ENCODER_LINKS = {row.encoder: row.link for row in PUBLISHED if row.kind == "encoder"}
ENCODER_NAMES = (  # what a name says, the first that matches
    (r"bigg|vit.?g|sdxl", VIT_BIGG),
    (r"vit.?l|large.?patch14|clip.?l\b|336", VIT_L),
    (r"vit.?h|laion2b.?s32b|sd.?1.?5|ip.?adapter|image.?encoder", VIT_H),
)


def find_adapter(name: str) -> tuple[str, str]:
    """Name and path of the adapter a graph names, or of one of its kind. Raises ValueError."""
    found = _present(folders.ADAPTERS, name)
    if found is None:
        want = kind_named(name)
        fits = [] if want is None else installed_adapters(want)
        if not fits:
            link = "" if want is None else f"; get it from {want.row.link}"
            raise ValueError(folders.missing(folders.ADAPTERS, name).rstrip(".") + link + ".")
        found = _taken(name, fits)
    return found, folders.path_of(folders.ADAPTERS, found)


def validate_adapter(name: str | None) -> bool | str:
    """What the host asks of a loader before it runs: True, or the sentence for a file that nothing here stands for."""
    try:
        return name is None or bool(find_adapter(name))
    except ValueError as error:
        return str(error)


def find_encoder(name: str, needed: str | None = None) -> str | None:
    """The encoder a graph names, or one of its kind; needed: what the graph's adapter asks for."""
    found = _present(folders.ENCODERS, name)
    if found is not None:
        return found
    by_name = (
        kind for pattern, kind in ENCODER_NAMES if re.search(pattern, os.path.basename(name), re.I)
    )
    fits = installed_encoders(needed or next(by_name, VIT_H))
    return _taken(name, fits) if fits else None


def kind_named(name: str) -> AdapterKind | None:
    """What kind of adapter a name speaks of."""
    words = re.sub(r"[^a-z0-9]+", " ", os.path.splitext(os.path.basename(name.lower()))[0])
    if re.search(r"faceid|portrait|kolors|flux|sd3|instant|pulid", words):
        return None
    xl = re.search(r"sdxl|\bxl\b", words)
    bigg = re.search(r"vit ?(big ?)?g\b|bigg", words)
    if "composition" in words:
        return XL_COMPOSITION if xl else COMPOSITION
    if "full" in words and "face" in words and not xl:
        return FULL
    if "plus" in words:
        return (XL_FACE if xl else FACE) if "face" in words else (XL_PLUS if xl else PLUS)
    if "light" in words and not xl:
        return LIGHT
    if not re.search(r"ip ?adapter|sd ?15|sdxl", words):
        return None
    if xl:
        return XL if re.search(r"vit ?h\b", words) else XL_G
    return SD15_G if bigg else SD15


def installed_adapters(want: AdapterKind) -> list[str]:
    """Adapters of a kind; the right twin by name first, then those whose name says nothing of twins."""
    ranked: list[tuple[int, bool, str, str]] = []
    for name in folders.names(folders.ADAPTERS):
        if not want.row.holds(_spec(folders.ADAPTERS, name, read_spec)):
            continue
        twin = next((one for one in TWINS if one in name.lower()), "")
        plain = kind_named(name) is not None and not twin  # a published name of the plain one
        rank = 0 if twin == want.twin or not want.has_twins else 1 if not twin and not plain else 2
        if rank < 2:
            ranked.append((rank, "v11" not in name.lower(), name.lower(), name))
    return [name for *_, name in sorted(ranked)]


def installed_encoders(kind: str) -> list[str]:
    """Installed encoders of a kind, the published names first, last those of its widths alone."""
    fits: list[tuple[bool, bool, str, str]] = []
    for name in folders.names(folders.ENCODERS):
        spec = _spec(folders.ENCODERS, name, read_encoder)
        if isinstance(spec, EncoderSpec) and (spec.hidden, spec.projection) == WIDTHS[kind]:
            fits.append((spec.name != kind, "laion" not in name.lower(), name.lower(), name))
    return [name for *_, name in sorted(fits)]


def is_sdxl_checkpoint(folder: str, name: str) -> bool:
    """Whether a checkpoint is for SDXL, by the text it attends to; by its name if the file is not here."""
    path = folder_paths.get_full_path(folder, name)
    found = None if path is None else cached_spec(path, _text_width)
    return found == 2048 if found is not None else "xl" in name.lower()


def missing_adapter(want: AdapterKind, asked: str) -> str:
    """The sentence for a kind of adapter that is not here."""
    there = ", ".join(f"'{name}'" for name in folders.names(folders.ADAPTERS)[:12]) or "no file"
    return f"{asked} needs an adapter of the kind {want.describe()}, but in {folders.searched(folders.ADAPTERS)} there is {there}: put '{want.row.name}' there, from {want.row.link}."


def missing_encoder(kind: str, asked: str) -> str:
    there = ", ".join(f"'{name}'" for name in folders.names(folders.ENCODERS)[:12]) or "no file"
    return f"{asked} needs the encoder {kind}, but in {folders.searched(folders.ENCODERS)} there is {there}: put it there under any name, from {ENCODER_LINKS.get(kind, 'its author')}."


def _text_width(shapes: Mapping[str, Any]) -> int | None:
    keys = (shape.shape[1] for key, shape in shapes.items() if key.endswith("attn2.to_k.weight"))
    return next(keys, None)


def _present(folder: str, name: str) -> str | None:
    """The same name, or the same but for folder, extension, case, spaces and punctuation."""
    try:
        folders.path_of(folder, name)
        return name
    except ValueError:
        pass
    same = [one for one in folders.names(folder) if _plain(one) == _plain(name)]
    return _taken(name, same) if same else None


def _taken(name: str, fits: list[str]) -> str:
    log.info("There is no file '%s': '%s' is of the same kind and is taken.", name, fits[0])
    return fits[0]


def _plain(name: str) -> str:
    stem = os.path.splitext(os.path.basename(name.replace("\\", "/").strip()))[0]
    return re.sub(r"[^a-z0-9]", "", stem.lower())


def _spec(folder: str, name: str, read: Callable) -> Any:
    path = folder_paths.get_full_path(folder, name)
    return None if path is None else cached_spec(path, read)


def cached_spec(path: str, read: Callable) -> Any:
    """What a file is, read again only when it has changed; None for what cannot be read."""
    status = os.stat(path)
    return _read(path, status.st_size, status.st_mtime_ns, read)


@functools.lru_cache(maxsize=512)
def _read(path: str, size: int, changed: int, read: Callable) -> Any:
    try:
        return read(read_shapes(path))
    except Predicate:
        return None
