#!/usr/bin/env python3
"""Take the pictures of help pages and templates in the host's own page, in a headless Chromium.

    scripts/shots.py                    every node, to web/docs, every template, to
                                        example_workflows
    scripts/shots.py --models DIR       templates run first, with the models in DIR (as in ComfyUI);
                                        where a file is missing, with the small random ones of the
                                        tests, and then without the result
    scripts/shots.py --demo             the templates in which the demo's trained model gives a
                                        sensible result, run with it and its drawn references
    scripts/shots.py 11_style FaceCrop  these alone

Run it with the Python of the tests: it needs playwright.
"""

import argparse
import io
import json
import shutil
import sys
import tempfile
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import browser
import comfy_host
import comfy_server
import served_models
from PIL import Image, ImageDraw, ImageSequence

if TYPE_CHECKING:
    from support.page import Page

PACK = comfy_host.PACK
sys.path.append(str(PACK / "tests"))

DOCS, TEMPLATES = PACK / "web" / "docs", PACK / "example_workflows"
SIDE = 400  # of a template's picture
LOADERS = {"LoadIPAdapter", "LoadCLIPVision"}
ALONE = """([kind, values]) => {
  app.graph.clear()
  const node = LiteGraph.createNode(kind)
  node.pos = [40, 60]
  app.graph.add(node)
  for (const [name, value] of Object.entries(values)) {
    const widget = node.widgets.find((candidate) => candidate.name === name)
    widget.value = value
    widget.callback?.(value)
  }
  const [width, height] = node.computeSize()
  node.setSize([Math.max(330, width), height])
}"""
STAND_INS = {  # of the files that templates name: the tests' small models
    "v1-5-pruned-emaonly-fp16.safetensors": "sd15.safetensors",
    "sd_xl_base_1.0.safetensors": "sdxl.safetensors",
    "ip-adapter-plus_sd15.safetensors": "sub folder/b.bin",
    "ip-adapter-plus-face_sd15.safetensors": "sub folder/b.bin",
    "ip-adapter-plus_sdxl_vit-h.safetensors": "e.safetensors",
}
TINY = [
    ["EmptyLatentImage", "width", 128],
    ["EmptyLatentImage", "height", 128],
    ["ImageScaleToTotalPixels", "megapixels", 0.02],
    ["KSampler", "steps", 1],
]
# The demo's model knows pictures of 64 x 64 with one thing on a ground, and has other blocks than
# SD1.5: templates with faces, text, layers or larger pictures make no sense with it.
DEMO = (
    "01_image_prompt",
    "10_sequence_of_references",
    "14_several_references",
    "15_negative_reference",
    "16_animation_frames",
    "23_full_nodes",
)
DEMO_STAND_INS = {
    "v1-5-pruned-emaonly-fp16.safetensors": "demo-sd15.safetensors",
    "ip-adapter-plus_sd15.safetensors": "demo-base-sd15.safetensors",
}
DEMO_SETTINGS = [
    ["EmptyLatentImage", "width", 64],
    ["EmptyLatentImage", "height", 64],
    ["KSampler", "steps", 10],
    ["KSampler", "cfg", 2.5],
]
REPLACE = """([stand_ins, settings, references]) => {
  let replaced = false
  for (const node of app.graph._nodes) {
    for (const widget of node.widgets ?? []) {
      const options = widget.options?.values
      if (!Array.isArray(options) || options.includes(widget.value)) continue
      if (options.includes(stand_ins[widget.value])) widget.value = stand_ins[widget.value]
      replaced = true
    }
    if (node.type === 'ControlNetApplyAdvanced' && replaced) node.mode = 4
  }
  if (!replaced) return false
  for (const [kind, name, value] of settings) {
    for (const node of app.graph._nodes.filter(({ type }) => type === kind)) {
      node.widgets.find((candidate) => candidate.name === name).value = value
    }
  }
  const loaders = app.graph._nodes.filter(({ type }) => type === 'LoadImage')
  loaders.slice(0, references.length).forEach((node, number) => {
    const widget = node.widgets.find(({ name }) => name === 'image')
    widget.value = references[number]
    widget.callback?.(widget.value)
  })
  return true
}"""
RESULTS = """() => app.graph._nodes.filter(({ type }) => type.startsWith('Save')).flatMap(
  ({ id }) => app.nodeOutputs[id]?.images ?? [])"""
REFERENCES = """() => app.graph._nodes.filter(({ type }) => type === 'LoadImage').map(
  ({ widgets }) => widgets.find(({ name }) => name === 'image').value)"""
VIEW = """([left, top, scale]) => {
  app.extensionManager.focusMode = true
  app.canvas.ds.scale = scale
  app.canvas.ds.offset = [-left, -top]
  app.canvas.deselectAll?.()
  app.canvas.setDirty(true, true)
}"""
BOUNDS = """(kinds) => {
  const nodesOfKinds = app.graph._nodes.filter((node) => kinds.includes(node.type))
  const nodes = nodesOfKinds.length ? nodesOfKinds : app.graph._nodes
  const boxes = nodes.map((node) => [...node.getBounding()])
  const [left, top] = [0, 1].map((axis) => Math.min(...boxes.map((box) => box[axis])))
  const [right, bottom] = [0, 1].map((axis) =>
    Math.max(...boxes.map((box) => box[axis] + box[axis + 2])))
  return [left, top, right - left, bottom - top]
}"""
SETTINGS = {  # of a node that is alone
    "LoadIPAdapter": {"ipadapter_file": "ip-adapter-plus_sd15.safetensors"},
    "LoadIPAdapterEmbeds": {"file": "embeds/reference_00001_.safetensors [output]"},
    "IPAdapterWeightMap": {
        "take": "style and layout",
        "layers": "1, 1, 0.8, 0.6, 0.4, 0.3, 0.5, 0.8, 1, 1.2, 1.4, 1.3, 1.1, 1, 0.9, 0.8",
        "curve": "0:1, 0.4:1.4 ease, 0.8:0.3 ease, 1:0.3",
    },
}


def our_nodes(page: "Page") -> list[str]:
    return page.run(
        """() => Object.values(LiteGraph.registered_node_types).map(({ nodeData }) => nodeData)
          .filter((data) => data?.python_module === 'custom_nodes.ip-adapter-nodes')
          .filter((data) => !data.deprecated).map(({ name }) => name)"""
    )


def take(page: "Page", bounds: list[float], margin: int = 24) -> Image.Image:
    """A part of the graph, at its own size or smaller."""
    left, top, width, height = bounds
    scale = min(1.0, 1500 / width, 1500 / height)
    page.run(VIEW, [left - margin / scale - 20, top - margin / scale - 20, scale])
    page.settle()
    page.page.wait_for_timeout(700)  # widgets of the page follow the canvas
    origin = page.run(
        "() => { const b = app.canvas.canvas.getBoundingClientRect(); return [b.x, b.y] }"
    )
    clip = {
        "x": origin[0] + 20 * scale,
        "y": origin[1] + 20 * scale,
        "width": width * scale + 2 * margin,
        "height": height * scale + 2 * margin,
    }
    return Image.open(io.BytesIO(page.page.screenshot(clip=clip))).convert("RGB")


def take_node(page: "Page", kind: str) -> None:
    page.run(ALONE, [kind, SETTINGS.get(kind, {})])
    page.settle()
    picture = take(page, page.run(BOUNDS, [kind]))
    picture.quantize(64, dither=Image.Dither.NONE).save(DOCS / f"{kind}.png", optimize=True)


def take_template(page: "Page", path: Path, ours: list[str], run: str, work: Path) -> None:
    """run: "" to show the graph alone, else "models" or "demo", with references in the input
    folder.
    """
    page.run(
        "graph => app.loadGraphData(graph, true, true, null, {})",
        json.loads(path.read_text("utf-8")),
    )
    page.settle()
    results, strip = [], None
    if run:
        plan = [DEMO_STAND_INS, DEMO_SETTINGS] if run == "demo" else [STAND_INS, TINY]
        references = sorted(file.name for file in (work / "input").glob("reference-*.png"))
        replaced = page.run(REPLACE, [*plan, references])
        results = [] if replaced else ["SaveImage", "SaveAnimatedWEBP"]
        print(f"[pictures] {path.stem}: {page.queue()}", flush=True)
        page.page.wait_for_timeout(1000)  # for the pictures on the nodes
        strip = demo_strip(page, work) if run == "demo" else None
    kinds = [kind for kind in ours if kind not in LOADERS] + results
    square = squared(take(page, page.run(BOUNDS, kinds)), strip)
    square.save(path.with_suffix(".jpg"), quality=85, optimize=True)


def squared(picture: Image.Image, strip: Image.Image | None) -> Image.Image:
    """In the middle of a square, or above a strip."""
    square = Image.new("RGB", (SIDE, SIDE), picture.getpixel((1, 1)))
    height = SIDE - (strip.height if strip else 0)
    scale = min(SIDE / picture.width, height / picture.height)
    size = round(picture.width * scale), round(picture.height * scale)
    small = picture.resize(size, Image.Resampling.LANCZOS)
    square.paste(small, ((SIDE - size[0]) // 2, (height - size[1]) // 2))
    if strip:
        square.paste(strip, (0, height))
    return square


def results_of(page: "Page") -> list[Image.Image]:
    """The pictures that the graph saved; of animations each frame."""
    pictures = []
    for file in page.run(RESULTS):
        reply = page.page.request.get(f"{page.base}/view?{urllib.parse.urlencode(file)}")
        frames = ImageSequence.Iterator(Image.open(io.BytesIO(reply.body())))
        pictures += [frame.convert("RGB") for frame in frames]
    return pictures


def demo_strip(page: "Page", work: Path) -> Image.Image:
    """The references of the graph, an arrow, and its results: pictures of 64 pixels, enlarged."""
    references = [Image.open(work / "input" / name) for name in page.run(REFERENCES)]
    pictures = [*references[:2], None, *results_of(page)[:4]]
    side = min(120, (SIDE - 40) // len(pictures))
    strip = Image.new("RGB", (SIDE, side + 16), "#202020")
    left = (SIDE - len(pictures) * (side + 4)) // 2
    for picture in pictures:
        if picture is None:
            tip, middle = left + side // 2 + 14, 8 + side // 2
            pen = ImageDraw.Draw(strip)
            pen.polygon(
                [(tip - 28, middle - 14), (tip, middle), (tip - 28, middle + 14)], "#f0a030"
            )
        else:
            strip.paste(
                picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (left, 8)
            )
        left += side + 4
    return strip


def shoot(page: "Page", names: list[str], run: str, work: Path) -> None:
    """Every node and template, or those named; with the demo's models its own templates alone."""
    ours = our_nodes(page)
    for kind in ours:
        if kind in names or not (names or run == "demo"):
            take_node(page, kind)
    for path in sorted(TEMPLATES.glob("*.json")):
        if path.stem in (names or (DEMO if run == "demo" else path.stem)):
            take_template(page, path, ours, run, work)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, metavar="DIR")
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("names", nargs="*", help="node ids and templates; all without any")
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright
    from support.page import Page, launch

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "input").mkdir()
        host = comfy_host.prepare()
        shutil.copy(host.tree / "input" / "example.png", work / "input")
        flags, run = (), "models" if arguments.models else ""
        if arguments.demo:
            import sheet

            run, arguments.models = "demo", served_models.demo_models(host)
            sheet.references(work / "input")
        if arguments.models:
            flags = served_models.flags(arguments.models, work)
        with comfy_server.Server(host, work, *flags) as server, sync_playwright() as playwright:
            chromium = launch(playwright)
            page = Page(
                chromium,
                server,
                VueNodes_Enabled=False,
                Minimap_Visible=False,
                Graph_CanvasInfo=False,
            )
            page.page.set_viewport_size({"width": 1700, "height": 1700})
            shoot(page, arguments.names, run, work)
            chromium.close()
    print(f"[pictures] taken with Chromium at {browser.find()[0]}")


if __name__ == "__main__":
    main()
