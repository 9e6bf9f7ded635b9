"""Compare Image Prompts: one reference at several weights, by task or by adapter, as one grid.

The node expands into the host's own nodes and those of this pack, so that progress, cancelling,
memory and the cache are the host's.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import comfy.samplers
from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from ...ipadapter_core.references.images import CROP
from ..apply.plan import CUSTOM, TASKS
from ..apply.tasks import COMPOSITION, STYLE, SUBJECT, WHOLE_IMAGE
from ..files import folders
from ..references.fit import fit_input
from .comparison import NODE, check_count, check_size, read_adapter_names, read_tasks, read_weights

BY_TASK, BY_ADAPTER = "tasks", "adapters"
LARGEST_SIDE, LARGEST_SEED = 4096, 0xFFFFFFFFFFFFFFFF
SEED_WIDGETS = io.ControlAfterGenerate.fixed
HostLink = list[object]  # [node id, slot], as the host hands it on where a value is not needed
NodeInputs = Mapping[str, object]


class Column(NamedTuple):
    """The node that applies the reference: its kind, and its inputs but the weight."""

    label: str
    node_id: str
    inputs: NodeInputs


class Prompts(NamedTuple):
    """Where the positive and the negative conditioning come from."""

    positive: HostLink | None
    negative: HostLink | None
    clip: HostLink | None
    prompt: str
    negative_prompt: str


class Expansion:
    """The nodes that the host runs in place of this one."""

    def __init__(self):
        self._graph: Any = GraphBuilder()

    def add(self, node_id: str, **inputs: object) -> HostLink:
        """A node, as the link to its first output."""
        return self._graph.node(node_id, **inputs).out(0)

    def output(self, link: HostLink) -> io.NodeOutput:
        """The link is what this node gives, and what the page shows on it."""
        self.add("PreviewImage", images=link)
        return io.NodeOutput(link, expand=self._graph.finalize())


class CompareImagePrompts(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CompareImagePrompts",
            display_name=NODE,
            category="ipadapter/inspect",
            search_aliases=[
                "compare weights",
                "compare adapters",
                "image prompt grid",
                "xy plot",
                "x/y plot",
                "contact sheet",
            ],
            description="Generates one image for each weight and each task or adapter, all with "
            "the same reference and seed, and arranges them in one grid with labels. The grid is "
            "shown on the node.",
            inputs=[*_links(), *_axes(), *_sampling(), *_optional()],
            outputs=[
                io.Image.Output(
                    "image",
                    tooltip="The grid: a row for each weight, a column for each task or adapter.",
                )
            ],
            enable_expand=True,
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **values: object) -> str:
        return folders.stamp_all(folders.ADAPTERS, folders.ENCODERS)

    @classmethod
    def execute(
        cls,
        model: HostLink,
        image: HostLink,
        vae: HostLink,
        weights: str,
        columns: str,
        tasks: str,
        adapters: str,
        width: int,
        height: int,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        denoise: float,
        prompt: str = "",
        negative_prompt: str = "",
        fit: str = CROP,
        clip: HostLink | None = None,
        positive: HostLink | None = None,
        negative: HostLink | None = None,
        latent_image: HostLink | None = None,
    ) -> io.NodeOutput:
        graph = Expansion()
        row_weights = read_weights(weights)
        inputs = {"model": model, "image": image, "fit": fit}
        if columns == BY_TASK:
            heads = _task_columns(tasks, inputs)
        else:
            heads = _adapter_columns(adapters, inputs, graph)
        check_count(len(row_weights), len(heads))
        if latent_image is None:
            check_size(len(row_weights) * len(heads), width, height)
        latent = _latent(graph, latent_image, width, height)
        prompts = Prompts(positive, negative, clip, prompt, negative_prompt)
        links = {**_conditioning(graph, prompts), "latent_image": latent}
        numbers = {"seed": seed, "steps": steps, "cfg": cfg, "denoise": denoise}
        sampling = {**links, **numbers, "sampler_name": sampler_name, "scheduler": scheduler}
        return graph.output(_grid(graph, row_weights, heads, sampling, vae))


def _task_columns(text: str, inputs: NodeInputs) -> list[Column]:
    return [
        Column(task, "ImagePrompt", {**inputs, "task": task, "strength": CUSTOM})
        for task in read_tasks(text)
    ]


def _adapter_columns(text: str, inputs: NodeInputs, graph: Expansion) -> list[Column]:
    columns: list[Column] = []
    whole_time = {"start_at": 0.0, "end_at": 1.0}
    for name in read_adapter_names(text):
        folders.path_of(folders.ADAPTERS, name)  # says it before anything is sampled
        adapter = graph.add("LoadIPAdapter", ipadapter_file=name)
        label = PurePath(name.replace("\\", "/")).stem
        columns.append(
            Column(label, "ApplyIPAdapter", {**inputs, **whole_time, "ipadapter": adapter})
        )
    return columns


def _conditioning(graph: Expansion, prompts: Prompts) -> dict[str, HostLink]:
    """What is connected, or else the typed prompts as 'clip' encodes them. Raises ValueError."""

    def encoded(connected: HostLink | None, text: str, side: str) -> HostLink:
        if connected is not None:
            return connected
        if prompts.clip is None:
            raise ValueError(
                f"{NODE} has no {side} prompt: connect 'clip' and type the prompt on the node, or "
                f"connect '{side}'."
            )
        return graph.add("CLIPTextEncode", clip=prompts.clip, text=text)

    return {
        "positive": encoded(prompts.positive, prompts.prompt, "positive"),
        "negative": encoded(prompts.negative, prompts.negative_prompt, "negative"),
    }


def _latent(graph: Expansion, latent: HostLink | None, width: int, height: int) -> HostLink:
    """Of a single image."""
    if latent is not None:
        return graph.add("LatentFromBatch", samples=latent, batch_index=0, length=1)
    return graph.add("EmptyLatentImage", width=width, height=height, batch_size=1)


def _grid(
    graph: Expansion,
    weights: Sequence[float],
    columns: Sequence[Column],
    sampling: NodeInputs,
    vae: HostLink,
) -> HostLink:
    """Nodes that generate an image for each weight and column, and arrange them."""
    images: dict[str, HostLink] = {}
    labels: list[str] = []
    for weight in weights:
        for label, node_id, inputs in columns:
            model = graph.add(node_id, weight=weight, **inputs)
            latent = graph.add("KSampler", model=model, **sampling)
            images[f"images.image{len(images)}"] = graph.add("VAEDecode", samples=latent, vae=vae)
            labels.append(f"{label}, {weight:g}")
    return graph.add("LabelImageGrid", labels="\n".join(labels), columns=len(columns), **images)


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


def _optional() -> list[io.Input]:
    return [
        _prompt(
            "prompt",
            "What the images should show, as in CLIP Text Encode. If 'positive' is connected, it "
            "is not used.",
        ),
        _prompt(
            "negative_prompt",
            "What the images should not show. If 'negative' is connected, it is not used.",
        ),
        fit_input(
            "How a reference that is not square becomes square: crop its middle, pad it "
            "with grey bars, or stretch it.",
            optional=True,
            advanced=True,
        ),
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
