"""Graphs that are not as the page writes them never break the upgrade: what cannot be read stays.

IPADAPTER_FUZZ=5000 tries so many mutated graphs of each format instead of a few.
"""

import importlib
import json
import os
import random
import time
from pathlib import Path

import pytest

from tests.support.workflows import make_workflows
from tests.support.workflows.mutations import mutated

pytestmark = pytest.mark.host

GRAPHS = Path(__file__).parent.parent / "data" / "graphs"
COUNT = int(os.environ.get("IPADAPTER_FUZZ", "150"))
MOST_SECONDS = 2
RAW_ERROR_WORDS = ("Error", "argument", "object", "unpack")


@pytest.fixture
def redraw(legacy, every_node):
    workflow = importlib.import_module(f"{legacy.__name__}.upgrade.workflow")
    return lambda graph: workflow.upgraded_workflow(graph, legacy.BY_ID, every_node)


def corpus(*folders):
    paths = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    assert paths
    return [json.loads(path.read_text()) for path in paths]


def stray_links(graph, new_graph):
    """The links of new nodes that lead to no socket, or to one that does not know them."""
    saved_kinds = {str(node.get("id")): node.get("type") for node in objects(graph["nodes"])}
    new_nodes = {
        str(node["id"]): node
        for node in objects(new_graph["nodes"])
        if "id" in node and saved_kinds.get(str(node["id"])) != node.get("type")
    }
    return [link for link in filter(is_readable, new_graph["links"]) if is_stray(link, new_nodes)]


def is_stray(link, new_nodes):
    link_id, origin, origin_slot, target, target_slot, _ = link
    outputs = new_nodes.get(str(origin), {}).get("outputs")
    if outputs is not None and origin_slot >= len(outputs):
        return True
    inputs = new_nodes.get(str(target), {}).get("inputs")
    if inputs is None:
        return False
    return [socket["link"] for socket in inputs[target_slot : target_slot + 1]] != [link_id]


def is_readable(link):
    if not isinstance(link, list) or len(link) != 6:
        return False
    numbers = (link[0], link[2], link[4])
    is_numbered = all(type(number) is int and number >= 0 for number in numbers)
    return is_numbered and all(type(node_id) in (int, str) for node_id in (link[1], link[3]))


def objects(entries):
    return [entry for entry in entries if isinstance(entry, dict)]


def has_lists(graph):
    return isinstance(graph.get("nodes"), list) and isinstance(graph.get("links"), list)


def check_all(upgrade, graphs):
    """How many of the upgraded graphs had lists of nodes and links, so that links were checked."""
    source = random.Random(1)
    slowest, linked_count, changed_count = 0.0, 0, 0
    for _ in range(COUNT):
        graph = mutated(source.choice(graphs), source)
        start = time.process_time()
        new_graph, report = upgrade(graph)
        slowest = max(slowest, time.process_time() - start)
        json.dumps(new_graph)
        if has_lists(new_graph):
            assert not stray_links(graph, new_graph)
            linked_count += 1
        lines = " ".join(change.describe() for change in report)
        assert not [word for word in RAW_ERROR_WORDS if word in lines], lines
        changed_count += any(not change.is_kept for change in report)
    assert changed_count > COUNT / 2
    assert slowest < MOST_SECONDS
    return linked_count


def test_mutated_workflows_are_upgraded_as_far_as_they_can_be_read(redraw):
    assert check_all(redraw, corpus(make_workflows.SAVED)) > COUNT / 2


def test_mutated_prompts_are_upgraded_as_far_as_they_can_be_read(upgraded):
    """Their links are inputs, and no list."""
    assert check_all(upgraded, corpus(make_workflows.PROMPTS, make_workflows.SENT)) == 0


def test_a_linked_preset_keeps_the_loader_and_nothing_else(redraw, upgraded):
    for name, upgrade in (("linked_preset", redraw), ("linked_preset_prompt", upgraded)):
        _, report = upgrade(json.loads((GRAPHS / f"{name}.json").read_text()))
        loader = next(change for change in report if change.name == "IPAdapter Unified Loader")
        assert loader.is_kept and loader.notes == ["its 'preset' comes from another node"]
        apply = next(change for change in report if change.name == "IPAdapter Advanced")
        remaining = "the kind of its adapter depends on 'preset' of node 3"
        assert apply.notes[0].startswith(remaining)


def test_behind_a_linked_preset_converts_what_does_not_depend_on_the_adapter(upgraded):
    """A black picture is the negative of some presets, and none of others."""
    prompt = json.loads((GRAPHS / "linked_preset_prompt.json").read_text())
    prompt["5"]["inputs"]["image_negative"] = ["4", 0]
    new_prompt, report = upgraded(prompt)
    assert [change.name for change in report if change.is_kept] == ["IPAdapter Unified Loader"]
    apply = new_prompt["5"]
    assert apply["class_type"] == "ApplyIPAdapter"
    links = {name: apply["inputs"][name] for name in ("model", "ipadapter", "image_negative")}
    assert links == {"model": ["3", 0], "ipadapter": ["3", 1], "image_negative": ["4", 0]}
    encoder = new_prompt[apply["inputs"]["clip_vision"][0]]
    assert encoder["inputs"] == {"clip_name": "auto", "ipadapter": ["3", 1]}


def test_what_was_connected_to_nothing_is_not_connected_to_the_adapter(redraw, upgraded):
    """Packs that connect by type leave the model of a unified loader without a link."""
    graph = json.loads((GRAPHS / "linked_preset.json").read_text())
    nodes = {node["id"]: node for node in graph["nodes"]}
    nodes[3]["inputs"] = [{"name": "model", "type": "MODEL", "link": None}]
    graph["links"] = [link for link in graph["links"] if link[3] != 3]
    new_graph, _ = redraw(graph)
    new_nodes = {node["id"]: node for node in new_graph["nodes"]}
    assert new_nodes[3]["type"] == "LoadIPAdapter"
    model, adapter = (new_nodes[5]["inputs"][place] for place in (0, 1))
    assert (model["name"], model["link"]) == ("model", None)
    assert (adapter["name"], adapter["link"] is None) == ("ipadapter", False)

    prompt = json.loads((GRAPHS / "linked_preset_prompt.json").read_text())
    prompt["3"]["inputs"] = {"preset": "PLUS (high strength)"}
    new_prompt, _ = upgraded(prompt)
    assert new_prompt["3"]["class_type"] == "LoadIPAdapter"
    assert "model" not in new_prompt["5"]["inputs"]
    assert new_prompt["5"]["inputs"]["ipadapter"] == ["3", 0]


def test_a_primitive_is_read_as_what_it_holds(redraw):
    """As the page itself sends it; numbers stay linked."""
    graph = json.loads((GRAPHS / "linked_preset.json").read_text())
    graph["nodes"][1]["type"] = "PrimitiveNode"
    graph["nodes"][1]["widgets_values"] = ["PLUS (high strength)", "fixed"]
    new_graph, report = redraw(graph)
    assert not [change.describe() for change in report if change.is_kept]
    assert not stray_links(graph, new_graph)


@pytest.mark.parametrize("kind", ["ImageBatch", "ImageScale"])
def test_thousands_of_nodes_in_a_row_take_no_longer(upgraded, kind):
    inputs = {"ImageBatch": ("image1", "image2"), "ImageScale": ("image",)}[kind]
    prompt = {"0": {"class_type": "EmptyImage", "inputs": {"batch_size": 1}}}
    for number in range(1, 3001):
        links = {name: [str(number - 1), 0] for name in inputs}
        prompt[str(number)] = {"class_type": kind, "inputs": links}
    last = {"image": ["3000", 0], "sharpening": 0.0}
    prompt["last"] = {"class_type": "IPAdapterTiled", "inputs": last}
    start = time.process_time()
    _, report = upgraded(prompt)
    assert time.process_time() - start < MOST_SECONDS
    assert [change.is_kept for change in report] == [True]


def test_a_circle_of_nodes_stays_a_circle(upgraded):
    loader = {"model": ["2", 0], "preset": "PLUS (high strength)"}
    prompt = {
        id: {"class_type": "IPAdapterUnifiedLoader", "inputs": {**loader, "model": [second, 0]}}
        for id, second in (("1", "2"), ("2", "1"))
    }
    new_prompt, _ = upgraded(prompt)
    assert set(new_prompt) == {"1", "2"}
