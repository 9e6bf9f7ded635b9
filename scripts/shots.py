#!/usr/bin/env python3
"""Take the pictures of the help pages in the host's own page, in a headless Chromium.

    scripts/shots.py                every node, and a graph with its result
    scripts/shots.py FaceCrop       these nodes alone
    scripts/shots.py --graph        the graph alone

The graph runs with the demo's model. Run it with the Python of the tests: it needs playwright.
"""

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING

import browser
import comfy_host
import comfy_server
import demo_page
import demo_templates
import picture_list
from PIL import Image

if TYPE_CHECKING:
    from support.page import Page

PACK = comfy_host.PACK
DOCS = PACK / "web" / "docs"
GRAPH, TEMPLATE = DOCS / "apply.png", "23 Image prompt as full nodes"
ALONE = """([kind, values]) => {
  app.graph.clear()
  const node = LiteGraph.createNode(kind)
  node.pos = [40, 60]
  app.graph.add(node)
  for (const [name, value] of Object.entries(values)) {
    const widget = node.widgets.find((candidate) => candidate.name === name)
    const options = widget.options?.values
    if (Array.isArray(options)) widget.options.values = [...options, value] // listed, not missing
    widget.value = value
    widget.callback?.(value)
  }
  const [width, height] = node.computeSize()
  node.setSize([Math.max(330, width), height])
}"""
VIEW = """([left, top, scale]) => {
  app.extensionManager.focusMode = true
  app.canvas.ds.scale = scale
  app.canvas.ds.offset = [-left, -top]
  app.canvas.deselectAll?.()
  app.canvas.setDirty(true, true)
}"""
BOUNDS = """() => {
  const boxes = app.graph._nodes.map((node) => [...node.getBounding()])
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


def take(page: "Page", margin: int = 24) -> Image.Image:
    """The whole graph, at its own size or smaller."""
    left, top, width, height = page.run(BOUNDS)
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


def save(picture: Image.Image, path: Path, model: str | None, colours: int = 64) -> None:
    picture.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
    picture_list.record(path, __file__, model)
    print(f"[pictures] {path.relative_to(PACK)}", flush=True)


def take_node(page: "Page", kind: str) -> None:
    page.run(ALONE, [kind, SETTINGS.get(kind, {})])
    page.settle()
    save(take(page), DOCS / f"{kind}.png", None)


def take_graph(page: "Page", server: comfy_server.Server) -> None:
    """A template after a run."""
    graph = demo_templates.template(server, TEMPLATE)
    page.run("graph => app.loadGraphData(graph, true, true, null, {})", graph)
    page.settle()
    print(f"[pictures] {TEMPLATE}: {page.queue()}", flush=True)
    page.page.wait_for_timeout(1500)  # for the pictures on the nodes
    save(take(page), GRAPH, "demo", colours=128)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graph", action="store_true")
    parser.add_argument("nodes", nargs="*", help="node ids; all without any")
    arguments = parser.parse_args()
    with demo_page.open_page(1700, 1700) as (page, server):
        if arguments.graph or not arguments.nodes:
            take_graph(page, server)
        for kind in [] if arguments.graph else arguments.nodes or our_nodes(page):
            take_node(page, kind)
    print(f"[pictures] taken with Chromium at {browser.find()[0]}")


if __name__ == "__main__":
    main()
