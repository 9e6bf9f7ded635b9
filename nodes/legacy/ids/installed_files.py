"""Installed files by what they hold: a name or a preset means any file of the same kind."""

import logging
import os
import re
from dataclasses import dataclass

from ....ipadapter_core.adapter.checkpoint import read_spec
from ....ipadapter_core.adapter.encoders import EncoderSpec, read_encoder
from ....ipadapter_core.adapter.features import CLIP_BIGG, CLIP_H, CLIP_L, CLIP_L_336
from ....ipadapter_core.doctor.model_table import ModelFile, load
from ...files import folders
from ...files.file_specs import installed_spec

log = logging.getLogger("ipadapter")
WIDTHS = {  # hidden, projection
    CLIP_H: (1280, 1024),
    CLIP_BIGG: (1664, 1280),
    CLIP_L: (1024, 768),
    CLIP_L_336: (1024, 768),
}
PUBLISHED_FILES = load()
TWINS = ("light", "face", "composition")  # of the same shapes: only a name can tell them apart
LISTED_FILES = 12  # of a folder, in a message


@dataclass(frozen=True)
class AdapterKind:
    """A kind of adapter by the published file, and which of its twins it is."""

    published: ModelFile
    twin: str  # "", or one of TWINS

    @property
    def has_twins(self) -> bool:
        """Whether adapters for another purpose have the same shapes."""
        family = self.published.family
        return family is not None and not family.purpose


def _kind(file_name: str, twin: str = "") -> AdapterKind:
    return AdapterKind(next(file for file in PUBLISHED_FILES if file.name == file_name), twin)


LIGHT = _kind("ip-adapter_sd15_light_v11.bin", "light")
SD15_VIT_H = _kind("ip-adapter_sd15.safetensors")
SD15_G = _kind("ip-adapter_sd15_vit-G.safetensors")
PLUS = _kind("ip-adapter-plus_sd15.safetensors")
PLUS_FACE = _kind("ip-adapter-plus-face_sd15.safetensors", "face")
FULL = _kind("ip-adapter-full-face_sd15.safetensors")
SD15_COMPOSITION = _kind("ip_plus_composition_sd15.safetensors", "composition")
XL = _kind("ip-adapter_sdxl_vit-h.safetensors")
XL_G = _kind("ip-adapter_sdxl.safetensors")
XL_PLUS = _kind("ip-adapter-plus_sdxl_vit-h.safetensors")
XL_PLUS_FACE = _kind("ip-adapter-plus-face_sdxl_vit-h.safetensors", "face")
XL_COMPOSITION = _kind("ip_plus_composition_sdxl.safetensors", "composition")
KOLORS_PLUS = _kind("Kolors-IP-Adapter-Plus.bin")
FLUX_XLABS = _kind("flux-ip-adapter.safetensors")
FLUX_XLABS_V2 = _kind("flux-ip-adapter-v2.safetensors")
FLUX_INSTANTX = _kind("FLUX.1-dev-IP-Adapter.bin")

KindPair = tuple[AdapterKind | None, AdapterKind | None]  # for SD1.5 and for SDXL
PRESETS: dict[str, KindPair] = {
    "LIGHT - SD1.5 only (low strength)": (LIGHT, None),
    "STANDARD (medium strength)": (SD15_VIT_H, XL),
    "VIT-G (medium strength)": (SD15_G, XL_G),
    "PLUS (high strength)": (PLUS, XL_PLUS),
    "PLUS FACE (portraits)": (PLUS_FACE, XL_PLUS_FACE),
    "FULL FACE - SD1.5 only (portraits stronger)": (FULL, None),
}
COMMUNITY_PRESETS: dict[str, KindPair] = {
    "Composition": (SD15_COMPOSITION, XL_COMPOSITION),
    "Kolors": (None, KOLORS_PLUS),  # whose UNet is that of SDXL
}
# what the words of a file name mean, the first that matches
OTHER_FAMILIES = re.compile(r"faceid|portrait|flux|sd3|instant|pulid")
KINDS_BY_WORDS: tuple[tuple[str, KindPair], ...] = (
    (r"kolors|plus general", (KOLORS_PLUS, KOLORS_PLUS)),
    (r"composition", (SD15_COMPOSITION, XL_COMPOSITION)),
    (r"full.*face|face.*full", (FULL, None)),
    (r"plus.*face|face.*plus", (PLUS_FACE, XL_PLUS_FACE)),
    (r"plus", (PLUS, XL_PLUS)),
    (r"light", (LIGHT, None)),
)
PLAIN_ADAPTER = re.compile(r"ip ?adapter|sd ?15|sdxl")
PLAIN_KINDS: tuple[tuple[str, KindPair], ...] = (
    (r"vit ?h\b", (None, XL)),
    (r"vit ?(big ?)?g\b|bigg", (SD15_G, XL_G)),
    (r"", (SD15_VIT_H, XL_G)),
)
ENCODER_LINKS = {file.encoder: file.link for file in PUBLISHED_FILES if file.kind == "encoder"}


def find_adapter(name: str) -> str:
    """The adapter a graph names, or one of its kind. Raises ValueError."""
    installed = same_file(folders.ADAPTERS, name)
    if installed is not None:
        return installed
    kind = kind_named(name)
    fitting = [] if kind is None else installed_adapters(kind)
    if not fitting:
        link = "" if kind is None else f"; get it from {kind.published.link}"
        raise ValueError(folders.missing(folders.ADAPTERS, name).rstrip(".") + link + ".")
    return log_replacement(name, fitting)


def validate_adapter(name: object) -> bool | str:
    """For the host, before a loader runs: True, or why no installed file can be used."""
    if not isinstance(name, str):
        return name is None or folders.NO_NAME
    try:
        return bool(find_adapter(name))
    except ValueError as error:
        return str(error)


def kind_named(name: str) -> AdapterKind | None:
    """The kind of adapter that a file's name speaks of."""
    words = re.sub(r"[^a-z0-9]+", " ", os.path.splitext(os.path.basename(name.lower()))[0])
    if OTHER_FAMILIES.search(words):
        return None
    is_sdxl = re.search(r"sdxl|\bxl\b", words) is not None
    for pattern, kinds in KINDS_BY_WORDS + (PLAIN_KINDS if PLAIN_ADAPTER.search(words) else ()):
        kind = kinds[is_sdxl]
        if kind is not None and re.search(pattern, words):
            return kind
    return None


def installed_adapters(kind: AdapterKind) -> list[str]:
    """The right twins by name first, then files whose names say nothing of twins."""
    ranked: list[tuple[bool, bool, str, str]] = []
    for name in folders.names(folders.ADAPTERS):
        if not kind.published.holds(installed_spec(folders.ADAPTERS, name, read_spec)):
            continue
        twin = next((twin for twin in TWINS if twin in name.lower()), "")
        is_right = twin == kind.twin or not kind.has_twins
        if is_right or (not twin and kind_named(name) is None):
            ranked.append((not is_right, "v11" not in name.lower(), name.lower(), name))
    return [name for *_, name in sorted(ranked)]


def installed_encoders(encoder: str) -> list[str]:
    """Published names first, last files that only have the encoder's widths."""
    ranked: list[tuple[bool, bool, str, str]] = []
    for name in folders.names(folders.ENCODERS):
        spec = installed_spec(folders.ENCODERS, name, read_encoder)
        if not isinstance(spec, EncoderSpec):
            continue
        is_larger = CLIP_L_336 in (spec.name, encoder) and spec.name != encoder
        if (spec.hidden_width, spec.projection_width) == WIDTHS.get(encoder) and not is_larger:
            is_standard = "laion" in name.lower()
            ranked.append((spec.name != encoder, not is_standard, name.lower(), name))
    return [name for *_, name in sorted(ranked)]


def missing_adapter(kind: AdapterKind, subject: str) -> str:
    """The sentence for a kind of adapter that is not installed."""
    file, twin = kind.published, f", {kind.twin}" if kind.twin else ""
    needed = f"an adapter of the kind {file.base} {file.kind}{twin} for {file.encoder}"
    return _missing(folders.ADAPTERS, needed, subject, f"put '{file.name}' there, from {file.link}")


def missing_encoder(encoder: str, subject: str) -> str:
    """The sentence for an encoder that is not installed."""
    advice = f"put it there under any name, from {ENCODER_LINKS.get(encoder, 'its author')}"
    return _missing(folders.ENCODERS, f"the encoder {encoder}", subject, advice)


def _missing(folder: str, needed: str, subject: str, advice: str) -> str:
    names = folders.names(folder)[:LISTED_FILES]
    listing = ", ".join(f"'{name}'" for name in names) or "no file"
    place = folders.searched(folder)
    return f"{subject} needs {needed}, but in {place} there is {listing}: {advice}."


def same_file(folder: str, name: str) -> str | None:
    """The same name, or the same but for folder, extension, case, spaces and punctuation."""
    try:
        folders.path_of(folder, name)
        return name
    except ValueError:
        letters = _letters(name)
        alike = [file for file in folders.names(folder) if _letters(file) == letters]
        return log_replacement(name, alike) if alike else None


def log_replacement(name: str, fitting: list[str]) -> str:
    """The first of some files that fit in the place of a missing one."""
    log.info("There is no file '%s': '%s', of the same kind, is used instead.", name, fitting[0])
    return fitting[0]


def _letters(name: str) -> str:
    stem = os.path.splitext(os.path.basename(name.replace("\\", "/").strip()))[0]
    return re.sub(r"[^a-z0-9]", "", stem.lower())
