"""The host's page with the demo's models, in a headless Chromium, to take pictures in."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import comfy_host
import comfy_server
import demo_templates

sys.path.append(str(comfy_host.PACK / "tests"))

if TYPE_CHECKING:
    from support.page import Page


@contextmanager
def open_page(
    width: int, height: int, vue_nodes: bool = False
) -> Iterator[tuple["Page", comfy_server.Server]]:
    """One of the renderers, without map and figures, so many pixels large."""
    from playwright.sync_api import sync_playwright
    from support.page import Page, launch

    with (
        tempfile.TemporaryDirectory() as folder,
        demo_templates.running_server(Path(folder)) as server,
        sync_playwright() as playwright,
    ):
        chromium = launch(playwright)
        settings = {"VueNodes_Enabled": vue_nodes, "Minimap_Visible": False}
        page = Page(chromium, server, Graph_CanvasInfo=False, **settings)
        page.page.set_viewport_size({"width": width, "height": height})
        yield page, server
        chromium.close()
