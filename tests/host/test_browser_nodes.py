"""Our nodes in the host's own page, in both renderers: the editor of boxes, the properties panel,
and pictures dropped on a node.
"""

import base64
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.http

PORTRAIT = Path(__file__).parent.parent / "data" / "portrait.jpg"
PANEL = "(isOpen) => app.extensionManager.setting.set('Comfy.RightSidePanel.IsOpen', isOpen)"
PICTURES = """
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
  const data = new DataTransfer()
  for (const name of ['zz-first.jpg', 'zz-second.jpg']) {
    data.items.add(new File([bytes], name, { type: 'image/jpeg' }))
  }
"""
DROP = f"""(text) => {{ {PICTURES}
  const canvas = document.querySelector('#graph-canvas')
  const [x, y] = app.canvasPosToClientPos([n0.pos[0] + 40, n0.pos[1] + 40])
  for (const kind of ['dragenter', 'dragover', 'drop']) {{
    const at = {{ clientX: x, clientY: y, bubbles: true, cancelable: true }}
    canvas.dispatchEvent(new DragEvent(kind, {{ dataTransfer: data, ...at }}))
  }}
}}"""
PASTE = f"""(text) => {{ {PICTURES}
  app.canvas.selectItems([n0])
  const event = new ClipboardEvent('paste', {{ clipboardData: data, bubbles: true }})
  document.body.dispatchEvent(event)
}}"""


def test_a_graph_with_a_box_shows_it_and_does_not_grow_each_time_it_is_opened(page):
    page.add("ApplyIPAdapter", "FaceCrop")
    page.run("() => { n0.widgets.find(w => w.name === 'box').value = '1, 2, 3, 4' }")
    page.page.get_by_role("button", name="Shows the image").first.click()
    sizes = []
    for _ in range(3):
        graph = page.run("() => app.graph.serialize()")
        page.run("graph => app.loadGraphData(graph, true, true, null, {})", graph)
        page.page.locator(".ipadapter-box.open").wait_for()
        page.settle()
        sizes.append(page.run("() => app.graph._nodes.map(node => [...node.size])"))
    assert sizes[0] == sizes[1] == sizes[2]
    expect(page.page.locator(".ipadapter-box.open")).to_have_count(1)


@pytest.mark.parametrize("opened", ["classic"], indirect=True)  # Vue nodes size themselves
def test_a_node_with_a_box_is_as_large_when_it_is_copied_or_opened_again(page):
    page.add("ApplyIPAdapter")
    page.run("() => { n0.widgets.find(w => w.name === 'box').value = '1, 2, 3, 4' }")
    page.settle()
    page.run("() => { app.canvas.selectItems([n0]); app.canvas.copyToClipboard() }")
    page.run("() => app.canvas.pasteFromClipboard()")
    page.settle()
    sizes = "() => app.graph._nodes.map((node) => Math.round(node.size[1]))"
    original, copy = page.run(sizes)
    page.run("() => app.loadGraphData(app.graph.serialize())")
    page.settle()
    assert (copy, page.run(sizes)) == (original, [original, original])
    expect(page.page.locator(".ipadapter-box.open")).to_have_count(0)


@pytest.mark.parametrize(
    ("node", "names"), [("FaceCrop", ["x", "y", "width", "height"]), ("ApplyIPAdapter", ["box"])]
)
def test_a_box_is_drawn_in_the_connected_picture(page, node, names):
    def typed():
        values = page.values(*names, number=1)
        return values if len(values) == 4 else [int(part) for part in values[0].split(",")]

    page.add("LoadImage", node)
    page.run("() => { n0.widgets.find(w => w.name === 'image').value = 'portrait.jpg' }")
    page.connect(0, 0, 1, "image")
    page.page.get_by_role("button", name="Shows the image").click()
    picture = page.page.locator(".ipadapter-box img")
    page.page.wait_for_function("() => document.querySelector('.ipadapter-box img').naturalWidth")
    page.drag(picture, (0.5, 0.25), (0.6, 0.75))
    x, y, width, height = typed()  # of a portrait of 256 x 320
    assert abs(y - 80) <= 2 and abs(height - 160) <= 3
    assert 100 <= x <= 140 and x + width <= 256
    page.press("ArrowRight", "Shift+ArrowDown")
    assert typed() == [x + 1, y + 10, width, height]
    before = page.value(names[-1], number=1)
    page.wait_for_value(names[-1], before, number=1)
    page.press("Tab", "Shift+ArrowUp")
    assert typed() == [x + 1, y, width, height + 10]
    after = page.value(names[-1], number=1)
    page.page.get_by_role("button", name="Removes the box").click()
    empty = page.value(names[-1], number=1)
    assert page.values(*names, number=1) in ([0, 0, 0, 0], [""])
    for key, value in zip("zzyy", (after, before, after, empty), strict=True):
        page.press(f"Control+{key}")
        page.wait_for_value(names[-1], value, number=1)


def test_a_node_keeps_its_size_whatever_the_editor_of_boxes_says(page):
    """A node that changed its size after an undo would be a new step, which drops what can be
    redone.
    """
    page.add("LoadImage", "FaceCrop")
    page.run("() => { n0.widgets.find(w => w.name === 'image').value = 'portrait.jpg' }")
    page.connect(0, 0, 1, "image")
    page.page.get_by_role("button", name="Shows the image").click()
    picture, status = (page.page.locator(f".ipadapter-box {part}") for part in ("img", ".status"))
    page.page.wait_for_function("() => document.querySelector('.ipadapter-box img').naturalWidth")
    heights = []
    for words in ("Drag in the image", "Arrow keys move the box"):
        expect(status).to_contain_text(words)
        page.page.wait_for_timeout(300)  # for the page to measure the node
        heights.append(page.run("() => Math.round(n1.size[1])"))
        assert status.evaluate("line => line.scrollHeight <= line.clientHeight")
        page.drag(picture, (0.45, 0.25), (0.6, 0.75))
    assert heights[0] == heights[1]


@pytest.mark.parametrize("opened", ["vue"], indirect=True)  # which hide advanced inputs
@pytest.mark.parametrize("kind", ["FaceCrop", "ApplyIPAdapter", "IPAdapterWeightMap"])
def test_a_new_node_leaves_no_room_for_inputs_that_are_hidden(page, kind):
    page.add(kind)
    drawn = page.page.locator("[data-node-id]")
    heights = []
    for _ in range(2):
        page.page.wait_for_timeout(300)  # for the page to measure the node
        heights.append(drawn.bounding_box()["height"])
        page.run("() => { n0.setSize([n0.size[0], 0]) }")
    assert heights[0] == heights[1]


def test_a_region_is_drawn_as_a_box_without_any_picture(page):
    page.add("IPAdapterRegion")
    page.page.get_by_role("button", name="Opens the square").click()
    page.drag(page.page.locator(".ipadapter-box .area"), (0.25, 0.1), (0.75, 0.6))
    (text,) = page.values("region_box")
    numbers = [int(part) for part in text.split(",")]
    assert numbers == pytest.approx([25, 10, 50, 50], abs=1)
    page.press("ArrowRight")
    assert page.value("region_box").startswith(f"{numbers[0] + 1}, ")
    page.page.get_by_role("button", name="Removes the box").click()
    assert page.value("region_box") == ""


def test_after_a_run_the_editors_know_the_picture_and_the_model(page):
    page.add("EmptyImage", "FaceCrop", "PreviewImage")
    page.run("() => { n0.widgets[0].value = 300; n0.widgets[1].value = 100 }")
    page.connect(0, 0, 1, "image")
    page.connect(1, 0, 2, "images")
    assert page.queue() == ["execution_success", None]
    page.page.get_by_role("button", name="Shows the image").click()
    page.page.wait_for_function("() => document.querySelector('.ipadapter-box img').naturalWidth")
    assert page.run("() => document.querySelector('.ipadapter-box img').naturalWidth") == 300
    page.page.locator(".ipadapter-box .area").focus()
    page.press("Enter")
    assert page.values("x", "y", "width", "height", number=1) == [75, 25, 150, 50]


@pytest.mark.parametrize("kind", ["IPAdapterWeightMap", "ApplyIPAdapter"])
def test_the_properties_panel_lists_inputs_alone_and_leaves_the_editor_its_width(page, kind):
    page.add(kind)
    editor = page.page.locator(".ipadapter-weight-map, .ipadapter-box").first
    before = editor.bounding_box()["width"]
    page.run("() => app.canvas.selectItems([n0])")
    page.run(PANEL, True)
    try:
        rows = page.page.locator(".widget-item")
        expect(rows.first).to_be_visible()
        expect(rows.filter(has_text="ipadapter_")).to_have_count(0)
    finally:
        page.run(PANEL, False)
    expect(rows).to_have_count(0)
    page.run("() => { n0.setDirtyCanvas(true, true) }")
    page.settle()
    assert editor.bounding_box()["width"] == pytest.approx(before, abs=1)


@pytest.mark.parametrize("script", [DROP, PASTE], ids=["dropped", "pasted"])
def test_pictures_for_the_references_become_their_loaders(page, script):
    page.add("IPAdapterReferences")
    page.run(script, base64.b64encode(PORTRAIT.read_bytes()).decode())
    linked = """() => n0.inputs.filter(({ name }) => name.startsWith('images.'))
      .map((input, index) => n0.getInputNode(n0.inputs.indexOf(input))?.widgets[0].value ?? null)"""
    page.page.wait_for_function(
        f"() => {{ const files = ({linked})(); return files.length === 3 && files[1] && "
        "app.graph._nodes.every(({ isUploading }) => !isUploading) }"
    )
    files = page.run(linked)
    assert [file and file.split("/")[-1].split(".")[0] for file in files] == [
        "zz-first",
        "zz-second",
        None,
    ]
    loaders = "app.graph._nodes.filter(({ type }) => type === 'LoadImage')"
    page.page.wait_for_function(f"() => {loaders}.every(({{ size }}) => size[1] > 300)")
    first, second = page.run(f"() => {loaders}.map(({{ pos, size }}) => [pos[1], size[1]])")
    assert second[0] - first[0] >= first[1] + 30  # with its picture and the next one's title


def test_text_boxes_are_called_by_their_names(page):
    page.add("IPAdapterWeightMap", "LabelImageGrid")
    page.run("() => { n0.widgets.find(({ name }) => name === 'layers').value = '1, 0.5' }")
    for name in ("layers", "curve", "labels"):
        expect(page.page.get_by_label(name, exact=True)).to_have_count(1)
