"""Example workflows and blueprints in the host's own page: they open whole."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from workflow import to_prompt

pytestmark = pytest.mark.http

PACK = Path(__file__).parent.parent.parent
EXAMPLES, BLUEPRINTS = PACK / "example_workflows", PACK / "subgraphs"


@pytest.fixture(scope="module")
def info(server):
    return server.get("/object_info")


@pytest.mark.parametrize("opened", ["vue"], indirect=True)  # where nodes are larger
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_an_example_opens_whole_and_becomes_the_prompt_that_the_tests_run(page, info, path):
    workflow = json.loads(path.read_text("utf-8"))
    page.run("graph => app.loadGraphData(graph, true, true, null, {})", workflow)
    assert page.overlaps() == []
    registered = page.run("() => [Object.keys(LiteGraph.registered_node_types)].flat()")
    assert {node["type"] for node in workflow["nodes"]} <= set(registered)
    prompt = page.run("async () => (await app.graphToPrompt()).output")
    expected = to_prompt(workflow, info)
    kinds = {key: node["class_type"] for key, node in expected.items()}
    assert {key: node["class_type"] for key, node in prompt.items()} == kinds
    for key, node in expected.items():
        inputs = prompt[key]["inputs"]
        assert node["inputs"].items() <= inputs.items(), node["class_type"]
        assert set(inputs) <= names_of(info[node["class_type"]], node["inputs"])


def names_of(info, inputs):
    """The inputs of a node, with the numbered ones of a growing input that are in use."""
    names = {name for group in info["input"].values() for name in group}
    return names | {name for name in inputs if name.split(".")[0] in names}


@pytest.mark.parametrize("opened", ["vue"], indirect=True)  # the same node in both renderers
@pytest.mark.parametrize("path", sorted(BLUEPRINTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_blueprint_opens_as_one_node_with_its_widgets(page, info, path):
    workflow = json.loads(path.read_text("utf-8"))
    page.run("graph => app.loadGraphData(graph, true, true, null, {})", workflow)
    (root,) = page.run("() => app.graph._nodes.map(n => [n.title, n.widgets.map(w => w.name)])")
    promoted = [name for _, name in workflow["nodes"][0]["properties"]["proxyWidgets"]]
    assert root[0] == path.stem
    assert [re.sub(r"^\d+: |_\d+$", "", name) for name in root[1]] == promoted
    inner = page.run("async () => Object.values((await app.graphToPrompt()).output)")
    assert len(inner) == len(workflow["definitions"]["subgraphs"][0]["nodes"])
    for node in inner:
        assert set(node["inputs"]) <= names_of(info[node["class_type"]], node["inputs"])


@pytest.mark.parametrize("opened", ["vue"], indirect=True)  # the same list in both renderers
def test_the_page_offers_the_blueprints_and_complains_of_none(page, server):
    offered = {blueprint["name"] for blueprint in server.get("/global_subgraphs").values()}
    assert {path.stem for path in BLUEPRINTS.glob("*.json")} <= offered
    expect(page.page.locator(".p-toast-message-error")).to_have_count(0)


FIRST_RESULT = {
    "ip adapter": "Image Prompt",
    "ip-adapter": "Image Prompt",
    "image prompt": "Image Prompt",
    "style transfer": "Style Transfer",  # a blueprint of Image Prompt, as is the next
    "reference": "Reference",
}


@pytest.mark.parametrize("name", ["Reference", "Style Transfer"])
def test_a_blueprint_that_the_search_offers_first_is_image_prompt(name):
    workflow = json.loads((BLUEPRINTS / f"{name}.json").read_text("utf-8"))
    (graph,) = workflow["definitions"]["subgraphs"]
    assert [node["type"] for node in graph["nodes"]] == ["ImagePrompt"]


@pytest.mark.parametrize("opened", ["vue"], indirect=True)  # the same search in both renderers
def test_the_search_offers_first_what_makes_an_image_a_prompt(page):
    page.run("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    first = page.page.get_by_test_id("result-item").first
    for query, name in FIRST_RESULT.items():
        page.page.get_by_role("combobox", name="Add a node").fill(query)
        expect(first).to_have_text(re.compile(f"^{re.escape(name)}.*IP.Adapter"))
    page.page.keyboard.press("Escape")
    expect(first).to_have_count(0)


CONVERT_LOADER = """async () => {
  const extension = app.extensions.find(({ name }) => name === 'ipadapternodes.OldGraphs')
  const loader = app.graph._nodes.find(({ type }) => type === 'IPAdapterUnifiedLoader')
  await extension.getNodeMenuItems(loader)[0].callback()
}"""


@pytest.mark.parametrize("opened", ["vue"], indirect=True)  # the same menu in both renderers
def test_old_nodes_that_remain_are_counted_where_one_is_converted(page):
    saved = PACK / "tests" / "workflows" / "saved" / "v2_simple.json"
    workflow = json.loads(saved.read_text("utf-8"))
    page.run("graph => app.loadGraphData(graph, true, true, null, {})", workflow)
    page.run(CONVERT_LOADER)
    old = page.run("() => app.graph._nodes.filter(n => n.type.startsWith('IPAdapter')).length")
    assert old > 0
    expect(page.page.get_by_text(f"Old IPAdapter nodes that remain: {old}.")).to_have_count(1)


CONVERT_ALL = """async () => {
  const extension = app.extensions.find(({ name }) => name === 'ipadapternodes.OldGraphs')
  await extension.getCanvasMenuItems(app.canvas)[0].callback()
}"""
KINDS = "() => app.graph._nodes.map(({ type }) => type).sort().join()"


COVERED = """() => {
  const boxes = app.graph._nodes.filter(({ flags }) => !flags.collapsed).map((node) => {
    const { id, pos: [left, top], size: [width, height] } = node
    return { id, left, top: top - 30, right: left + width, bottom: top + height }
  })
  const covers = (a, b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
  return boxes.flatMap((a, place) =>
    boxes.slice(place + 1).filter((b) => covers(a, b)).map((b) => `${a.id} and ${b.id}`))
}"""
IN_COLUMNS = """() => {
  const bottoms = {}
  for (const node of [...app.graph._nodes].sort((a, b) => a.pos[1] - b.pos[1])) {
    const left = node.pos[0] * 1.5
    node.pos = [left, (bottoms[left] ?? 0) + 50]
    bottoms[left] = node.pos[1] + node.size[1]
  }
  const [left, bottom] = Object.entries(bottoms)[1] // of a column with nodes that are converted
  const group = new LiteGraph.LGraphGroup('column')
  group.pos = [Number(left) - 10, 0]
  group.size = [300, bottom + 20]
  app.graph.add(group)
}"""
ENDS = """() => {
  const { pos, size } = app.graph.groups[0]
  const column = app.graph._nodes.filter((node) => node.pos[0] === pos[0] + 10)
  return [pos[1] + size[1], Math.max(...column.map((node) => node.pos[1] + node.size[1]))]
}"""


def test_nodes_that_become_larger_cover_none_below_them(page):
    """Apply IPAdapter has twice the rows of an old IPAdapter."""
    saved = PACK / "tests" / "workflows" / "saved" / "v2_simple.json"
    workflow = json.loads(saved.read_text("utf-8"))
    page.run("graph => app.loadGraphData(graph, true, true, null, {})", workflow)
    page.settle()
    page.run(IN_COLUMNS)
    page.settle()
    group_before, _ = page.run(ENDS)
    assert page.run(COVERED) == []
    page.run(CONVERT_ALL)
    page.settle()
    assert page.run(COVERED) == []
    group_end, column_end = page.run(ENDS)
    assert group_before < column_end < group_end


@pytest.mark.parametrize("opened", ["vue"], indirect=True)  # whose measures were a step to undo
def test_a_conversion_is_told_in_names_of_nodes_and_undone_in_one_step(page):
    saved = PACK / "tests" / "workflows" / "saved" / "v2_simple.json"
    workflow = json.loads(saved.read_text("utf-8"))
    page.run("graph => app.loadGraphData(graph, true, true, null, {})", workflow)
    page.settle()
    old = page.run(KINDS)
    page.run(CONVERT_ALL)
    told = page.page.get_by_text("old nodes are now").last
    expect(told).to_contain_text("Apply IPAdapter")
    assert "ApplyIPAdapter" not in told.text_content()
    new = page.run(KINDS)
    assert "IPAdapterUnifiedLoader" in old and "IPAdapterUnifiedLoader" not in new
    for keys, kinds in (("Control+z", old), ("Control+y", new)):
        page.press(keys)
        page.page.wait_for_function(f"(kinds) => ({KINDS})() === kinds", arg=kinds)
