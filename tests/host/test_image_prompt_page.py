"""Image Prompt in the host's own page: what it says of a run, and the full nodes in its place."""

import pytest
from playwright.sync_api import expect
from support.graphs import pictures

pytestmark = pytest.mark.http
MENU = """() => app.extensionManager && window.comfyAPI.app.app.extensions
  .filter(({ name }) => name === 'ipadapternodes.ImagePrompt')
  .flatMap((extension) => extension.getNodeMenuItems(n2))
  .forEach(({ callback }) => callback())"""
PROMPT = "async () => (await app.graphToPrompt()).output"
KINDS = "() => app.graph._nodes.map(({ type }) => type).sort().join()"

IS_APART = """() => {
  const of = (kind) => app.graph._nodes.find(({ type }) => type === kind)
  const isLeft = (a, b) => of(a).pos[0] + of(a).size[0] < of(b).pos[0]
  return isLeft('LoadIPAdapter', 'ApplyIPAdapter') && isLeft('LoadCLIPVision', 'ApplyIPAdapter')
    && isLeft('ApplyIPAdapter', 'CLIPTextEncode')
}"""


@pytest.fixture
def drawn(page):
    """A checkpoint, a portrait, Image Prompt and the host's nodes up to a picture."""
    kinds = ["CheckpointLoaderSimple", "LoadImage", "ImagePrompt", "CLIPTextEncode"]
    page.add(*kinds, "EmptyLatentImage", "KSampler", "VAEDecode", "PreviewImage")
    values = [
        (0, "ckpt_name", "sd15.safetensors"),
        (1, "image", "portrait.jpg"),
        (2, "strength", "strong"),
        (4, "width", 64),
        (4, "height", 64),
        (5, "steps", 1),
        (5, "control_after_generate", "fixed"),
    ]
    for number, name, value in values:
        page.run(
            f"(value) => n{number}.widgets.find(w => w.name === '{name}').value = value", value
        )
    for link in [(0, 0, 2, "model"), (1, 0, 2, "image"), (0, 1, 3, "clip"), (2, 0, 5, "model")]:
        page.connect(*link)
    for link in [(3, 0, 5, "positive"), (3, 0, 5, "negative"), (4, 0, 5, "latent_image")]:
        page.connect(*link)
    for link in [(5, 0, 6, "samples"), (0, 2, 6, "vae"), (6, 0, 7, "images")]:
        page.connect(*link)
    return page


@pytest.mark.parametrize("opened", ["vue"], indirect=True)  # whose measures were a step to undo
def test_the_full_nodes_take_its_place_with_the_same_result(server, drawn):
    drawn.run("() => n2.setSize([310, n2.size[1]])")  # as wide as in templates
    drawn.run(MENU)
    assert drawn.run("() => app.graph._nodes.filter(n => n.type === 'ImagePrompt').length") == 1
    prompt = drawn.run(PROMPT)
    assert drawn.queue() == ["execution_success", None]
    drawn.settle()
    note = drawn.run(
        """() => n2.widgets.find(({ name }) => name === 'ipadapter_note')
          .element.lastChild.textContent"""
    )
    assert "b.bin: SD1.5 plus" in note and "weight 1, active from 0 to 1" in note
    hidden = drawn.run(
        """() => {
          const { element } = n2.widgets.find(({ name }) => name === 'ipadapter_note')
          return element.scrollHeight - element.clientHeight
        }"""
    )
    assert hidden <= 0
    drawn.record()
    old = drawn.run(KINDS)
    drawn.run(MENU)
    drawn.settle()
    drawn.settle()  # the page measures the new nodes
    replaced, new = drawn.run(PROMPT), drawn.run(KINDS)
    assert drawn.run(IS_APART)
    kinds = sorted(node["class_type"] for node in replaced.values())
    assert kinds == sorted(
        {node["class_type"] for node in prompt.values()} - {"ImagePrompt"}
        | {"LoadIPAdapter", "LoadCLIPVision", "ApplyIPAdapter"}
    )
    (before,), (after,) = (
        pictures(server, server.run(graph), key)
        for graph in (prompt, replaced)
        for key in [next(k for k, node in graph.items() if node["class_type"] == "PreviewImage")]
    )
    assert (before == after).all()
    for keys, kinds in (("Control+z", old), ("Control+y", new)):
        drawn.press(keys)
        drawn.page.wait_for_function(f"(kinds) => ({KINDS})() === kinds", arg=kinds)


@pytest.mark.parametrize("opened", ["vue"], indirect=True)  # the classic renderer shows them all
def test_inputs_that_few_graphs_need_are_behind_a_button(page):
    page.add("ApplyIPAdapter")
    expect(page.page.get_by_text("start_at")).to_have_count(1)
    advanced = [page.page.get_by_text(name) for name in ("frame_weights", "lora_strength")]
    for text in advanced:
        expect(text).to_have_count(0)
    page.page.get_by_text("Show advanced inputs").click()
    for text in advanced:
        expect(text).to_have_count(1)
