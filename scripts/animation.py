#!/usr/bin/env python3
"""Record the animation of the README in the host's own page, in Nodes 2.0: a reference image is
dropped, then another task and another strength are chosen from Image Prompt's menus, and each time
the demo's model generates the result.

    scripts/animation.py        -> web/docs/first_minute.webp

Run it with the Python of the tests: it needs playwright.
"""

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import comfy_host
import comfy_server
import demo_page
import demo_templates
import picture_list
from PIL import Image

if TYPE_CHECKING:
    from support.page import Page

TARGET, WIDTH = comfy_host.PACK / "web" / "docs" / "first_minute.webp", 1000
VIEWPORT = 1400, 760
RESULT, MENU = 2000, 900  # ms that a result and an open menu stay
# The nodes of interest side by side; the others stay where nobody looks.
PLACES = {"LoadImage": [30, 50], "ImagePrompt": [460, 50], "SaveImage": [890, 50]}
SIZES = {"LoadImage": [390, 620], "ImagePrompt": [390, 620], "SaveImage": [480, 620]}
TITLES = {"LoadImage": "Reference image", "SaveImage": "Generated image"}
OUT_OF_SIGHT, ASIDE = 3000, (440, 740)
# As a file from the desktop: the page asks the node under the pointer.
DROP = """async ([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))
  const file = new File([bytes], name, { type: 'image/png' })
  const node = app.graph._nodes.find(({ type }) => type === 'LoadImage')
  const transfer = new DataTransfer()
  transfer.items.add(file)
  await node.onDragDrop(new DragEvent('drop', { dataTransfer: transfer }))
}"""
VIEW = """() => {
  app.extensionManager.focusMode = true
  app.canvas.ds.scale = 1
  app.canvas.ds.offset = [0, 0]
  app.canvas.setDirty(true, true)
}"""


@dataclass
class Film:
    """Frames and how long each stays."""

    page: "Page"
    frames: list[Image.Image] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)

    def shoot(self, duration: int) -> None:
        self.page.settle()
        self.page.page.wait_for_timeout(900)  # pictures on nodes load
        frame = Image.open(io.BytesIO(self.page.page.screenshot())).convert("RGB")
        height = round(frame.height * WIDTH / frame.width)
        self.frames.append(frame.resize((WIDTH, height), Image.Resampling.LANCZOS))
        self.durations.append(duration)

    def run(self) -> None:
        print(f"[animation] {self.page.queue()}", flush=True)
        self.shoot(RESULT)

    def drop(self, picture: Path) -> None:
        self.page.run(DROP, [picture.name, base64.b64encode(picture.read_bytes()).decode()])
        self.shoot(MENU)
        self.run()

    def choose(self, current: str, option: str) -> None:
        """Another option of the menu that shows this one, by mouse."""
        self.page.page.get_by_role("combobox").filter(has_text=current).first.click()
        entry = self.page.page.get_by_role("option", name=option, exact=True)
        entry.hover()
        self.shoot(MENU)
        entry.click()
        self.page.page.mouse.move(*ASIDE)  # tooltips close
        self.run()

    def save(self, path: Path) -> None:
        first, *others = self.frames
        first.save(
            path, save_all=True, append_images=others, duration=self.durations, loop=0, quality=80
        )


def side_by_side(server: comfy_server.Server) -> dict:
    """The first template with the nodes of interest alone in sight."""
    graph = demo_templates.template(server, demo_templates.FIRST)
    for number, node in enumerate(graph["nodes"]):
        node["pos"] = PLACES.get(node["type"], [OUT_OF_SIGHT + 400 * number, OUT_OF_SIGHT])
        node["size"] = SIZES.get(node["type"], node["size"])
        if node["type"] in TITLES:
            node["title"] = TITLES[node["type"]]
    return graph


def record(page: "Page", server: comfy_server.Server) -> Film:
    film = Film(page)
    page.run("graph => app.loadGraphData(graph, true, true, null, {})", side_by_side(server))
    page.run(VIEW)
    film.shoot(MENU)
    film.run()
    film.drop(server.work / "input" / "reference-3.png")
    film.choose("whole image", "style")
    film.choose("style", "composition")
    film.choose("composition", "whole image")
    film.drop(server.work / "input" / "reference-5.png")
    film.choose("balanced", "subtle")
    return film


def main() -> None:
    with demo_page.open_page(*VIEWPORT, vue_nodes=True) as (page, server):
        record(page, server).save(TARGET)
    picture_list.record(TARGET, __file__, "demo")
    print(f"[animation] {TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
