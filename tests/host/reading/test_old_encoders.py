"""Which image encoder a saved graph or a prompt gets, where it names a file that is not here."""

import time

import pytest
from support.saved import (
    INSTALLED,
    LOADER,
    MISSING,
    encoder_of,
    graph,
    node,
)

REPLACED = f"'{MISSING}' is not installed: '{INSTALLED}', of the same kind, is used instead."
pytestmark = pytest.mark.host

MOST_SECONDS = 2


@pytest.mark.parametrize("passing", ["Reroute", "Reroute (rgthree)"])
def test_an_encoder_behind_a_reroute_is_replaced(installed_encoder, opened_graph, passing):
    (nodes,), report = opened_graph(
        graph(
            LOADER,
            node(2, passing, [("", 1)]),
            node(3, "IPAdapterAdvanced", [("clip_vision", 2)]),
            links=[(1, 1, 0, 2, 0, "*"), (2, 2, 0, 3, 5, "*")],
        )
    )
    assert encoder_of(nodes) == INSTALLED
    assert report == [
        f"'{MISSING}' is not installed: '{INSTALLED}', of the same kind, is used instead."
    ]


@pytest.mark.parametrize(
    ("name", "expected"), [(MISSING, INSTALLED), ("mine.safetensors", "mine.safetensors")]
)
def test_where_the_readers_are_hidden_the_name_alone_decides(
    installed_encoder, opened_graph, name, expected
):
    loader = node(1, "CLIPVisionLoader", values=[name])
    setter = node(2, "SetNode", [("CLIP_VISION", 1)], ["encoder"])
    (nodes,), _ = opened_graph(graph(loader, setter, links=[(1, 1, 0, 2, 0, "*")]))
    assert encoder_of(nodes) == expected


@pytest.mark.parametrize("kinds", [("SetNode", "GetNode"), ("easy setNode", "easy getNode")])
@pytest.mark.parametrize(
    ("getter_name", "reader", "expected"),
    [
        ("encoder", "IPAdapterAdvanced", INSTALLED),
        ("encoder", "StyleModelApply", "mine.safetensors"),
        ("other", "IPAdapterAdvanced", "mine.safetensors"),
    ],
)
def test_an_encoder_goes_from_a_setter_to_the_getters_of_its_name(
    installed_encoder, opened_graph, kinds, getter_name, reader, expected
):
    set_kind, get_kind = kinds
    (nodes,), _ = opened_graph(
        graph(
            node(1, "CLIPVisionLoader", values=["mine.safetensors"]),
            node(2, set_kind, [("CLIP_VISION", 1)], ["encoder"]),
            node(3, get_kind, values=[getter_name]),
            node(4, reader, [("clip_vision", 2)]),
            links=[(1, 1, 0, 2, 0, "*"), (2, 3, 0, 4, 5, "*")],
        )
    )
    assert encoder_of(nodes) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [(MISSING, INSTALLED), ("mine.safetensors", "mine.safetensors")]
)
@pytest.mark.parametrize(
    "switch", ["Any Switch (rgthree)", "ImpactSwitch", "CR Clip Vision Switch"]
)
def test_behind_a_switch_the_name_alone_decides(
    installed_encoder, opened_graph, read_prompt, name, expected, switch
):
    saved = graph(
        node(1, "CLIPVisionLoader", values=[name]),
        node(2, switch, [("any_01", 1)]),
        node(3, "Reroute", [("", 2)]),
        node(4, "IPAdapterAdvanced", [("clip_vision", 3)]),
        links=[(1, 1, 0, 2, 0, "*"), (2, 2, 0, 3, 0, "*"), (3, 3, 0, 4, 0, "*")],
    )
    assert encoder_of(opened_graph(saved)[0][0]) == expected
    prompt = {
        "1": {"class_type": "CLIPVisionLoader", "inputs": {"clip_name": name}},
        "2": {"class_type": switch, "inputs": {"any_01": ["1", 0]}},
        "4": {"class_type": "IPAdapterAdvanced", "inputs": {"clip_vision": ["2", 0]}},
    }
    assert read_prompt(prompt)["1"]["inputs"]["clip_name"] == expected


@pytest.mark.parametrize(
    ("name", "expected"), [(MISSING, INSTALLED), ("mine.safetensors", "mine.safetensors")]
)
def test_where_links_are_hidden_the_name_alone_decides(
    installed_encoder, opened_graph, name, expected
):
    loader = node(1, "CLIPVisionLoader", values=[name])
    everywhere = node(2, "Anything Everywhere", [("anything", 1)])
    (nodes,), _ = opened_graph(graph(loader, everywhere, links=[(1, 1, 0, 2, 0, "*")]))
    assert encoder_of(nodes) == expected


def test_the_adapter_of_a_getter_says_which_encoder_is_needed(
    installed_encoder, opened_graph, pack, monkeypatch
):
    """The setter's own loader is asked, not one behind another name."""
    encoders = pack.nodes.legacy.reading.encoders
    requests = []
    monkeypatch.setattr(encoders, "_adapter_spec", lambda name: requests.append(name))
    opened_graph(
        graph(
            LOADER,
            node(2, "IPAdapterModelLoader", values=["a.bin"]),
            node(3, "SetNode", [("IPADAPTER", 1)], ["adapter"]),
            node(4, "IPAdapterModelLoader", values=["b.bin"]),
            node(5, "SetNode", [("IPADAPTER", 2)], ["another"]),
            node(6, "GetNode", values=["adapter"]),
            node(7, "IPAdapterAdvanced", [("ipadapter", 3), ("clip_vision", 4)]),
            links=[
                (1, 2, 0, 3, 0, "*"),
                (2, 4, 0, 5, 0, "*"),
                (3, 6, 0, 7, 0, "*"),
                (4, 1, 0, 7, 1, "*"),
            ],
        )
    )
    assert "a.bin" in requests and "b.bin" not in requests


def test_a_primitive_holds_the_file_that_is_here(installed_encoder, opened_graph):
    saved = graph(
        node(9, "PrimitiveNode", values=[MISSING, "fixed"]),
        node(1, "CLIPVisionLoader", [("clip_name", 1)], ["shadowed"]),
        node(2, "IPAdapterAdvanced", [("clip_vision", 2)]),
        links=[(1, 9, 0, 1, 0, "COMBO"), (2, 1, 0, 2, 0, "*")],
    )
    (nodes,), report = opened_graph(saved)
    assert nodes[0]["widgets_values"] == [INSTALLED, "fixed"]
    assert nodes[1]["widgets_values"] == [INSTALLED]
    assert report == [
        f"'{MISSING}' is not installed: '{INSTALLED}', of the same kind, is used instead."
    ]


def test_a_primitive_of_nodes_that_want_different_values_stays(opened_graph):
    saved = graph(
        node(9, "PrimitiveNode", values=["original", "fixed"]),
        node(1, "IPAdapterAdvanced", [("weight_type", 1)], [1.0, "linear"]),
        node(2, "IPAdapterSomethingElse", [("weight_type", 2)]),
        links=[(1, 9, 0, 1, 0, "COMBO"), (2, 9, 0, 2, 0, "COMBO")],
    )
    (nodes,), _ = opened_graph(saved)
    assert nodes[0]["widgets_values"] == ["original", "fixed"]
    assert nodes[1]["widgets_values"][1] == "linear"


def test_an_encoder_for_another_packs_node_stays(installed_encoder, opened_graph):
    (nodes,), report = opened_graph(
        graph(LOADER, node(2, "StyleModelApply", [("x", 1)]), links=[(1, 1, 0, 2, 0, "*")])
    )
    assert (encoder_of(nodes), report) == (MISSING, [])


def test_an_encoder_goes_into_subgraphs_of_subgraphs(installed_encoder, opened_graph):
    inner = graph(node(1, "IPAdapterAdvanced"), id="inner")
    outer = graph(node(1, "inner"), id="outer")
    workflow = graph(
        LOADER,
        node(2, "outer", [("clip_vision", 1)]),
        links=[(1, 1, 0, 2, 0, "*")],
        definitions={"subgraphs": [outer, inner]},
    )
    (nodes, *_), _ = opened_graph(workflow)
    assert encoder_of(nodes) == INSTALLED


def test_an_encoder_goes_out_of_a_subgraph(installed_encoder, opened_graph):
    border = {"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0}
    inner = {"id": "inner", "nodes": [LOADER], "links": [border]}
    _, nodes = opened_graph(graph(definitions={"subgraphs": [inner]}))[0]
    assert encoder_of(nodes) == INSTALLED


def test_three_thousand_nodes_in_a_ring(installed_encoder, opened_graph):
    count = 3000
    ring = [node(n, "Reroute", [("", n)]) for n in range(2, count)]
    links = [(n, n - 1, 0, n, 0, "*") for n in range(2, count)] + [(count, count - 1, 0, 2, 0, "*")]
    reader = node(count, "IPAdapterAdvanced", [("clip_vision", count)])
    (nodes,), _ = opened_graph(graph(LOADER, *ring, reader, links=links))
    assert encoder_of(nodes) == INSTALLED


def test_three_thousand_loaders_and_readers(installed_encoder, opened_graph):
    """Each is looked at once, wherever it leads."""
    loaders = [node(n, "CLIPVisionLoader", values=[MISSING]) for n in range(1, 1001)]
    setters = [node(n + 1000, "SetNode", [("", n)], ["same"]) for n in range(1, 1001)]
    getters = [node(n + 2000, "GetNode", values=["same"]) for n in range(1, 1001)]
    links = [(n, n, 0, n + 1000, 0, "*") for n in range(1, 1001)]
    start = time.process_time()
    (nodes,), _ = opened_graph(graph(*loaders, *setters, *getters, links=links))
    assert time.process_time() - start < MOST_SECONDS
    assert len(nodes) == 3000
