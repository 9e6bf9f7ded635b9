"""The doctor's panel and the stamps in saved graphs, in the host's own page, in its classic and its Vue renderer."""

import base64
import json

import pytest
from page import Page, set_up

pytestmark = pytest.mark.http

PLUS = "ip-adapter-plus_sd15.safetensors"
REGISTRY = "api.comfy.org"  # asked by the page about the packs of a graph; it may not go out here
DROP = """([name, text]) => {
  const data = new DataTransfer()
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0))
  data.items.add(new File([bytes], name, { type: 'application/json' }))
  const canvas = document.querySelector('#graph-canvas')
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    const at = { clientX: 800, clientY: 500, bubbles: true, cancelable: true }
    canvas.dispatchEvent(new DragEvent(kind, { dataTransfer: data, ...at }))
  }
}"""


@pytest.fixture
def page(opened):
    yield opened
    errors = [one for one in opened.errors if REGISTRY not in one]
    assert (errors, opened.refused) == ([], [])


def test_the_panel_says_what_is_there_and_missing_and_leaves_the_graph_alone(page):
    page.add("LoadIPAdapter")
    page.run("() => app.canvas.select?.(n0)")
    seen = "() => JSON.stringify([app.canvas.ds.scale, ...app.canvas.ds.offset, app.graph._nodes.length])"
    before = page.run(seen)
    page.run("() => app.extensionManager.command.execute('ipadapternodes.Doctor.Open')")
    panel = page.page.get_by_role("dialog", name="IPAdapter Doctor")
    panel.get_by_text("Ready").wait_for()
    assert "ipadapter/sub folder/b.bin (outside the models folder)" in panel.inner_text()
    panel.get_by_label("Base model").select_option("SDXL")
    panel.get_by_label("Purpose").select_option("face")
    answer = panel.locator(".answer").inner_text()
    assert answer.startswith("Missing")
    assert "ip-adapter-plus-face_sdxl_vit-h.safetensors" in answer
    assert "847.5 MB; Apache-2.0; into models/ipadapter" in answer
    assert panel.get_by_role("button", name="Download ip-adapter").first.is_enabled()
    panel.get_by_text("The report as text").click()
    assert panel.locator("textarea").input_value().startswith("IPAdapter Doctor\nip-adapter-nodes")
    page.page.mouse.move(800, 500)
    page.page.mouse.wheel(0, 300)
    page.press("Delete", "Backspace")
    assert page.run(seen) == before
    page.press("Escape")
    assert panel.count() == 0


def test_the_menu_has_the_doctor(page):
    label = "() => app.extensionManager.command.commands.find(c => c.id === 'ipadapternodes.Doctor.Open').label"
    assert page.run(label) == "IPAdapter Doctor"


def test_a_saved_graph_has_the_links_that_the_next_page_offers(page):
    page.add("LoadIPAdapter", "LoadCLIPVision", "CLIPVisionLoader")
    page.connect(0, 0, 1, "ipadapter")
    page.run(f"() => {{ n0.widgets[0].value = '{PLUS}' }}")
    saved, embedded = page.run(
        "async () => [app.graph.serialize(), (await app.graphToPrompt()).workflow]"
    )
    for workflow in (saved, embedded):
        found = {node["type"]: node["properties"] for node in workflow["nodes"]}
        for name in ("LoadIPAdapter", "LoadCLIPVision"):
            assert (found[name]["cnr_id"], found[name]["ver"]) == ("ip-adapter-nodes", "0.1.0")
        assert [one["name"] for one in found["LoadIPAdapter"]["models"]] == [PLUS]
        assert "ipadapternodes" not in str(found["CLIPVisionLoader"])
        assert "cnr_id" not in found["CLIPVisionLoader"]
    text = base64.b64encode(json.dumps(saved).encode()).decode()
    page.run(DROP, ["shared.json", text])
    page.page.get_by_text(f"{PLUS} is missing").first.wait_for()
    page.page.get_by_role("button", name="View details").first.click()
    group = page.page.get_by_test_id("error-group-missing-model")
    group.first.wait_for()
    assert page.page.get_by_test_id("missing-model-download").count() == 1


@pytest.fixture
def chinese(chromium, server):
    page = Page(chromium, server, Locale="zh")
    yield page
    page.page.close()
    set_up(server, Locale="en")
    assert (page.errors, page.refused) == ([], [])


def test_the_panel_speaks_the_language_of_the_page(chinese):
    chinese.run("() => app.extensionManager.command.execute('ipadapternodes.Doctor.Open')")
    panel = chinese.page.get_by_role("dialog")
    panel.locator(".answer li").first.wait_for()
    labels = panel.locator("h2, h3, summary, b:not(li b), option, button").all_text_contents()
    assert len(labels) > 15
    assert {one for one in labels if one.isascii()} == {"SD1.5", "SDXL"}
    lines = panel.locator(
        "section > p, .answer li, .file div:not(.sum), li > div"
    ).all_text_contents()
    assert [one for one in lines if one.isascii()] == []
