"""Old prompts and saved graphs as they are read: nothing that a graph holds breaks queueing or
opening it.
"""

import copy
import json
import random
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

SAVED = Path(__file__).parent.parent / "workflows" / "saved"
GRAPHS = {path.stem: path.read_text() for path in sorted(SAVED.glob("*.json"))}
MISSING, INSTALLED = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors", "another name.safetensors"
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
MUTATIONS = 400


@pytest.fixture
def installed(pack, host, monkeypatch, tmp_path):
    """One image encoder, whatever is asked for, under another name; no adapter."""
    import folder_paths

    for name in ("ipadapter", "clip_vision"):
        where = ([str(tmp_path)], folder_paths.supported_pt_extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, where)
    files = pack.nodes.legacy.ids.installed_files
    monkeypatch.setattr(files, "installed_encoders", lambda encoder: [INSTALLED])


@pytest.fixture
def read(pack, nodes_by_id):
    legacy = pack.nodes.legacy
    ours = {**{id: node for id, node in nodes_by_id.items() if "IPAdapter" in id}, **legacy.BY_ID}
    return lambda prompt: legacy.reading.prompts.read_prompt(prompt, legacy.BY_ID, ours, {})


@pytest.fixture
def opened(pack, nodes_by_id):
    legacy = pack.nodes.legacy
    ours = {**{id: node for id, node in nodes_by_id.items() if "IPAdapter" in id}, **legacy.BY_ID}
    return lambda graph: legacy.reading.open_graph.open_graph(graph, legacy.BY_ID, ours, {})


def node(node_id, kind, inputs=(), values=()):
    """A saved node; inputs: (name, link)."""
    sockets = [{"name": name, "type": "*", "link": link} for name, link in inputs]
    return {"id": node_id, "type": kind, "inputs": sockets, "widgets_values": list(values)}


def graph(*nodes, links=(), **more):
    return {"nodes": list(nodes), "links": [list(link) for link in links], **more}


def encoder_of(nodes):
    (loader,) = (saved for saved in nodes if saved["type"] == "CLIPVisionLoader")
    return loader["widgets_values"][0]


LOADER = node(1, "CLIPVisionLoader", values=[MISSING])


@pytest.mark.parametrize("passing", ["Reroute", "Reroute (rgthree)"])
def test_an_encoder_behind_a_reroute_is_replaced(installed, opened, passing):
    (nodes,), report = opened(
        graph(
            LOADER,
            node(2, passing, [("", 1)]),
            node(3, "IPAdapterAdvanced", [("clip_vision", 2)]),
            links=[(1, 1, 0, 2, 0, "*"), (2, 2, 0, 3, 5, "*")],
        )
    )
    assert encoder_of(nodes) == INSTALLED
    assert report == [f"'{MISSING}' is not here, and '{INSTALLED}' is of the same kind."]


@pytest.mark.parametrize(
    ("name", "expected"), [(MISSING, INSTALLED), ("mine.safetensors", "mine.safetensors")]
)
def test_where_the_readers_are_hidden_the_name_alone_decides(installed, opened, name, expected):
    loader = node(1, "CLIPVisionLoader", values=[name])
    setter = node(2, "SetNode", [("CLIP_VISION", 1)], ["encoder"])
    (nodes,), _ = opened(graph(loader, setter, links=[(1, 1, 0, 2, 0, "*")]))
    assert encoder_of(nodes) == expected


def test_an_encoder_for_another_packs_node_stays(installed, opened):
    (nodes,), report = opened(
        graph(LOADER, node(2, "StyleModelApply", [("x", 1)]), links=[(1, 1, 0, 2, 0, "*")])
    )
    assert (encoder_of(nodes), report) == (MISSING, [])


def test_an_encoder_goes_into_subgraphs_of_subgraphs(installed, opened):
    inner = graph(node(1, "IPAdapterAdvanced"), id="inner")
    outer = graph(node(1, "inner"), id="outer")
    workflow = graph(
        LOADER,
        node(2, "outer", [("clip_vision", 1)]),
        links=[(1, 1, 0, 2, 0, "*")],
        definitions={"subgraphs": [outer, inner]},
    )
    (nodes, *_), _ = opened(workflow)
    assert encoder_of(nodes) == INSTALLED


def test_an_encoder_goes_out_of_a_subgraph(installed, opened):
    border = {"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0}
    inner = {"id": "inner", "nodes": [LOADER], "links": [border]}
    _, nodes = opened(graph(definitions={"subgraphs": [inner]}))[0]
    assert encoder_of(nodes) == INSTALLED


def test_linked_widgets_stay_links(read):
    prompt = {
        "1": {"class_type": "IPAdapterUnifiedLoader", "inputs": {"preset": ["9", 0]}},
        "2": {"class_type": "IPAdapterAdvanced", "inputs": {"weight_type": ["9", 1]}},
        "3": {"class_type": "IPAdapterModelLoader", "inputs": {"ipadapter_file": ["9", 0]}},
        "4": {
            "class_type": "IPAdapterWeights",
            "inputs": {"timing": "reverse_in_out", "weights": ["9", 0], "frames": 3},
        },
    }
    meant = read(prompt)
    assert meant["1"]["inputs"]["preset"] == ["9", 0]
    assert meant["2"]["inputs"]["weight_type"] == ["9", 1]
    assert meant["3"]["inputs"]["ipadapter_file"] == ["9", 0]
    assert meant["4"]["inputs"]["weights"] == ["9", 0]


@pytest.mark.parametrize("weights", ["no numbers", "0, 1"])
def test_weights_that_cannot_be_read_are_left_to_their_node(read, weights):
    inputs = {"timing": "reverse_in_out", "weights": weights, "frames": 10**9}
    meant = read({"1": {"class_type": "IPAdapterWeights", "inputs": inputs}})
    assert meant["1"]["inputs"]["weights"] == weights


def test_nodes_of_the_same_id_keep_their_own_values(opened):
    presets = [node(1, "IPAdapterAdvanced", values=[1.0, kind]) for kind in ("original", "ease in")]
    (nodes,), _ = opened(graph(*presets))
    assert [saved["widgets_values"][1] for saved in nodes] == ["linear", "ease in"]


def test_three_thousand_nodes_in_a_ring(installed, opened):
    count = 3000
    ring = [node(n, "Reroute", [("", n)]) for n in range(2, count)]
    links = [(n, n - 1, 0, n, 0, "*") for n in range(2, count)] + [(count, count - 1, 0, 2, 0, "*")]
    reader = node(count, "IPAdapterAdvanced", [("clip_vision", count)])
    (nodes,), _ = opened(graph(LOADER, *ring, reader, links=links))
    assert encoder_of(nodes) == INSTALLED


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
            other = source.choice([*ODD, parent[path[-1]], source.choice(every)[-1]])
            action = source.choice(["replace", "replace", "double", "remove"])
            if action == "double" and isinstance(parent, list):
                parent.append(copy.deepcopy(parent[path[-1]]))
            elif action == "remove":
                del parent[path[-1]]
            else:
                parent[path[-1]] = copy.deepcopy(other)
        except (KeyError, IndexError, TypeError):  # an earlier change took it away
            continue
    return value


def test_mutated_graphs_open_or_are_refused(installed, opened):
    source, opened_count = random.Random(16), 0
    for _ in range(MUTATIONS):
        workflow = mutate(source, json.loads(source.choice([*GRAPHS.values()])))
        try:
            nodes, _ = opened(workflow)
        except ValueError:  # no list of nodes
            assert not isinstance(workflow.get("nodes"), list)
            continue
        assert len(nodes[0]) == len(workflow["nodes"])
        opened_count += 1
    assert opened_count > MUTATIONS / 2


def test_mutated_prompts_are_read(installed, read, pack, nodes_by_id):
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
        assert read(mutated).keys() == mutated.keys()
