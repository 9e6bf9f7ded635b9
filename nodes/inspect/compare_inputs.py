"""The inputs of Compare Image Prompts."""

from dataclasses import dataclass
from typing import Any

import comfy.samplers
from comfy_api.latest import io

from ...ipadapter_core.references.images import CROP
from ..apply.plan import TASKS
from ..apply.tasks import COMPOSITION, STYLE, SUBJECT, WHOLE_IMAGE
from ..references.fit import fit_input

BY_TASK, BY_ADAPTER = "tasks", "adapters"
LARGEST_SIDE, LARGEST_SEED = 4096, 0xFFFFFFFFFFFFFFFF
SEED_WIDGETS = io.ControlAfterGenerate.fixed


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """The widgets of one run."""

    weights: str
    columns: str
    tasks: str
    adapters: str
    width: int
    height: int
    seed: int
    steps: int
    cfg: float
    sampler_name: str
    scheduler: str
    denoise: float
    prompt: str = ""
    negative_prompt: str = ""
    fit: str = CROP

    def of_sampler(self) -> dict[str, object]:
        """The inputs of KSampler that are typed."""
        names = ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
        return {name: getattr(self, name) for name in names}


def comparison_inputs() -> list[Any]:
    return [*_links(), *_axes(), *_sampling(), *_optional_widgets(), *_optional_links()]


def _links() -> list[io.Input]:
    return [
        io.Model.Input(
            "model", raw_link=True, tooltip="The model, from a checkpoint loader or a LoRA."
        ),
        io.Image.Input(
            "image",
            raw_link=True,
            tooltip="The reference image; a batch is several references at once.",
        ),
        io.Vae.Input("vae", raw_link=True, tooltip="The VAE that decodes the images."),
    ]


def _axes() -> list[io.Input]:
    return [
        io.String.Input(
            "weights",
            default="0.4, 0.7, 1",
            tooltip="The weights to compare, from -1 to 5, separated by commas: each gives one "
            "row of images. 0 is the image without the reference.",
        ),
        io.Combo.Input(
            "columns",
            options=[BY_TASK, BY_ADAPTER],
            default=BY_TASK,
            tooltip="What the columns compare. tasks: those of 'tasks', each as in Image Prompt "
            "with its strength 'custom'; adapters: the files of 'adapters', each as in Apply "
            "IPAdapter.",
        ),
        io.String.Input(
            "tasks",
            default=", ".join((WHOLE_IMAGE, STYLE, COMPOSITION, SUBJECT)),
            multiline=True,
            tooltip="For the columns 'tasks': what to take from the reference, separated by "
            f"commas or line breaks. Choose from {', '.join(TASKS)}.",
        ),
        io.String.Input(
            "adapters",
            default="",
            multiline=True,
            tooltip="For the columns 'adapters': names of files in models/ipadapter, one on each "
            "line.",
        ),
    ]


def _sampling() -> list[io.Input]:
    samplers: Any = comfy.samplers.KSampler
    return [
        _side("width", "Width of each image. With 'latent_image' it is not used."),
        _side("height", "Height of each image. With 'latent_image' it is not used."),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=LARGEST_SEED,
            control_after_generate=SEED_WIDGETS,
            tooltip="The seed of the noise, the same for all images.",
        ),
        io.Int.Input(
            "steps", default=20, min=1, max=10000, tooltip="Sampling steps, as in KSampler."
        ),
        io.Float.Input(
            "cfg", default=7.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance, as in KSampler."
        ),
        io.Combo.Input(
            "sampler_name", options=samplers.SAMPLERS, default="euler", tooltip="As in KSampler."
        ),
        io.Combo.Input(
            "scheduler", options=samplers.SCHEDULERS, default="normal", tooltip="As in KSampler."
        ),
        io.Float.Input(
            "denoise",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="As in KSampler: below 1 it keeps part of 'latent_image'.",
        ),
    ]


def _side(name: str, tooltip: str) -> io.Int.Input:
    return io.Int.Input(name, default=512, min=16, max=LARGEST_SIDE, step=8, tooltip=tooltip)


def _optional_widgets() -> list[io.Input]:
    return [
        fit_input(
            "How a reference that is not square becomes square: crop its middle, pad it "
            "with grey bars, or stretch it.",
            optional=True,
            advanced=True,
        ),
        _prompt(
            "prompt",
            "What the images should show, as in CLIP Text Encode. If 'positive' is connected, it "
            "is not used.",
        ),
        _prompt(
            "negative_prompt",
            "What the images should not show. If 'negative' is connected, it is not used.",
        ),
    ]


def _optional_links() -> list[io.Input]:
    return [
        io.Clip.Input(
            "clip",
            optional=True,
            raw_link=True,
            tooltip="The text encoder of the checkpoint, for 'prompt' and 'negative_prompt'.",
        ),
        io.Conditioning.Input(
            "positive",
            optional=True,
            raw_link=True,
            tooltip="The positive conditioning, instead of 'prompt'.",
        ),
        io.Conditioning.Input(
            "negative",
            optional=True,
            raw_link=True,
            tooltip="The negative conditioning, instead of 'negative_prompt'.",
        ),
        io.Latent.Input(
            "latent_image",
            optional=True,
            raw_link=True,
            tooltip="The latent to start from, instead of an empty one with 'width' and 'height'. "
            "Of a batch, only the first is used.",
        ),
    ]


def _prompt(name: str, tooltip: str) -> io.String.Input:
    return io.String.Input(name, default="", multiline=True, optional=True, tooltip=tooltip)
