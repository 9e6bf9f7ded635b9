"""Old prompts and saved graphs as they are read: nothing that a graph holds breaks queueing or
opening it.

IPADAPTER_FUZZ=5000 tries so many mutated graphs of each format instead of some hundreds.
"""

import copy
import json
import os
import random
import time
from pathlib import Path

import pytest
from support.saved import graph, node

pytestmark = pytest.mark.host

SAVED = Path(__file__).parents[2] / "workflows" / "saved"
GRAPHS = {path.stem: path.read_text() for path in sorted(SAVED.glob("*.json"))}
ODD = (
    None,
    [],
    {},
    "",
    "x",
    -1,
    0,
    3.5,
    True,
    [1],
    [[]],
    ["1", 0],
    {"a": 1},
    10**9,
    "\0",
    "9" * 999,
)
MUTATIONS = int(os.environ.get("IPADAPTER_FUZZ", "400"))
MOST_SECONDS = 2


def test_linked_widgets_stay_links(read_prompt):
    prompt = {
        "1": {"class_type": "IPAdapterUnifiedLoader", "inputs": {"preset": ["9", 0]}},
        "2": {"class_type": "IPAdapterAdvanced", "inputs": {"weight_type": ["9", 1]}},
        "3": {"class_type": "IPAdapterModelLoader", "inputs": {"ipadapter_file": ["9", 0]}},
        "4": {
            "class_type": "IPAdapterWeights",
            "inputs": {"timing": "reverse_in_out", "weights": ["9", 0], "frames": 3},
        },
    }
    meant = read_prompt(prompt)
    assert meant["1"]["inputs"]["preset"] == ["9", 0]
    assert meant["2"]["inputs"]["weight_type"] == ["9", 1]
    assert meant["3"]["inputs"]["ipadapter_file"] == ["9", 0]
    assert meant["4"]["inputs"]["weights"] == ["9", 0]


@pytest.mark.parametrize("weights", ["no numbers", "0, 1"])
def test_weights_that_cannot_be_read_are_left_to_their_node(read_prompt, weights):
    inputs = {"timing": "reverse_in_out", "weights": weights, "frames": 10**9}
    meant = read_prompt({"1": {"class_type": "IPAdapterWeights", "inputs": inputs}})
    assert meant["1"]["inputs"]["weights"] == weights


def test_nodes_of_the_same_id_keep_their_own_values(opened_graph):
    presets = [node(1, "IPAdapterAdvanced", values=[1.0, kind]) for kind in ("original", "ease in")]
    (nodes,), _ = opened_graph(graph(*presets))
    assert [saved["widgets_values"][1] for saved in nodes] == ["linear", "ease in"]


def places(value, path=()):
    """The paths of everything in a graph."""
    yield path
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            yield from places(entry, (*path, key))


def mutate(source, value):
    """Some values put elsewhere, replaced by odd ones, doubled or taken away."""
    every = [path for path in places(value) if path]
    for path in source.sample(every, min(len(every), source.choice([1, 2, 5]))):
        parent = value
        try:
            for key in path[:-1]:
                parent = parent[key]
            second = source.choice([*ODD, parent[path[-1]], source.choice(every)[-1]])
            action = source.choice(["replace", "replace", "double", "remove"])
            if action == "double" and isinstance(parent, list):
                parent.append(copy.deepcopy(parent[path[-1]]))
            elif action == "remove":
                del parent[path[-1]]
            else:
                parent[path[-1]] = copy.deepcopy(second)
        except (KeyError, IndexError, TypeError):  # an earlier change took it away
            continue
    return value


def test_mutated_graphs_open_or_are_refused(installed_encoder, opened_graph):
    source, opened_count = random.Random(16), 0
    for _ in range(MUTATIONS):
        workflow = mutate(source, json.loads(source.choice([*GRAPHS.values()])))
        start = time.process_time()
        try:
            nodes, report = opened_graph(workflow)
        except ValueError:  # no list of nodes
            assert not isinstance(workflow.get("nodes"), list)
            continue
        assert time.process_time() - start < MOST_SECONDS
        assert len(nodes[0]) == len(workflow["nodes"])
        json.dumps(nodes)
        assert not [line for line in report if "Error" in line], report
        opened_count += 1
    assert opened_count > MUTATIONS / 2


def test_mutated_prompts_are_read(installed_encoder, read_prompt, pack, nodes_by_id):
    saved_graph, source = pack.nodes.legacy.reading.saved_graph, random.Random(61)
    old_nodes = pack.nodes.legacy.BY_ID
    for _ in range(MUTATIONS):
        workflow = json.loads(source.choice([*GRAPHS.values()]))
        links = saved_graph.links_by_id(workflow)
        prompt = {
            str(saved["id"]): saved_graph.read_node(saved, links, old_nodes, {})
            for saved in workflow["nodes"]
        }
        mutated = mutate(source, prompt)
        start = time.process_time()
        assert read_prompt(mutated).keys() == mutated.keys()
        assert time.process_time() - start < MOST_SECONDS
