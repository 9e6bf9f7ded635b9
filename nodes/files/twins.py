"""Which of the adapters of equal shapes a file is: by the SHA-256 of the published files, then by
its name, then as the first of them.
"""

from ...ipadapter_core.adapter.checkpoint import AdapterSpec
from ...ipadapter_core.adapter.families import (
    FACEID_PLUS,
    FACEID_PLUS_V2,
    INSTANTID,
    UNNORM,
    Family,
    twin_named,
)
from ...ipadapter_core.adapter.layout import Weights, flatten
from ...ipadapter_core.doctor.model_table import load
from ...ipadapter_core.messages import Message
from .file_specs import file_digest, file_stamp

AUTO = "auto"
VARIANTS = [AUTO, FACEID_PLUS_V2, FACEID_PLUS, UNNORM, INSTANTID]


def find_twin(spec: AdapterSpec, path: str, name: str, weights: Weights) -> Family | None:
    """The family of a file among those of its shapes; None where nothing tells."""
    if len(spec.family.twins) == 1:
        return spec.family
    return _published_twin(spec, path) or likely_twin(spec, name, weights)


def likely_twin(spec: AdapterSpec, name: str, weights: Weights) -> Family | None:
    """The same by the file's name and header alone."""
    return twin_named(spec.family, name) or _stored_twin(spec, weights)


def guess_note(spec: AdapterSpec) -> Message:
    """The sentence for a file of which nothing tells which twin it is."""
    other_kinds = " / ".join(twin.kind for twin in spec.family.twins if twin is not spec.family)
    return Message(
        "The file may also be of the kind <1>, which has the same shapes, since neither its name "
        "nor its SHA-256 is known: if it is, choose that kind in 'variant'.",
        other_kinds,
    )


def _published_twin(spec: AdapterSpec, path: str) -> Family | None:
    """The family of a published file, which is read whole only if its size is one of theirs."""
    stamp = file_stamp(path)
    published_files = [file for file in load() if file.holds(spec) and file.has_size(stamp.size)]
    if not published_files:
        return None
    digest = file_digest(stamp)
    return next((file.family for file in published_files if file.sha256 == digest), None)


def _stored_twin(spec: AdapterSpec, weights: Weights) -> Family | None:
    """The twin that is published in this file's precision, if only that one is."""
    layer = flatten(weights).get("ip_adapter.1.to_k_ip.weight")
    dtype = getattr(layer, "dtype", None)
    twins = (twin for twin in spec.family.twins if twin.stored_dtype is not None)
    return next((twin for twin in twins if twin.stored_dtype is dtype), None)
