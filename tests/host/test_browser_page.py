"""What the host's page does around our nodes: its properties panel, and pictures dropped on one."""

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
  for (const name of ['first.jpg', 'second.jpg']) {
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
        "first",
        "second",
        None,
    ]


def test_text_boxes_are_called_by_their_names(page):
    page.add("IPAdapterWeightMap", "LabelImageGrid")
    page.run("() => { n0.widgets.find(({ name }) => name === 'layers').value = '1, 0.5' }")
    for name in ("layers", "curve", "labels"):
        expect(page.page.get_by_label(name, exact=True)).to_have_count(1)
