"""Compare Image Prompts: one reference at several weights, by task or by adapter, as one grid.

The node expands into the host's own nodes and those of this pack, so that progress, cancelling,
memory and the cache are the host's.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from ..apply.plan import CUSTOM
from ..files import folders
from .compare_inputs import BY_TASK, ComparisonSettings, comparison_inputs
from .comparison import NODE, check_count, check_size, read_adapter_names, read_tasks, read_weights

HostLink = list[object]  # [node id, slot], as the host hands it on where a value is not needed
NodeInputs = Mapping[str, object]


class Column(NamedTuple):
    """The node that applies the reference: its kind, and its inputs but the weight."""

    label: str
    node_id: str
    inputs: NodeInputs


class Connected(NamedTuple):
    """What is connected for the sampling of all images."""

    clip: HostLink | None
    positive: HostLink | None
    negative: HostLink | None
    latent: HostLink | None


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
            inputs=comparison_inputs(),
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
        clip: HostLink | None = None,
        positive: HostLink | None = None,
        negative: HostLink | None = None,
        latent_image: HostLink | None = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        settings = ComparisonSettings(**widgets)
        graph = Expansion()
        weights = read_weights(settings.weights)
        inputs = {"model": model, "image": image, "fit": settings.fit}
        if settings.columns == BY_TASK:
            columns = _task_columns(settings.tasks, inputs)
        else:
            columns = _adapter_columns(settings.adapters, inputs, graph)
        check_count(len(weights), len(columns))
        if latent_image is None:
            check_size(len(weights) * len(columns), settings.width, settings.height)
        connected = Connected(clip=clip, positive=positive, negative=negative, latent=latent_image)
        sampling = {**settings.of_sampler(), **_sampler_links(graph, connected, settings)}
        return graph.output(_grid(graph, weights, columns, sampling, vae))


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


def _sampler_links(
    graph: Expansion, connected: Connected, settings: ComparisonSettings
) -> dict[str, HostLink]:
    """What KSampler needs beside the model. Raises ValueError where a prompt is missing."""

    def conditioning(link: HostLink | None, text: str, side: str) -> HostLink:
        if link is not None:
            return link
        if connected.clip is None:
            raise ValueError(
                f"{NODE} has no {side} prompt: connect 'clip' and type the prompt on the node, or "
                f"connect '{side}'."
            )
        return graph.add("CLIPTextEncode", clip=connected.clip, text=text)

    if connected.latent is not None:
        latent = graph.add("LatentFromBatch", samples=connected.latent, batch_index=0, length=1)
    else:
        size = {"width": settings.width, "height": settings.height}
        latent = graph.add("EmptyLatentImage", **size, batch_size=1)
    return {
        "positive": conditioning(connected.positive, settings.prompt, "positive"),
        "negative": conditioning(connected.negative, settings.negative_prompt, "negative"),
        "latent_image": latent,
    }


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
