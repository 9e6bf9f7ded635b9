#!/usr/bin/env python3
"""Take the pictures of the help pages and of the templates out of the host's own page, in a headless Chromium.

    scripts/shots.py                    every node, to web/docs, and every template, to example_workflows
    scripts/shots.py --models DIR       templates run first, with the models in DIR (as in ComfyUI); where a file is
                                           missing, with the small random ones of the tests, and then without the result
    scripts/shots.py 11_style FaceCrop  these alone

Run it with the Python of the tests: it needs playwright.
"""

import argparse
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import browser
import comfy_host
from PIL import Image

PACK = comfy_host.PACK
sys.path.append(str(PACK / "tests" / "host"))

DOCS, TEMPLATES = PACK / "web" / "docs", PACK / "example_workflows"
SIDE = 400  # of a template's picture
LOADERS = {"LoadIPAdapter", "LoadCLIPVision"}
ALONE = """([kind, values]) => {
  app.graph.clear()
  const node = LiteGraph.createNode(kind)
  node.pos = [40, 60]
  app.graph.add(node)
  for (const [name, value] of Object.entries(values)) {
    const widget = node.widgets.find((one) => one.name === name)
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
REPLACE = """(stand_ins) => {
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
  const set = (kind, name, value) => app.graph._nodes.filter((node) => node.type === kind).forEach((node) => {
    node.widgets.find((one) => one.name === name).value = value
  })
  set('EmptyLatentImage', 'width', 128)
  set('EmptyLatentImage', 'height', 128)
  set('ImageScaleToTotalPixels', 'megapixels', 0.02)
  set('KSampler', 'steps', 1)
  return true
}"""
VIEW = """([left, top, scale]) => {
  app.extensionManager.focusMode = true
  app.canvas.ds.scale = scale
  app.canvas.ds.offset = [-left, -top]
  app.canvas.deselectAll?.()
  app.canvas.setDirty(true, true)
}"""
BOUNDS = """(kinds) => {
  const chosen = app.graph._nodes.filter((node) => kinds.includes(node.type))
  const nodes = chosen.length ? chosen : app.graph._nodes
  const boxes = nodes.map((node) => [...node.getBounding()])
  const [left, top] = [0, 1].map((axis) => Math.min(...boxes.map((box) => box[axis])))
  const [right, bottom] = [0, 1].map((axis) => Math.max(...boxes.map((box) => box[axis] + box[axis + 2])))
  return [left, top, right - left, bottom - top]
}"""
SHOWN = {  # what a node alone is set to
    "LoadIPAdapter": {"ipadapter_file": "ip-adapter-plus_sd15.safetensors"},
    "LoadIPAdapterEmbeds": {"file": "embeds/reference_00001_.safetensors [output]"},
    "IPAdapterWeightMap": {
        "take": "style and layout",
        "layers": "1, 1, 0.8, 0.6, 0.4, 0.3, 0.5, 0.8, 1, 1.2, 1.4, 1.3, 1.1, 1, 0.9, 0.8",
        "curve": "0:1, 0.4:1.4 ease, 0.8:0.3 ease, 1:0.3",
    },
}


def nodes_of(page) -> list[str]:
    return page.run(
        """() => Object.values(LiteGraph.registered_node_types).map((one) => one.nodeData).filter(
          (one) => one?.python_module === 'custom_nodes.ip-adapter-nodes' && !one.deprecated).map((one) => one.name)"""
    )


def take(page, bounds: list[float], margin: int = 24) -> Image.Image:
    """What stands at these places of the graph, at its own size or smaller."""
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


def take_node(page, kind: str) -> None:
    page.run(ALONE, [kind, SHOWN.get(kind, {})])
    page.settle()
    picture = take(page, page.run(BOUNDS, [kind]))
    picture.quantize(64, dither=Image.Dither.NONE).save(DOCS / f"{kind}.png", optimize=True)


def take_template(page, path: Path, ours: list[str], run: bool) -> None:
    page.run(
        "graph => app.loadGraphData(graph, true, true, null, {})",
        json.loads(path.read_text("utf-8")),
    )
    page.settle()
    results = []
    if run:
        results = [] if page.run(REPLACE, STAND_INS) else ["SaveImage", "SaveAnimatedWEBP"]
        print(f"[pictures] {path.stem}: {page.queue()}", flush=True)
        page.page.wait_for_timeout(1000)  # for the pictures on the nodes
    kinds = [kind for kind in ours if kind not in LOADERS] + results
    picture = take(page, page.run(BOUNDS, kinds))
    side = max(picture.size)
    square = Image.new("RGB", (side, side), picture.getpixel((1, 1)))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    square.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(
        path.with_suffix(".jpg"), quality=85, optimize=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, metavar="DIR")
    parser.add_argument("names", nargs="*", help="node ids and templates; all without any")
    arguments = parser.parse_args()
    from page import Page, launch
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "input").mkdir()
        host = comfy_host.prepare()
        shutil.copy(host.tree / "input" / "example.png", work / "input")
        flags = ()
        if arguments.models:
            config = work / "models.yaml"  # JSON is YAML
            kinds = ("checkpoints", "clip_vision", "ipadapter", "vae", "loras", "controlnet")
            config.write_text(
                json.dumps(
                    {"own": {"base_path": str(arguments.models.resolve()), **{k: k for k in kinds}}}
                )
            )
            flags = ("--extra-model-paths-config", str(config))
        with comfy_host.Server(host, work, *flags) as server, sync_playwright() as playwright:
            chromium = launch(playwright)
            page = Page(
                chromium,
                server,
                VueNodes_Enabled=False,
                Minimap_Visible=False,
                Graph_CanvasInfo=False,
            )
            page.page.set_viewport_size({"width": 1700, "height": 1700})
            ours = nodes_of(page)
            for kind in ours:
                if not arguments.names or kind in arguments.names:
                    take_node(page, kind)
            for path in sorted(TEMPLATES.glob("*.json")):
                if not arguments.names or path.stem in arguments.names:
                    take_template(page, path, ours, bool(arguments.models))
            chromium.close()
    print(f"[pictures] made with Chromium at {browser.find()[0]}")


if __name__ == "__main__":
    main()
