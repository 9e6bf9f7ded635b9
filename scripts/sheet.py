"""The demo's sheet: what the pack does with pictures it has never seen, by real graphs through the
host over HTTP.

Six references down. Across: the reference as the encoder sees it, no adapter, half weight, full
weight, style alone and layout alone, all from the same noise. Below, two references in one picture,
and a mask. Needs Pillow, which the host has.
"""

import sys
import urllib.parse
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import comfy_host
import comfy_server
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

sys.path.append(str(comfy_host.PACK / "demo"))
import pictures

# the demo's model has four blocks and learned which is which
STYLE, LAYOUT = "2:1, 3:1", "0:1, 1:1"
COLUMNS = ("reference", "no adapter", "weight 0.5", "weight 1", "style only", "layout only")
PAIRS = ("layout 1, style 2", "1 and 2, half each", "1 in the left half", "1 left, 2 right")
TEXT, GAP = 20, 6
STEPS, CFG = 16, 2.5
SCENES, SEED = 440, 100  # of the references, of the noise
Row = list[tuple[str, Image.Image]]


@dataclass
class Graph:
    """An API prompt that grows; every method gives the link to what it added."""

    seed: int
    nodes: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, **inputs: Any) -> list[Any]:
        name = str(len(self.nodes) + 1)
        self.nodes[name] = {"class_type": kind, "inputs": inputs}
        return [name, 0]

    def begin(self) -> None:
        """The nodes that every picture needs."""
        name, _ = self.add("CheckpointLoaderSimple", ckpt_name="demo-sd15.safetensors")
        self.model, self.vae = [name, 0], [name, 2]
        # the demo's model has no words, so both prompts are empty
        self.text = self.add("CLIPTextEncode", clip=[name, 1], text="")
        self.latent = self.add("EmptyLatentImage", width=64, height=64, batch_size=1)
        self.adapter = self.add("LoadIPAdapter", ipadapter_file="demo-base-sd15.safetensors")
        self.encoder = self.add("LoadCLIPVision", clip_name="auto", ipadapter=self.adapter)

    def only(self, layers: str) -> list[Any]:
        widgets = {"take": "balanced", "amount": 1.0, "second_amount": 1.0, "layers": layers}
        return self.add("IPAdapterWeightMap", model=self.model, **widgets)

    def apply(self, model: list[Any], picture: list[Any], **changes: Any) -> list[Any]:
        settings = {"weight": 1.0, "start_at": 0.0, "end_at": 1.0, **changes}
        loaded = {"ipadapter": self.adapter, "clip_vision": self.encoder}
        return self.add("ApplyIPAdapter", model=model, image=picture, **loaded, **settings)

    def mask(self, name: str) -> list[Any]:
        return self.add("LoadImageMask", image=name, channel="red")

    def load(self, name: str) -> list[Any]:
        return self.add("LoadImage", image=name)

    def picture(self, model: list[Any]) -> str:
        """Samples; the id of the node that shows the result."""
        sampled = self.add(
            "KSampler",
            model=model,
            positive=self.text,
            negative=self.text,
            latent_image=self.latent,
            seed=self.seed,
            steps=STEPS,
            cfg=CFG,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        )
        decoded = self.add("VAEDecode", samples=sampled, vae=self.vae)
        return self.add("PreviewImage", images=decoded)[0]


def row(reference: str, seed: int) -> tuple[dict, list[str]]:
    """The graph of one row, and the ids of the nodes that show its pictures."""
    graph = Graph(seed)
    graph.begin()
    picture = graph.load(reference)
    full_weight = graph.apply(graph.model, picture)
    models = [
        graph.model,
        graph.apply(graph.model, picture, weight=0.5),
        full_weight,
        graph.apply(graph.model, picture, weight_map=graph.only(STYLE)),
        graph.apply(graph.model, picture, weight_map=graph.only(LAYOUT)),
    ]
    return graph.nodes, [full_weight[0], *(graph.picture(model) for model in models)]


def pair(first: str, second: str, masks: tuple[str, str], seed: int) -> tuple[dict, list[str]]:
    """Two references in one picture in three ways, and one that acts in one half alone."""
    graph = Graph(seed)
    graph.begin()
    first_picture, second_picture = graph.load(first), graph.load(second)
    with_layout = graph.apply(graph.model, first_picture, weight_map=graph.only(LAYOUT))
    with_style = graph.apply(with_layout, second_picture, weight_map=graph.only(STYLE))
    half_each = graph.apply(
        graph.apply(graph.model, first_picture, weight=0.5), second_picture, weight=0.5
    )
    left_half = graph.apply(graph.model, first_picture, attn_mask=graph.mask(masks[0]))
    both_halves = graph.apply(left_half, second_picture, attn_mask=graph.mask(masks[1]))
    return graph.nodes, [
        graph.picture(model) for model in (with_style, half_each, left_half, both_halves)
    ]


def shown_image(server: comfy_server.Server, entry: dict, node: str) -> Image.Image:
    """The first picture that a node shows."""
    if entry["status"]["status_str"] != "success":
        error_message = entry["status"]["messages"][-1][1].get("exception_message")
        raise SystemExit(f"[demo] ComfyUI stopped: {error_message}")
    query = urllib.parse.urlencode(entry["outputs"][node]["images"][0])
    return Image.open(BytesIO(server.read(f"/view?{query}"))).convert("RGB")


def references(folder: Path) -> list[str]:
    """Six pictures that training never showed, drawn into a folder, each of another colour.

    The first has its shape on the left and the second on the right, for a half each.
    """
    source = torch.Generator().manual_seed(SCENES)
    scenes = pictures.draw_scenes(60, source, is_held_out=True)
    numbers = halves_first(scenes, chosen_scenes(scenes))
    rendered = (pictures.render(scenes[numbers]) * 255).round().byte()
    names = [f"reference-{number + 1}.png" for number in range(len(rendered))]
    for name, pixels in zip(names, rendered.movedim(1, -1), strict=True):
        Image.fromarray(pixels.numpy()).save(folder / name)
    return names


def chosen_scenes(scenes: pictures.Scenes) -> list[int]:
    """Numbers of six scenes of different colours, no shape more than twice."""
    numbers: list[int] = []
    for number, (shape, colour, *_) in enumerate(scenes.factors.tolist()):
        shapes, colours = scenes.factors[numbers].T[:2].tolist()
        if len(numbers) < 6 and colour not in colours and shapes.count(shape) < 2:
            numbers.append(number)
    return numbers


def halves_first(scenes: pictures.Scenes, numbers: list[int]) -> list[int]:
    """The numbers, with a shape on the left first and one on the right second."""
    places = list(pictures.PLACES)
    sides = {number: places[scenes.factors[number, 4]].split()[-1] for number in numbers}
    halves = [next(n for n in numbers if sides[n] == side) for side in ("left", "right")]
    return halves + [number for number in numbers if number not in halves]


def half_masks(folder: Path) -> tuple[str, str]:
    """The left and the right half, drawn into a folder."""
    for name, box in (("left.png", (0, 0, 31, 63)), ("right.png", (32, 0, 63, 63))):
        mask = Image.new("L", (64, 64))
        ImageDraw.Draw(mask).rectangle(box, fill=255)
        mask.convert("RGB").save(folder / name)
    return "left.png", "right.png"


def run(server: comfy_server.Server, folder: Path, own_references: list[str]) -> list[Row]:
    """One row for each reference, then one with pairs; the user's own references stand in place of
    the first ones.
    """
    names = references(folder)
    names[: len(own_references)] = own_references
    rows: list[Row] = []
    for number, name in enumerate(names):
        print(f"[demo] reference {number + 1} of {len(names)}", flush=True)
        nodes, preview_ids = row(name, SEED + number)
        entry = server.run(nodes, seconds=1800)
        rows.append(
            list(
                zip(
                    COLUMNS,
                    (shown_image(server, entry, node_id) for node_id in preview_ids),
                    strict=True,
                )
            )
        )
    print("[demo] two references in one picture, and masks", flush=True)
    nodes, preview_ids = pair(names[0], names[1], half_masks(folder), SEED)
    entry = server.run(nodes, seconds=1800)
    pair_pictures = [shown_image(server, entry, node_id) for node_id in preview_ids]
    pair_references = [(f"reference {n + 1}", rows[n][0][1]) for n in (0, 1)]
    return [*rows, pair_references + list(zip(PAIRS, pair_pictures, strict=True))]


def draw(rows: list[Row], path: Path, side: int = 128) -> None:
    """One sheet: the labels above the first row serve those below; the last row has its own."""
    font = ImageFont.load_default(13)
    width = GAP + max(map(len, rows)) * (side + GAP)
    labelled = {0, len(rows) - 1}
    height = GAP + len(rows) * (side + GAP) + len(labelled) * TEXT
    sheet = Image.new("RGB", (width, height), "white")
    pen, top = ImageDraw.Draw(sheet), GAP
    for number, panels in enumerate(rows):
        below = top + TEXT * (number in labelled)
        for column, (label, picture) in enumerate(panels):
            left = GAP + column * (side + GAP)
            if number in labelled:
                pen.text((left, top), label, fill="black", font=font)
            small = ImageOps.contain(picture, (side, side), Image.Resampling.LANCZOS)
            sheet.paste(small, (left, below))
        top = below + side + GAP
    sheet.save(path)
