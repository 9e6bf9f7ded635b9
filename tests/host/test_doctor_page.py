"""The doctor's panel and the stamps in saved graphs, in the host's own page, in both renderers."""

import base64
import json
import re

import comfy_host
import pytest
from playwright.sync_api import expect
from support.page import Page, set_up

pytestmark = pytest.mark.http

PLUS = "ip-adapter-plus_sd15.safetensors"
WANTS_G = "ip-adapter_sdxl.safetensors"
VIT_G = "CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors"
REGISTRY = "api.comfy.org"  # asked by the page about the packs of a graph; it may not go out here
DROP = """([name, text]) => {
  const data = new DataTransfer()
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
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
    errors = [error for error in opened.errors if REGISTRY not in error]
    assert (errors, opened.refused) == ([], [])


def test_the_panel_says_what_is_there_and_missing_and_leaves_the_graph_alone(page):
    page.add("LoadIPAdapter")
    page.run("() => app.canvas.select?.(n0)")
    view = """() => JSON.stringify(
      [app.canvas.ds.scale, ...app.canvas.ds.offset, app.graph._nodes.length])"""
    view_at_first = page.run(view)
    page.run("() => app.extensionManager.command.execute('ipadapternodes.Doctor.Open')")
    panel = page.page.get_by_role("dialog", name="IPAdapter Doctor")
    panel.get_by_text("Ready").wait_for()
    expect(panel).to_contain_text("ipadapter/sub folder/b.bin")
    panel.get_by_label("Base model").select_option("SDXL")
    panel.get_by_label("Purpose").select_option("face")
    answer = panel.locator(".answer")
    expect(answer).to_contain_text(re.compile("^Missing"))
    expect(answer).to_contain_text("ip-adapter-plus-face_sdxl_vit-h.safetensors")
    expect(answer).to_contain_text("847.5 MB; Apache-2.0; into models/ipadapter")
    expect(panel.get_by_role("button", name="Download ip-adapter").first).to_be_enabled()
    panel.get_by_text("The report as text").click()
    report = re.compile("^IPAdapter Doctor\nip-adapter-nodes")
    expect(panel.locator("textarea")).to_have_value(report)
    page.page.mouse.move(800, 500)
    page.page.mouse.wheel(0, 300)
    page.press("Delete", "Backspace")
    assert page.run(view) == view_at_first
    page.press("Escape")
    expect(panel).to_have_count(0)


@pytest.mark.parametrize("opened", ["classic"], indirect=True)  # the same panel in both renderers
def test_while_nothing_works_the_panel_begins_with_what_to_download_first(page):
    page.page.route("**/ipadapternodes/doctor", lambda route: with_nothing_that_works(route))
    page.run("() => app.extensionManager.command.execute('ipadapternodes.Doctor.Open')")
    panel = page.page.get_by_role("dialog", name="IPAdapter Doctor")
    start = panel.locator("section").first
    expect(start).to_contain_text("Start here")
    expect(start).to_contain_text(f"Download first, for SD1.5: {PLUS} (98.2 MB, into models/")
    expect(start.get_by_role("button", name=f"Download {PLUS}")).to_be_enabled()
    page.page.unroute("**/ipadapternodes/doctor")
    page.page.route("**/ipadapternodes/doctor", lambda route: with_nothing_that_works(route, PLUS))
    panel.get_by_role("button", name="Refresh").click()
    expect(start).to_contain_text("Problems (1)")  # what is there need not be downloaded
    expect(panel.locator("section").nth(1)).to_contain_text("Start here")
    page.press("Escape")
    page.page.unroute("**/ipadapternodes/doctor")


def with_nothing_that_works(route, misplaced=None):
    """The server's answer, as if no file were installed, but one in the wrong folder."""
    report = route.fetch().json()
    advice = "is an adapter in the wrong folder: move it to models/ipadapter"
    files = [{**report["files"][0], "path": f"models/loras/{misplaced}", "advice": advice}]
    if misplaced:
        report["files"] = files
    place = {"text": "<1> (<2>, into models/<3>)", "values": [PLUS, "98.2 MB", "ipadapter"]}
    text = {"text": "Download first, for <1>: <2>.", "values": ["SD1.5", place]}
    table = [{**row, "there": False} for row in report["table"]]
    route.fulfill(json={**report, "table": table, "start": {"text": text, "files": [PLUS]}})


def test_terms_stand_before_the_download_of_a_recogniser(page):
    page.run("() => app.extensionManager.command.execute('ipadapternodes.Doctor.Open')")
    panel = page.page.get_by_role("dialog", name="IPAdapter Doctor")
    panel.get_by_text("All files that can be downloaded").click()
    name = "Download w600k_r50.onnx"
    button = panel.get_by_role("button", name=name)
    row = panel.locator(".file", has=page.page.get_by_role("button", name=name))
    terms = row.locator(".terms")
    expect(terms).to_have_count(0)
    button.click()
    expect(terms).to_contain_text("non-commercial research only")
    expect(button).to_have_text("Agree and download")
    page.press("Escape")


def test_the_menu_has_the_doctor(page):
    label = """() => app.extensionManager.command.commands.find(
      ({ id }) => id === 'ipadapternodes.Doctor.Open').label"""
    assert page.run(label) == "IPAdapter Doctor"


def test_a_saved_graph_has_the_links_that_the_next_page_offers(page):
    page.add("LoadIPAdapter", "LoadCLIPVision", "CLIPVisionLoader")
    page.connect(0, 0, 1, "ipadapter")
    page.run(f"() => {{ n0.widgets[0].value = '{PLUS}' }}")
    saved, embedded = page.run(
        "async () => [app.graph.serialize(), (await app.graphToPrompt()).workflow]"
    )
    for workflow in (saved, embedded):
        properties = {node["type"]: node["properties"] for node in workflow["nodes"]}
        for name in ("LoadIPAdapter", "LoadCLIPVision"):
            assert (properties[name]["cnr_id"], properties[name]["ver"]) == (
                "ip-adapter-nodes",
                "0.1.0",
            )
        assert [model["name"] for model in properties["LoadIPAdapter"]["models"]] == [PLUS]
        assert "ipadapternodes" not in str(properties["CLIPVisionLoader"])
        assert "cnr_id" not in properties["CLIPVisionLoader"]
    page.run(DROP, ["shared.json", packed(saved)])
    page.page.get_by_text(f"{PLUS} is missing").first.wait_for()
    page.page.get_by_role("button", name="View details").first.click()
    group = page.page.get_by_test_id("error-group-missing-model")
    group.first.wait_for()
    expect(page.page.get_by_test_id("missing-model-download")).to_have_count(1)
    assert page.run(
        "() => app.graph.nodes.every((node) => !node.widgets.some(({ disabled }) => disabled))"
    )


def packed(workflow):
    return base64.b64encode(json.dumps(workflow).encode()).decode()


def test_a_shared_graph_offers_the_encoder_that_auto_needs_too(page):
    page.add("LoadIPAdapter", "LoadCLIPVision")
    page.connect(0, 0, 1, "ipadapter")
    page.run(f"() => {{ n0.widgets[0].value = '{WANTS_G}' }}")
    saved = page.run("() => app.graph.serialize()")
    (loader,) = (node for node in saved["nodes"] if node["type"] == "LoadCLIPVision")
    assert [model["name"] for model in loader["properties"]["models"]] == [VIT_G]
    page.run(DROP, ["encoder.json", packed(saved)])
    page.page.get_by_text("2 errors found").or_(page.page.get_by_text(VIT_G)).first.wait_for()
    page.page.get_by_role("button", name="View details").first.click()
    page.page.get_by_test_id("error-group-missing-model").first.wait_for()
    expect(page.page.get_by_test_id("missing-model-download")).to_have_count(2)
    again, prompt = page.run(
        "async () => [app.graph.serialize(), (await app.graphToPrompt()).output]"
    )
    (saved_again,) = (node for node in again["nodes"] if node["type"] == "LoadCLIPVision")
    assert (saved_again["widgets_values"], saved_again["properties"]) == (
        ["auto"],
        loader["properties"],
    )
    (inputs,) = (
        node["inputs"] for node in prompt.values() if node["class_type"] == "LoadCLIPVision"
    )
    assert set(inputs) == {"clip_name", "ipadapter"}
    page.page.route("**/ipadapternodes/stamps", with_the_encoder)
    page.run("() => app.refreshComboInNodes()")
    page.page.unroute("**/ipadapternodes/stamps")
    assert page.run("() => app.graph.nodes.map(({ widgets }) => widgets.length)") == [2, 1]


def test_the_first_template_offers_all_its_files_where_nothing_is_installed(page):
    template = comfy_host.PACK / "example_workflows" / "01 Image prompt.json"
    page.page.route("**/ipadapternodes/stamps", with_no_files)
    page.run("() => app.refreshComboInNodes()")
    page.run(DROP, ["first.json", packed(json.loads(template.read_text("utf-8")))])
    page.page.get_by_role("button", name="View details").first.click()
    page.page.get_by_test_id("error-group-missing-model").first.wait_for()
    expect(page.page.get_by_test_id("missing-model-download")).to_have_count(3)
    saved = page.run("() => app.graph.serialize()")
    (finder,) = (node for node in saved["nodes"] if node["type"] == "ImagePrompt")
    names = [model["name"] for model in finder["properties"]["models"]]
    assert len(names) == 2 and len(finder["widgets_values"]) == 6
    page.page.unroute("**/ipadapternodes/stamps")
    page.run("() => app.refreshComboInNodes()")
    assert not page.run("() => app.graph.nodes.some((n) => n.widgets?.some((w) => w.disabled))")


def with_no_files(route):
    stamps = route.fetch().json()
    route.fulfill(json={**stamps, "encoders": [], "has_adapter": False})


def with_the_encoder(route):
    """The server's answer, as if the encoder had come."""
    stamps = route.fetch().json()
    stamps["auto"][WANTS_G]["here"] = True
    route.fulfill(json=stamps)


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
    assert {label for label in labels if label.isascii()} == {"SD1.5", "SDXL"}
    lines = panel.locator(
        "section > p, .answer li, .file div:not(.sum), li > div"
    ).all_text_contents()
    assert [line for line in lines if line.isascii()] == []
