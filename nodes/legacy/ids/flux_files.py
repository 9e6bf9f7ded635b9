"""The files that the FLUX.1 nodes of XLabs and Shakker-Labs name, found by what they hold."""

import re

from ....ipadapter_core.adapter.checkpoint import AdapterSpec, read_spec
from ....ipadapter_core.adapter.features import CLIP_L
from ....ipadapter_core.adapter.projections import LinearSpec
from ...files import folders
from ...files.file_specs import installed_spec
from .installed_files import (
    FLUX_INSTANTX,
    FLUX_XLABS,
    FLUX_XLABS_V2,
    AdapterKind,
    installed_adapters,
    installed_encoders,
    log_replacement,
    missing_encoder,
    same_file,
)

SIGLIP_NAME = "google/siglip-so400m-patch14-384"  # which Shakker-Labs' loader gets from the hub
XLABS_TOKENS = {FLUX_XLABS: 4, FLUX_XLABS_V2: 16}


def find_xlabs(name: str) -> str:
    """XLabs' adapter of that name, else one of the version that the name speaks of. Raises
    ValueError where there is none.

    `ip_adapter`, as both versions are published, means either.
    """
    kind = FLUX_XLABS_V2 if re.search(r"v[-_. ]?2", name.lower()) else FLUX_XLABS
    is_either = kind is FLUX_XLABS and "flux" not in name.lower()
    installed = installed_adapters(kind)
    of_version = [file for file in installed if _token_count(file) == XLABS_TOKENS[kind]]
    return _find(name, kind, installed, installed if is_either else of_version)


def find_instantx(name: str) -> str:
    """InstantX's adapter of that name, else any for FLUX.1. Raises ValueError where there is
    none.
    """
    installed = installed_adapters(FLUX_INSTANTX)
    return _find(name, FLUX_INSTANTX, installed, installed)


def find_clip_l(name: str) -> str:
    """The encoder of that name, else another file with it. Raises ValueError where there is
    none.
    """
    fitting = installed_encoders(CLIP_L)
    if not fitting:
        raise ValueError(missing_encoder(CLIP_L, f"'{name}'"))
    named = same_file(folders.ENCODERS, name)
    return named if named in fitting else log_replacement(name, fitting)


def name_siglip(_: str) -> str:
    """The only option of Shakker-Labs' loader; older graphs have a path or a folder's name."""
    return SIGLIP_NAME


def layer_count(file: str) -> int | None:
    """How many layers an installed adapter has."""
    spec = installed_spec(folders.ADAPTERS, file, read_spec)
    return len(spec.layers) if isinstance(spec, AdapterSpec) else None


def _token_count(file: str) -> int | None:
    spec = installed_spec(folders.ADAPTERS, file, read_spec)
    projector = spec.projector if isinstance(spec, AdapterSpec) else None
    return projector.token_count if isinstance(projector, LinearSpec) else None


def _find(name: str, kind: AdapterKind, installed: list[str], alternatives: list[str]) -> str:
    named = same_file(folders.ADAPTERS, name)
    if named in installed:
        return named
    if alternatives:
        return log_replacement(name, alternatives)
    problem = folders.missing(folders.ADAPTERS, name).rstrip(".")
    raise ValueError(f"{problem}; get it from {kind.published.link}.")
