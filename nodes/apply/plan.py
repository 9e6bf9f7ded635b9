"""The choices of Image Prompt: installed adapter, layers, weight and timestep range.

Pure: from what is installed and what the user chose in words to what Load IPAdapter and Apply
IPAdapter have as inputs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...ipadapter_core.adapter.checkpoint import AdapterSpec
from ...ipadapter_core.adapter.families import (
    COMPOSITION_PURPOSE,
    FACE_PURPOSE,
    IDENTITY_PURPOSE,
    LOOK_PURPOSE,
)
from ...ipadapter_core.doctor.model_table import ENCODER, ModelFile, purpose_of
from ..files.folders import ADAPTERS, ENCODERS
from ..files.missing_files import MOST_REASONS
from .tasks import (
    COMPOSITION,
    LAYER_TASKS,
    STYLE,
    STYLE_AND_COMPOSITION,
    SUBJECT,
    WHOLE_IMAGE,
)

NODE = "Image Prompt"
FACE, FACE_IDENTITY = "face", "face identity"
TASKS = [*LAYER_TASKS, FACE, FACE_IDENTITY]
SUBTLE, BALANCED, STRONG, CUSTOM = "subtle", "balanced", "strong", "custom"
STRENGTHS = [SUBTLE, BALANCED, STRONG, CUSTOM]
HasEncoder = Callable[[str], bool]  # whether an encoder, by the model table's name, is installed
Explain = Callable[[str, str], Sequence[str]]  # kind of folder, base model -> why no file is found
# Task -> what an adapter for it is made for, the best first.
PURPOSES_BY_TASK: Mapping[str, tuple[str, ...]] = {
    COMPOSITION: (COMPOSITION_PURPOSE, LOOK_PURPOSE),
    FACE: (FACE_PURPOSE,),
    FACE_IDENTITY: (IDENTITY_PURPOSE,),
}
TASKS_BY_PURPOSE = {
    LOOK_PURPOSE: WHOLE_IMAGE,
    COMPOSITION_PURPOSE: COMPOSITION,
    FACE_PURPOSE: FACE,
    IDENTITY_PURPOSE: FACE_IDENTITY,
}
ONE_VECTOR = 1.2  # adapters that take one vector of a reference follow it less than the others


class Strength(NamedTuple):
    """The weight of an adapter and its timestep range."""

    weight: float
    start_at: float = 0.0
    end_at: float = 1.0


# Subtle, balanced, strong. What is where is decided in the first steps, and few layers carry a
# style or a composition.
ALL_LAYERS = (Strength(0.4, end_at=0.8), Strength(0.7), Strength(1.0))
SOME_LAYERS = (Strength(0.6), Strength(1.0), Strength(1.4))
STRENGTHS_BY_TASK: Mapping[str, tuple[Strength, Strength, Strength]] = {
    WHOLE_IMAGE: ALL_LAYERS,
    STYLE: SOME_LAYERS,
    COMPOSITION: (Strength(0.6, end_at=0.5), Strength(1.0, end_at=0.7), Strength(1.4)),
    STYLE_AND_COMPOSITION: SOME_LAYERS,
    SUBJECT: SOME_LAYERS,
    FACE: ALL_LAYERS,
    FACE_IDENTITY: (Strength(0.5), Strength(0.8), Strength(1.0)),
}


@dataclass(frozen=True)
class InstalledAdapter:
    """An adapter file that fits the model."""

    name: str
    spec: AdapterSpec
    has_encoder: bool  # whether one that fits is installed, or none is needed
    published_file: ModelFile | None = None  # the one that it most likely is

    @property
    def purpose(self) -> str:
        return purpose_of(self.spec, self.published_file)

    @property
    def task(self) -> str:
        """The task that it is made for."""
        return TASKS_BY_PURPOSE[self.purpose]


@dataclass(frozen=True)
class PlannedInputs:
    """Inputs of Load IPAdapter and Apply IPAdapter that give the same."""

    ipadapter_file: str
    task: str
    strength: Strength


@dataclass(frozen=True)
class Request:
    """The choices of the user; custom: the strength of that name, as typed."""

    task: str
    strength: str
    custom: Strength

    @property
    def purposes(self) -> tuple[str, ...]:
        return PURPOSES_BY_TASK.get(self.task, (LOOK_PURPOSE,))


def plan_inputs(
    request: Request,
    base_model: str,
    adapters: Sequence[InstalledAdapter],
    model_table: Sequence[ModelFile],
    explain_missing: Explain,
    has_encoder: HasEncoder = lambda _: True,
) -> PlannedInputs:
    """The plan with the best of the adapters. Raises ValueError with the files that are missing."""
    suitable_adapters = [adapter for adapter in adapters if adapter.purpose in request.purposes]
    if not suitable_adapters:
        others = [f"'{adapter.name}' is for the task '{adapter.task}'" for adapter in adapters]
        explanation = [*others[:MOST_REASONS], *explain_missing(ADAPTERS, base_model)]
        raise ValueError(
            _missing_adapter(request, base_model, model_table, explanation, has_encoder)
        )
    adapter = min(suitable_adapters, key=lambda adapter: _rank(adapter, request, model_table))
    if not adapter.has_encoder:
        explanation = explain_missing(ENCODERS, base_model)
        raise ValueError(_missing_encoder(adapter, model_table, explanation))
    task = request.task if adapter.purpose == LOOK_PURPOSE else WHOLE_IMAGE
    return PlannedInputs(adapter.name, task, _strength(request, adapter))


def _strength(request: Request, adapter: InstalledAdapter) -> Strength:
    if request.strength == CUSTOM:
        return request.custom
    strength = STRENGTHS_BY_TASK[request.task][STRENGTHS.index(request.strength)]
    if adapter.purpose == LOOK_PURPOSE and _takes_one_vector(adapter.spec):
        return strength._replace(weight=round(strength.weight * ONE_VECTOR, 2))
    return strength


def _rank(
    adapter: InstalledAdapter, request: Request, model_table: Sequence[ModelFile]
) -> tuple[object, ...]:
    """Lowest for the best: made for the task, usable, recommended, with the richest features."""
    published_file = adapter.published_file
    return (
        not adapter.has_encoder,
        request.purposes.index(adapter.purpose),
        published_file is None or not published_file.first,
        -len(adapter.spec.inputs),
        _takes_one_vector(adapter.spec),
        list(model_table).index(published_file) if published_file else len(model_table),
        adapter.name,
    )


def _takes_one_vector(spec: AdapterSpec) -> bool:
    return all(feature.source.axes == 2 for feature in spec.inputs)


def _missing_adapter(
    request: Request,
    base_model: str,
    model_table: Sequence[ModelFile],
    explanation: Sequence[str],
    has_encoder: HasEncoder,
) -> str:
    """The sentence, with the encoder of the recommended adapter if that is missing as well."""
    adapter = _recommended(
        file
        for file in model_table
        if file.runs and file.base == base_model and file.purpose == request.purposes[-1]
    )
    if adapter is None:
        return (
            f"{NODE} knows of no published adapter for the task '{request.task}' and "
            f"{base_model or 'this model'}: choose another task, or connect another model."
        )
    sentence = (
        f"{NODE} finds no adapter for the task '{request.task}' and {base_model} "
        f"in models/ipadapter{_advice(adapter, explanation)}"
    )
    encoder = _recommended_encoder(adapter.encoder, model_table)
    if encoder is None or has_encoder(adapter.encoder):
        return f"{sentence}."
    return f"{sentence}; it also needs {encoder.name} ({encoder.link}) in models/clip_vision."


def _missing_encoder(
    adapter: InstalledAdapter, model_table: Sequence[ModelFile], explanation: Sequence[str]
) -> str:
    encoder_name = adapter.spec.encoder
    encoder = _recommended_encoder(encoder_name, model_table)
    return (
        f"{NODE} uses '{adapter.name}', which needs {encoder_name}, but that is not in "
        f"models/clip_vision{_advice(encoder, explanation)}."
    )


def _recommended_encoder(encoder: str, model_table: Sequence[ModelFile]) -> ModelFile | None:
    return _recommended(
        file for file in model_table if (file.kind, file.encoder) == (ENCODER, encoder)
    )


def _recommended(published_files: Iterable[ModelFile]) -> ModelFile | None:
    return min(published_files, key=lambda file: not file.first, default=None)


def _advice(published_file: ModelFile | None, explanation: Sequence[str]) -> str:
    """explanation: what is there instead."""
    beginning = "; ".join(["", *explanation, ""]).rstrip() if explanation else ":"
    if published_file is None:
        return f"{beginning} put one there, and press R"
    source = f"{published_file.name} ({published_file.link})"
    put = f"the published one is {source}: put it" if explanation else f"put {source}"
    return (
        f"{beginning} {put} there, or download it with IPAdapter Doctor in the Extensions menu, "
        "and press R"
    )
