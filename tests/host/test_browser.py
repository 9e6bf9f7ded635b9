"""The editors in the host's own page, in both renderers: they read and write the typed values."""

import pytest
from playwright.sync_api import expect
from support.page import TRACKER, Page, set_up

pytestmark = pytest.mark.http

LISTED = "1, 1, 1, 0.6, 0.2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1"


def panel(page, name):
    return page.page.locator(f".ipadapter-weight-map [role=group][aria-label^='{name}']")


def test_dragged_bars_are_typed_numbers(page):
    page.add("IPAdapterWeightMap")
    bars = panel(page, "A factor for each block")
    page.drag(bars, (2.5 / 16, 0.5), (4.5 / 16, 0.9))
    assert page.value("layers") == LISTED
    page.press("ArrowUp", "Tab", "Shift+ArrowUp", "Tab", "Delete")
    assert page.value("layers") == LISTED.replace("0.2, 1, 1", "0.25, 1.25, 0")
    assert page.run("() => document.activeElement.ariaLabel") == "block 6, middle"
    assert page.run("() => [app.graph._nodes.length, ...n0.pos]") == [1, 120, 90]


def recorded_value(page, name):
    return page.run(
        f"""(name) => {{
          const index = app.graph._nodes[0].widgets.findIndex((widget) => widget.name === name)
          return {TRACKER}.activeState.nodes[0].widgets_values[index]
        }}""",
        name,
    )


def test_a_drag_is_undone_and_done_again_like_any_change(page):
    page.add("IPAdapterWeightMap")
    page.record()
    page.wait_for_value("layers", "")
    page.drag(panel(page, "A factor for each block"), (2.5 / 16, 0.5), (4.5 / 16, 0.9))
    page.wait_for_value("layers", LISTED)
    for key, text in (("Control+z", ""), ("Control+y", LISTED)):
        page.press(key)
        page.wait_for_value("layers", text)


@pytest.mark.parametrize("kind", ["IPAdapterWeightMap", "ApplyIPAdapter", "FaceCrop"])
def test_a_node_keeps_its_size_when_it_is_loaded_again(page, kind):
    """A node that grows then would be a change after each undo, and drop what can be redone."""
    page.add(kind)
    sizes = page.run(
        """async () => {
          const size = () => [...app.graph._nodes[0].size]
          const before = size()
          await app.loadGraphData(app.graph.serialize())
          return [before, size()]
        }"""
    )
    assert sizes[0] == sizes[1]


def test_keys_in_the_editors_are_undone_and_done_again_one_by_one(page):
    page.add("IPAdapterWeightMap")
    page.record()
    curve = panel(page, "A factor over time")
    page.drag(curve, (0.4, 0.7))
    steps = ["0:1, 0.4:0.6, 1:1", "0:1, 0.41:0.6, 1:1", "0:1, 0.41:0.65, 1:1", "0:1, 1:1"]
    page.wait_for_value("curve", steps[0])
    for key, text in zip(("ArrowRight", "ArrowUp", "Delete"), steps[1:], strict=True):
        page.press(key)
        page.wait_for_value("curve", text)
    for text in reversed(steps[:-1]):
        page.press("Control+z")
        page.wait_for_value("curve", text)
    for text in steps[1:]:
        page.press("Control+y")
        page.wait_for_value("curve", text)


def test_a_key_held_down_and_a_preset_are_each_a_step_to_undo(page):
    page.add("IPAdapterWeightMap")
    page.record()
    page.page.locator(".ipadapter-weight-map select").nth(3).select_option("first half")
    page.wait_for_value("curve", "0:1, 0.5:0 hold")
    panel(page, "A factor over time").get_by_role("slider").nth(1).focus()
    for _ in range(4):  # without a release between them they repeat
        page.page.keyboard.down("ArrowRight")
    page.page.keyboard.up("ArrowRight")
    page.wait_for_value("curve", "0:1, 0.54:0 hold")
    steps = []
    while "" not in steps and len(steps) < 3:
        page.press("Control+z")
        steps.append(recorded_value(page, "curve"))
    # the first press is a step of its own where the page draws before the second
    assert steps[-2:] == ["0:1, 0.5:0 hold", ""]


def test_typed_numbers_are_bars_and_what_is_wrong_is_said(page):
    page.add("IPAdapterWeightMap")
    layers = page.page.locator("textarea").nth(0)
    layers.fill("1, 0.5, 0")
    bars = panel(page, "A factor for each block").get_by_role("slider")
    expect(bars).to_have_count(3)
    assert [bars.nth(n).get_attribute("aria-valuenow") for n in range(3)] == ["1", "0.5", "0"]
    status = page.page.locator(".ipadapter-weight-map .status")
    expect(status).to_contain_text("layers: 3 numbers; SD1.5 has 16 blocks")
    layers.fill("1, x")
    expect(bars).to_have_count(0)
    expect(page.page.locator(".ipadapter-weight-map .status")).to_contain_text("entry 2")


def test_key_frames_are_made_moved_eased_and_removed(page):
    page.add("IPAdapterWeightMap")
    curve = panel(page, "A factor over time")
    page.drag(curve, (0.4, 0.7))
    assert page.value("curve") == "0:1, 0.4:0.6, 1:1"
    page.press("ArrowRight", "ArrowUp", "Space")
    assert page.value("curve") == "0:1, 0.41:0.65 ease, 1:1"
    head = page.page.locator(".ipadapter-weight-map .row > span").nth(1)
    expect(head).to_have_text("0.41:0.65 ease")
    assert head.evaluate("({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth")
    page.drag(curve, (0.41, 1 - 0.65 / 2), (0.6, 0.9))
    assert page.value("curve") == "0:1, 0.6:0.2 ease, 1:1"
    page.press("Enter", "Delete", "Delete")
    assert page.value("curve") == "0:1, 1:1"
    page.page.locator("textarea").nth(1).fill("0:1, 0.5:0 hold")
    expect(curve.get_by_role("slider")).to_have_count(2)


def test_presets_and_the_family_are_written_as_text(page):
    page.add("IPAdapterWeightMap")
    family, ready, easing, curves = (
        page.page.locator(".ipadapter-weight-map select").nth(n) for n in range(4)
    )
    family.select_option("SDXL")
    assert page.value("layers") == ", ".join(["1"] * 11)
    ready.select_option("middle block")
    assert page.value("layers") == "0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0"
    curves.select_option("first half")
    assert page.value("curve") == "0:1, 0.5:0 hold"
    easing.select_option("ease in")
    assert page.value("curve") == "0:1 ease in, 0.5:0 hold"
    page.page.locator("textarea").nth(0).fill("1, 1, 1")  # of no family
    expect(family.locator("option:checked")).to_have_text("-")


def test_the_map_says_which_preset_is_on_and_what_is_under_the_pointer(page):
    page.add("IPAdapterWeightMap")
    ready, curves = (page.page.locator(".ipadapter-weight-map select").nth(n) for n in (1, 3))
    expect(ready).to_have_value("all equal")
    expect(curves).to_have_value("throughout")
    ready.select_option("middle block")
    expect(ready).to_have_value("middle block")
    bars = panel(page, "A factor for each block")
    head = page.page.locator(".ipadapter-weight-map .row > span").first
    page.drag(bars, (2.5 / 16, 0.5), (2.5 / 16, 0.6))
    expect(head).to_have_text("block 2, input 4: 0.8")
    expect(ready).to_have_value("")
    page.press("ArrowUp")
    expect(head).to_have_text("block 2, input 4: 0.85")
    expect(bars.locator(".tick")).to_have_text(["2", "1", "0"])
    page.page.locator("textarea").nth(0).fill("-1, 3")
    expect(bars.locator(".tick")).to_have_text(["3", "1", "0", "-1"])


@pytest.mark.parametrize("opened", ["classic"], indirect=True)  # Vue nodes size themselves
def test_a_larger_node_has_a_larger_drawing(page):
    page.add("IPAdapterWeightMap")
    page.settle()
    height = "() => document.querySelector('.ipadapter-weight-map .panel').clientHeight"
    before = page.run(height)
    page.run("() => { n0.setSize([n0.size[0], n0.size[1] + 400]); n0.setDirtyCanvas(true, true) }")
    page.page.wait_for_function(f"(before) => ({height})() > before + 120", arg=before)


def test_saved_graphs_keep_the_places_of_their_values(page):
    page.add("IPAdapterWeightMap", "ApplyIPAdapter", "FaceCrop")
    saved = page.run("() => app.graph.serialize().nodes.map(node => node.widgets_values)")
    seed = [0, "fixed"]  # without jitter another seed would only run everything again
    assert saved[0] == ["balanced", 1, 1, "", "", 0, *seed]
    texts = ["together", "", "", 1, 1, "whole image"]
    assert saved[1] == [1, 0, 1, "crop", "V only", "concat", 0, *texts]
    assert len(saved[2]) == 17 and None not in saved[2]
    graph = page.run("() => app.graph.serialize()")
    graph["nodes"][0]["widgets_values"] = ["style", 0.5, 1, "3:1", "0:1, 1:0", 0.25, 7, "fixed"]
    page.run("graph => app.loadGraphData(graph, true, true, null, {})", graph)
    again = page.run("() => app.graph.serialize().nodes.map(node => node.widgets_values)")
    assert again == [graph["nodes"][0]["widgets_values"], *saved[1:]]


def test_after_a_run_the_map_has_as_many_bars_as_the_model_has_blocks(page):
    page.add("CheckpointLoaderSimple", "IPAdapterWeightMap", "PreviewImage")
    page.run("() => { n0.widgets[0].value = 'sdxl.safetensors' }")
    page.connect(0, 0, 1, "model")
    page.connect(1, 1, 2, "images")
    assert page.queue() == ["execution_success", None]
    page.settle()
    bars = panel(page, "A factor for each block").get_by_role("slider")
    expect(bars).to_have_count(11)
    assert bars.nth(4).get_attribute("aria-label") == "block 4, middle"
    assert page.run("() => app.nodeOutputs[n1.id].images.length") == 1  # the map, on the node


def test_what_a_run_found_is_said_on_the_node(page):
    page.add("CheckpointLoaderSimple", "InspectIPAdapter")
    page.run("() => { n0.widgets[0].value = 'sd15.safetensors' }")
    page.connect(0, 0, 1, "model")
    assert page.queue() == ["execution_success", None]
    page.settle()
    assert note_of(page, 1) == "No adapter of this pack is applied to the model."
    assert page.run("() => n1.serialize().widgets_values") == [""]


def note_of(page, number):
    return page.run(
        f"""() => n{number}.widgets.find(({{ name }}) => name === 'ipadapter_note')
          ?.element.lastChild.textContent"""
    )


def test_face_crop_shows_how_many_faces_it_found(page):
    page.add("LoadImage", "FaceCrop", "PreviewImage")
    page.run("() => { n0.widgets.find(({ name }) => name === 'image').value = 'portrait.jpg' }")
    page.connect(0, 0, 1, "image")
    page.connect(1, 0, 2, "images")
    assert page.queue() == ["execution_success", None]
    page.settle()
    assert note_of(page, 1) == "faces found: 1, used: 1 (largest)"


def test_a_note_of_several_lines_is_read_whole(page):
    page.add("EmptyImage", "FaceCrop", "PreviewImage")
    page.connect(0, 0, 1, "image")
    page.connect(1, 0, 2, "images")
    assert page.queue() == ["execution_success", None]
    page.settle()
    assert "finds no face" in note_of(page, 1)
    heights = """() => {
      const { element } = n1.widgets.find(({ name }) => name === 'ipadapter_note')
      return [element.scrollHeight, element.clientHeight]
    }"""
    page.page.wait_for_function(f"() => ({heights})()[1] > 0")
    content, visible = page.run(heights)
    assert content <= visible


def test_the_page_speaks_chinese(chromium, server):
    page = Page(chromium, server, Locale="zh", VueNodes_Enabled=False)
    try:
        page.add("FaceCrop", "IPAdapterWeightMap")
        assert page.run("() => n0.title") == "\u88c1\u526a\u4eba\u8138"
        assert page.run("() => n1.inputs.map(i => i.localized_name)")[:2] == [
            "\u6a21\u578b",
            "\u76f8\u4e58",
        ]
        assert page.run("() => n1.outputs.map(o => o.localized_name)") == [
            "\u6743\u91cd\u56fe",
            "\u56fe\u50cf",
        ]
        page.page.get_by_text("\u6309\u5c42").wait_for()
        assert page.page.locator(".ipadapter-box button").nth(0).inner_text() == "\u753b\u6846"
        page.run("() => { app.canvas.ds.offset[1] = 200; app.canvas.selectItems([n0]) }")
        page.page.get_by_test_id("info-button").click()
        help_page = page.page.locator(".node-help-content")
        help_page.get_by_role("heading", name="\u88c1\u526a\u4eba\u8138").wait_for()
        page.page.wait_for_function(
            "() => document.querySelector('.node-help-content img[src$=\"FaceCrop.png\"]')"
            ".naturalWidth > 0"
        )
        assert (page.errors, page.refused) == ([], [])
    finally:
        page.page.close()
        set_up(server, Locale="en")
