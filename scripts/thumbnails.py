#!/usr/bin/env python3
"""Draw the pictures of the templates: references in front of what was generated from them, by the
demo's model, in a real ComfyUI.

    scripts/thumbnails.py              of all templates, to example_workflows
    scripts/thumbnails.py "11 Style"   these alone

Templates that the demo's model cannot serve show what they are about: a face and its crop, edges.
Run it with the Python of the host or of the tests.
"""

import argparse
import shutil
import tempfile
import urllib.parse
from collections.abc import Sequence
from io import BytesIO
from itertools import product
from pathlib import Path

import comfy_host
import comfy_server
import demo_templates
import picture_list
import sheet
from PIL import Image, ImageDraw, ImageFont, ImageOps, ImageSequence, ImageStat
from workflow import to_prompt

SIDE, FRAME, GAP, MARGIN = 400, 4, 8, 12
INSET, SMALL_INSET = 132, 80  # on one or two results, on more
PHOTOGRAPHS = comfy_host.PACK / "tests" / "data" / "faces"
COMPARED = "07 Compare weights and tasks"  # the labels of its grid are too small here
WITHOUT_MODEL = {*demo_templates.NOT_SERVED, "21 Check your files"}
SHOWN = {
    "08 Attention maps": "PreviewImage",
    "09 Tiles of a large reference": "PreviewImage",
    "16 Animation frames": "SaveAnimatedWEBP",
}
FACE_CROP = {"x": 0, "y": 0, "width": 0, "height": 0, "padding": 0.3, "size": 224}
FACE_CROP |= {"border": "black", "on_none": "whole image", "which": "largest"}
LABELS = {
    "17 ControlNet": "ControlNet",
    "19 SDXL": "SDXL",
    "24 FLUX": "FLUX.1",
    "25 SD 3.5 Large": "SD3.5 Large",
    "21 Check your files": "what is installed",
    "20 Many machines": "many machines",
    "05 Save embeds": "save",
    "26 InstantID": "InstantID",
    "27 Kolors": "Kolors",
    "06 Load embeds": "from a file",
}
REFERENCES = {  # of those that show no result
    "19 SDXL": "one_astronaut.jpg",
    "21 Check your files": "no_face_coffee.jpg",
    "24 FLUX": "one_admiral.jpg",
    "25 SD 3.5 Large": "no_face_cat.jpg",
    "27 Kolors": "drawn_sylvie.jpg",
}


def thumbnail(
    references: Sequence[Image.Image], results: Sequence[Image.Image], label: str = ""
) -> Image.Image:
    """Up to four results fill a square; up to two references lie on the corner that shows least, or
    fill the place of a fourth result.
    """
    if len(results) == 3:
        references, results = [], [*results, *references[:1]]
    side = INSET if len(results) < 3 else SMALL_INSET
    square = Image.new("RGB", (SIDE, SIDE), "white")
    across, down = min(len(results), 2), 1 if len(results) < 3 else 2
    width, height = SIDE // across, SIDE // down
    for number, result in enumerate(results[:4]):
        place = (number % across * width, number // across * height)
        square.paste(ImageOps.fit(result, (width, height), Image.Resampling.BICUBIC), place)
    insets = [
        ImageOps.expand(
            ImageOps.fit(reference, (side, side), Image.Resampling.BICUBIC), FRAME, "white"
        )
        for reference in references[:2]
    ]
    if insets:
        stride = side + 2 * FRAME + GAP
        size = (len(insets) * stride - GAP, side + 2 * FRAME)
        left, top = plainest_corner(square, size, has_label=bool(label))
        for number, inset in enumerate(insets):
            square.paste(inset, (left + number * stride, top))
    if label:
        draw_label(square, label)
    return square


def plainest_corner(square: Image.Image, size: tuple[int, int], has_label: bool) -> tuple[int, int]:
    """Where something of that size covers the least varied part of a picture."""
    width, height = size
    right, bottom = SIDE - MARGIN - width, SIDE - MARGIN - height
    corners = product((MARGIN, right), (MARGIN,) if has_label else (MARGIN, bottom))

    def variety(corner: tuple[int, int]) -> float:
        left, top = corner
        part = square.crop((left, top, left + width, top + height))
        return sum(ImageStat.Stat(part).var)

    return min(corners, key=variety)


def draw_label(square: Image.Image, label: str) -> None:
    pen, font = ImageDraw.Draw(square), ImageFont.load_default(34)
    width = pen.textlength(label, font=font)
    pen.rectangle((0, SIDE - 58, SIDE, SIDE), fill="#202020")
    pen.text(((SIDE - width) / 2, SIDE - 50), label, fill="white", font=font)


def from_demo(server: comfy_server.Server, name: str) -> Image.Image:
    """A template that runs with the demo's model."""
    graph = demo_templates.template(server, name)
    prompt = to_prompt(graph, server.get("/object_info"))
    outputs = run(server, prompt)
    loaded = [node["widgets_values"][0] for node in graph["nodes"] if node["type"] == "LoadImage"]
    references = [Image.open(server.work / "input" / file).convert("RGB") for file in loaded]
    kind = SHOWN.get(name, "SaveImage")
    results = [
        picture
        for key, pictures in outputs.items()
        if prompt[key]["class_type"] == kind
        for picture in pictures
    ]
    label = LABELS.get(name, "")
    return thumbnail(references, results, label) if results else thumbnail([], references, label)


def run(server: comfy_server.Server, prompt: dict) -> dict[str, list[Image.Image]]:
    """Node id -> the pictures it shows."""
    entry = server.run(prompt, seconds=3600)
    if entry["status"]["status_str"] != "success":
        raise SystemExit(f"ComfyUI stopped: {entry['status']['messages'][-1]}")
    return {
        key: [picture for file in output["images"] for picture in frames(server, file)]
        for key, output in entry["outputs"].items()
        if "images" in output
    }


def frames(server: comfy_server.Server, file: dict) -> list[Image.Image]:
    data = BytesIO(server.read(f"/view?{urllib.parse.urlencode(file)}"))
    return [frame.convert("RGB") for frame in ImageSequence.Iterator(Image.open(data))]


def compared(server: comfy_server.Server) -> Image.Image:
    """The whole reference, its style and its layout, and none of it."""
    nodes, preview_ids = sheet.row("reference-1.png", sheet.SEED)
    outputs = run(server, nodes)
    _, none, _, whole, style, layout = (outputs[key][-1] for key in preview_ids)
    reference = Image.open(server.work / "input" / "reference-1.png").convert("RGB")
    return thumbnail([reference], [none, whole, style, layout])


def face_crop(server: comfy_server.Server, name: str) -> Image.Image:
    """The face that Face Crop takes from a photograph of the tests."""
    graph = sheet.Graph(0)
    crop = graph.add("FaceCrop", image=graph.load(use_photograph(server, name)), **FACE_CROP)
    key, _ = graph.add("PreviewImage", images=crop)
    return run(server, graph.nodes)[key][0]


def edges(server: comfy_server.Server) -> Image.Image:
    """The control image of a ControlNet."""
    graph = sheet.Graph(0)
    image = graph.load(use_photograph(server, "one_astronaut.jpg"))
    canny = graph.add("Canny", image=image, low_threshold=0.2, high_threshold=0.4)
    key, _ = graph.add("PreviewImage", images=canny)
    return run(server, graph.nodes)[key][0]


def use_photograph(server: comfy_server.Server, name: str) -> str:
    shutil.copy(PHOTOGRAPHS / name, server.work / "input")
    return name


def photograph(name: str) -> Image.Image:
    return Image.open(PHOTOGRAPHS / name).convert("RGB")


def without_model(server: comfy_server.Server, name: str) -> Image.Image:
    """The thumbnail of a template that the demo's model cannot run."""
    label = LABELS.get(name, "")
    if name == "02 Two people":
        people = [face_crop(server, name) for name in ("one_senator.jpg", "one_portrait.jpg")]
        return thumbnail([], people, label)
    if name == "13 Face":
        crop = face_crop(server, "one_standing.jpg")
        return thumbnail([photograph("one_standing.jpg")], [crop], label)
    if name == "17 ControlNet":
        return thumbnail([photograph("one_senator.jpg")], [edges(server)], label)
    if name == "26 InstantID":
        return thumbnail([], [face_crop(server, "one_astronaut.jpg")], label)
    if name == "22 Compare faces":
        return thumbnail([], [photograph("one_senator.jpg"), photograph("one_portrait.jpg")])
    return thumbnail([], [photograph(REFERENCES[name])], label)


def draw(server: comfy_server.Server, name: str) -> None:
    path = demo_templates.TEMPLATES / f"{name}.jpg"
    shows_model = name not in WITHOUT_MODEL
    if name == COMPARED:
        picture = compared(server)
    elif shows_model:
        picture = from_demo(server, name)
    else:
        picture = without_model(server, name)
    picture.save(path, quality=88, optimize=True)
    picture_list.record(path, __file__, "demo" if shows_model else None)
    print(f"[thumbnails] {path.name}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="templates; all without any")
    names = parser.parse_args().names
    with (
        tempfile.TemporaryDirectory() as folder,
        demo_templates.running_server(Path(folder)) as server,
    ):
        demo_templates.save_embeds(server)
        for name in names or demo_templates.names():
            draw(server, name)


if __name__ == "__main__":
    main()
