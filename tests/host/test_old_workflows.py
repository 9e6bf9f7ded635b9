"""The corpus of old graphs: opened in the host's page in a browser, and run in the host from the
prompts it made.

With IPADAPTER_WRITE_PROMPTS=1 the page's prompts are written to tests/workflows/prompts instead of
being compared.
"""

import json
import os

import comfy_host
import comfy_server
import outside_checks
import pytest
from playwright.sync_api import expect
from support.graphs import failure
from support.page import Page
from support.tolerance import ANY_SAMPLER, EFFECT
from support.workflows import corpus, make_workflows
from support.workflows.merged import MergedPrompt, checkpoint, checkpoint_file, node_of, samplers

pytestmark = pytest.mark.http

GRAPHS = make_workflows.graphs()
RUNNING = [name for name, graph in GRAPHS.items() if not graph.fails]
GROUP = 10  # graphs that a server runs in one prompt
QUIET = "--skip-prompt", "--no-enable-telemetry"
OPEN = """async (graph) => {
  await app.loadGraphData(graph, true, true, null, {})
  const all = (graph) => graph.nodes.flatMap((one) => [one, ...(one.subgraph ? all(one.subgraph) : [])])
  const unknown = (w) => Array.isArray(w.options?.values) && !w.options.values.includes(w.value)
  const known = (one) => LiteGraph.registered_node_types[one.type] || one.subgraph || one.isVirtualNode
  const { output } = await app.graphToPrompt()
  const wrong = all(app.graph).flatMap((one) => (one.widgets ?? []).filter(unknown).map((w) => `${one.type} ${w.value}`))
  return { wrong, missing: all(app.graph).filter((one) => !known(one)).map((one) => one.type), prompt: output }
}"""
OPEN_AND_READ = """async (graph) => {
  await app.loadGraphData(graph, true, true, null, {})
  await new Promise((ok) => setTimeout(ok, 500))
  return document.body.innerText
}"""
READ = """async (graph) => {
  const extension = app.extensions.find((one) => one.name === 'ipadapternodes.OldGraphs')
  return extension.beforeConfigureGraph(graph).then(() => null, (error) => `${error}`)
}"""
CONVERT = """async (graph) => {
  await app.loadGraphData(graph, true, true, null, {})
  const extension = app.extensions.find((one) => one.name === 'ipadapternodes.OldGraphs')
  const [item] = extension.getCanvasMenuItems(app.canvas)
  await item.callback()
  const { output } = await app.graphToPrompt()
  const all = (graph) => graph.nodes.flatMap((one) => [one, ...(one.subgraph ? all(one.subgraph) : [])])
  const kinds = all(app.graph).map((one) => one.type)
  const old = all(app.graph).filter((one) => extension.getNodeMenuItems(one).length).map((one) => one.type)
  return { kinds, old, prompt: output }
}"""
REGISTERED = """() => Object.values(LiteGraph.registered_node_types).map((one) => one.nodeData)
  .filter((one) => one?.category === 'ipadapter/old graphs' && one.name !== 'IPAdapterOldGraphs')
  .map(({ name, deprecated, description }) => ({ name, deprecated, description }))"""


@pytest.fixture(scope="module")
def old_server(model_folder, tmp_path_factory):
    folder, work = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("work")
    corpus.prepare(folder, model_folder)
    paths = [str(comfy_host.PACK / name) for name in ("scripts", "benchmarks", "tests")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        server = comfy_server.Server(comfy_host.prepare(), work, *corpus.flags(folder, work))
    with server:
        yield server


@pytest.fixture(scope="module")
def offered(old_server, tmp_path_factory):
    """A folder with the server's list of nodes and their options."""
    folder = tmp_path_factory.mktemp("offered")
    (folder / "object_info.json").write_text(json.dumps(old_server.get("/object_info")))
    return folder


@pytest.fixture(scope="module")
def page(old_server, chromium):
    page = Page(chromium, old_server)
    page.run("() => { app.canvas.pause_rendering = true }")  # drawing costs more than the rest
    return page


def test_the_saved_graphs_are_those_that_the_script_writes():
    result = {path.stem: path.read_text() for path in make_workflows.SAVED.glob("*.json")}
    assert result == {name: make_workflows.text(each.saved()) for name, each in GRAPHS.items()}


def test_every_graph_opens_in_the_page_and_becomes_the_prompt_on_record(page):
    result = {name: page.run(OPEN, each.saved()) for name, each in GRAPHS.items()}
    for fault in ("missing", "wrong"):  # nodes that are not there, values that are no options
        assert {name: each[fault] for name, each in result.items() if each[fault]} == {}
    assert (page.errors, page.refused) == ([], [])
    if os.environ.get("IPADAPTER_WRITE_PROMPTS"):
        make_workflows.write_prompts({name: each["prompt"] for name, each in result.items()})
    for name, each in result.items():
        assert each["prompt"] == make_workflows.prompt(name), name


def test_comfy_cli_finds_nothing_wrong_with_the_prompts(offered):
    merged = MergedPrompt()
    for name in GRAPHS:
        merged.add_prompt(make_workflows.prompt(name), name)
    path = offered / "prompts.json"
    path.write_text(json.dumps(merged.nodes))
    inputs = ("--workflow", str(path), "--input", str(offered / "object_info.json"))
    lines = outside_checks.run(offered, offered, "comfy", *QUIET, "workflow", "validate", *inputs)
    result = json.loads(lines[lines.index("{") :])["data"]
    assert (result["valid"], result["errors"]) == (True, [])


@pytest.mark.parametrize("name", [path.stem for path in make_workflows.SENT.glob("*.json")])
def test_a_program_that_sends_old_names_gets_what_the_page_makes_of_them(old_server, name):
    """The page's prompt names what is here; a program sends what the graph says."""
    sent, displayed = make_workflows.sent(name), make_workflows.prompt(name)
    assert sent != displayed and sent.keys() == displayed.keys()
    merged = {
        f"{side} {key}": linked(node, side)
        for side, nodes in (("a", sent), ("b", displayed))
        for key, node in nodes.items()
    }
    for key in samplers(sent):
        merged[key] = node_of("Difference", {"one": [f"a {key}", 0], "other": [f"b {key}", 0]})
    entry = old_server.run(merged, seconds=1200)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    assert {float(entry["outputs"][key]["text"][0]) for key in samplers(sent)} == {0.0}


def test_the_page_says_what_it_replaced(page):
    lines = page.run(OPEN_AND_READ, GRAPHS["v2_names"].saved())
    assert (
        "'ip-adapter_sd15.bin' is not installed: 'ip-adapter_sd15.safetensors', of the same kind, is used instead."
        in lines
    )


def test_entries_that_are_no_nodes_do_not_end_reading_a_graph(page):
    saved = GRAPHS["v2_names"].saved()
    saved["nodes"] += [None, 7, "node"]
    saved["definitions"] = {"subgraphs": [None, {"nodes": "none"}]}
    assert page.run(READ, saved) is None


def test_the_menu_turns_an_old_graph_into_new_nodes(page, old_server):
    result = page.run(CONVERT, GRAPHS["v2_weight_types"].saved())
    assert "ApplyIPAdapter" in result["kinds"] and "IPAdapterWeightMap" in result["kinds"]
    assert result["old"] == [] and (page.errors, page.refused) == ([], [])
    expect(page.page.get_by_text("old nodes are now").last).to_contain_text("Apply IPAdapter")
    before = make_workflows.prompt("v2_weight_types")
    assert len(samplers(before)) == len(samplers(result["prompt"])) > 0
    for node in result["prompt"].values():
        if node["class_type"] == "ApplyIPAdapter":
            assert {"model", "ipadapter", "clip_vision", "image", "weight_map"} <= set(
                node["inputs"]
            )


def test_old_nodes_are_deprecated_and_say_what_to_use_instead(page):
    result = page.run(REGISTERED)
    assert len(result) > 45
    assert all(each["deprecated"] for each in result)
    assert all("In new graphs use: " in each["description"] for each in result)


@pytest.fixture(scope="module")
def converted(page):
    """What the menu makes of every graph that runs, as prompts of the page."""
    prompts = {}
    for graph in RUNNING:
        prompts[graph] = page.run(CONVERT, GRAPHS[graph].saved())["prompt"]
        assert page.refused == [] and page.errors == [], graph
    return prompts


@pytest.fixture(scope="module")
def compared(converted, old_server):
    """Every graph beside itself without adapter and beside what the menu makes of it, a group of
    graphs in one prompt: the server holds all that a prompt has made until its end.

    -> for each sampler how far both are apart, as (difference, range): from the plain model, and
    where the new nodes are others, from those.
    """
    from_plain, from_new = {}, {}
    graphs = sorted(RUNNING, key=lambda name: checkpoint_file(make_workflows.prompt(name)))
    for start in range(0, len(graphs), GROUP):
        names = graphs[start : start + GROUP]
        plain, new_prompt = run_group(old_server, {name: converted[name] for name in names})
        assert {name.split()[0] for name in plain} == set(names)
        from_plain |= plain
        from_new |= new_prompt
        old_server.free()
    assert {name.split()[0] for name in from_plain} == set(RUNNING)
    return from_plain, from_new


def merge_group(converted):
    """-> the prompt; for each sampler the nodes that compare it with the plain model, and with the
    new nodes.
    """
    merged, plain, after = MergedPrompt(), {}, {}
    for graph, new_prompt in converted.items():
        prompt = make_workflows.prompt(graph)
        old_ids, new_ids = (merged.add_prompt(side, graph) for side in (prompt, new_prompt))
        for key in samplers(prompt):
            old_prompt, name = old_ids[key], f"{graph} {key}"
            without = merged.nodes[old_prompt]["inputs"] | {
                "model": [old_ids[checkpoint(prompt)], 0]
            }
            bare = merged.add(node_of("KSampler", without), graph)
            plain[name] = merged.add_difference(old_prompt, bare, graph)
            if new_ids[key] != old_prompt:
                after[name] = merged.add_difference(new_ids[key], old_prompt, graph)
    return merged.without_pictures(), plain, after


def run_group(server, converted):
    """The differences of the group's samplers from the plain model, and from the new nodes."""
    merged, *compared_ids = merge_group(converted)
    # with a client of its own: the open page would draw every step of the progress
    entry = server.run(merged, seconds=1200, client_id="corpus")
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    # what the host refuses of a prompt it leaves out, and runs the rest
    outputs = entry["outputs"]
    assert [name for ids in compared_ids for name, key in ids.items() if key not in outputs] == []
    return [
        {name: [float(text) for text in outputs[key]["text"]] for name, key in ids.items()}
        for ids in compared_ids
    ]


def test_every_graph_runs_and_changes_what_is_sampled(compared):
    assert {name: each for name, (each, _) in compared[0].items() if not each > EFFECT} == {}
    assert len(compared[0]) > 100


def test_every_graph_with_new_nodes_gives_the_same_picture(compared, record_property):
    """Converted by the menu, made a prompt by the page, and run beside what it was."""
    shares = {name: each / complete for name, (each, complete) in compared[1].items()}
    record_property("apart", json.dumps(shares))
    assert {name: each for name, each in shares.items() if not each < ANY_SAMPLER} == {}
    assert len(shares) > 100


@pytest.mark.parametrize("name", [name for name, each in GRAPHS.items() if each.fails])
def test_what_cannot_run_says_so_in_one_sentence(old_server, name):
    kind, words = GRAPHS[name].fails
    result, message = failure(old_server.run(make_workflows.prompt(name)))
    assert result == kind
    assert words in message
    assert "\n" not in message


def linked(node, side):
    """The node with its links led to the nodes of that side."""
    inputs = {
        name: [f"{side} {value[0]}", value[1]] if isinstance(value, list) else value
        for name, value in node["inputs"].items()
    }
    return node_of(node["class_type"], inputs)
