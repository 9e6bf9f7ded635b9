"""Compare Image Prompts in the page, in both renderers."""

import io
from urllib.parse import urlencode

import pytest
from PIL import Image
from support.graphs import node
from support.page import Page

pytestmark = pytest.mark.http
LABEL = 22  # pixels above each image
SIZE = {"width": 64, "height": 96}
COMPARISON = {"weights": "0.65", "columns": "tasks", "tasks": "style", "adapters": ""} | SIZE
COMPARISON |= {"steps": 2, "cfg": 5.0, "denoise": 1.0, "sampler_name": "euler"}
COMPARISON |= {"scheduler": "normal", "prompt": "", "negative_prompt": ""}
IS_GRID_SHOWN = """() => app.graph._nodes.some(({ id, type }) =>
  type === 'CompareImagePrompts' && app.nodeOutputs[id]?.images?.length === 1)"""


@pytest.mark.parametrize("renderer", [False, True], ids=["classic", "Nodes 2.0"])
def test_a_page_loaded_anew_shows_the_grid_that_is_not_sampled_again(server, chromium, renderer):
    checkpoint = node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors")
    links = {"model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2], "image": ["2", 0]}
    compare = node("CompareImagePrompts", **links, **COMPARISON, seed=int(renderer))
    graph = {"1": checkpoint, "2": node("LoadImage", image="portrait.jpg"), "3": compare}
    for _ in range(2):  # the second run is cached as a whole
        page = Page(chromium, server, VueNodes_Enabled=renderer)
        page.run("prompt => app.loadApiJson(prompt, 'comparison')", graph)
        page.settle()
        assert not page.run(IS_GRID_SHOWN)
        assert page.queue()[0] == "execution_success"
        page.page.wait_for_function(IS_GRID_SHOWN)
        images = page.run("() => app.nodeOutputs[3].images")
        assert page.errors == page.refused == []
        page.page.close()
    grid = Image.open(io.BytesIO(server.read(f"/view?{urlencode(images[0])}")))
    assert grid.height == SIZE["height"] + LABEL
