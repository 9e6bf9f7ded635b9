"""Old nodes in saved workflows: drawn anew as what they become, with links that hold."""

import importlib
from typing import NamedTuple

import pytest
from support.saved_graphs import Saved, check_links, source_nodes

pytestmark = pytest.mark.host


def advanced():
    """A graph of 2024, whose apply node has no embeds_scaling yet."""
    graph = Saved()
    outputs = ["MODEL", "CLIP", "VAE"]
    checkpoint = graph.add("CheckpointLoaderSimple", outputs, ["v1-5.safetensors"])
    adapter = graph.add("IPAdapterModelLoader", ["IPADAPTER"], ["ip-adapter_sd15.bin"])
    picture = graph.add("LoadImage", ["IMAGE", "MASK"], ["a.png", "image"])
    links = {"model": (checkpoint, 0), "ipadapter": (adapter, 0), "image": (picture, 0)}
    widgets = [0.8, "ease out", "concat", 0.0, 0.9]
    applied = graph.add("IPAdapterAdvanced", ["MODEL"], widgets, **links)
    graph.add("KSampler", ["LATENT"], model=(applied, 0))
    return graph.graph()


def unified():
    graph = Saved()
    unet = graph.add("UNETLoader", ["MODEL"], ["v1-5.safetensors", "default"])
    preset = ["STANDARD (medium strength)"]
    loader = graph.add("IPAdapterUnifiedLoader", ["MODEL", "IPADAPTER"], preset, model=(unet, 0))
    picture = graph.add("LoadImage", ["IMAGE", "MASK"], ["a.png", "image"])
    links = {"model": (loader, 0), "ipadapter": (loader, 1), "image": (picture, 0)}
    applied = graph.add("IPAdapter", ["MODEL"], [0.8, 0.0, 1.0], **links)
    graph.add("KSampler", ["LATENT"], model=(applied, 0))
    return graph.graph()


class Case(NamedTuple):
    """One old graph, and what of the new one is not as in every other."""

    old_graph: dict
    loader: str  # of the model
    adapter_id: int
    adapter_file: str
    map_widgets: list
    apply_widgets: list
    installed_adapters: tuple = ()  # those that a preset may mean


CASES = {
    "advanced": Case(
        advanced(),
        "CheckpointLoaderSimple",
        2,
        "ip-adapter_sd15.bin",
        ["ease out", 1.0, 1.0, "middle:0, rest:1"],
        [0.8, 0.0, 0.9],
    ),
    "unified loader": Case(
        unified(),
        "UNETLoader",
        2,
        "base.safetensors",
        ["balanced", 1.0, 1.0, "middle:0, rest:1"],
        [0.8, 0.0, 1.0],
        ("base.safetensors",),
    ),
}
APPLY_ID = 4


@pytest.fixture
def redraw(legacy, nodes_by_id, monkeypatch, case):
    """A graph -> the new one and the report."""
    workflow, installed_files = (
        importlib.import_module(f"{legacy.__name__}.{module}")
        for module in ("upgrade.workflow", "ids.installed_files")
    )
    if adapters := case.installed_adapters:
        monkeypatch.setattr(installed_files, "installed_adapters", lambda kind: list(adapters))
    return lambda graph: workflow.upgraded_workflow(graph, legacy.BY_ID, nodes_by_id)


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    return request.param


@pytest.fixture
def new_graph(redraw, case):
    return redraw(case.old_graph)[0]


@pytest.fixture
def by_type(new_graph):
    return {node["type"]: node for node in new_graph["nodes"]}


def test_every_old_node_is_replaced(by_type, new_graph, case):
    new_types = {"LoadIPAdapter", "LoadCLIPVision", "IPAdapterWeightMap", "ApplyIPAdapter"}
    assert by_type.keys() == {case.loader, "LoadImage", "KSampler"} | new_types
    assert len(new_graph["nodes"]) == 7


def test_a_new_node_has_the_place_of_the_old_one(by_type, case):
    assert by_type["ApplyIPAdapter"]["id"] == APPLY_ID
    assert by_type["LoadIPAdapter"]["id"] == case.adapter_id


def test_widgets_say_the_same(by_type, case):
    assert by_type["LoadIPAdapter"]["widgets_values"][0] == case.adapter_file
    assert by_type["ApplyIPAdapter"]["widgets_values"][:3] == case.apply_widgets
    assert by_type["IPAdapterWeightMap"]["widgets_values"][:4] == case.map_widgets


def test_links_hold(new_graph):
    check_links(new_graph)


def test_inputs_come_from_where_they_came(by_type, new_graph, case):
    sources = source_nodes(new_graph, APPLY_ID)
    assert {name: node["type"] for name, node in sources.items()} == {
        "model": case.loader,
        "ipadapter": "LoadIPAdapter",
        "clip_vision": "LoadCLIPVision",
        "image": "LoadImage",
        "weight_map": "IPAdapterWeightMap",
    }
    (sampled_model,) = source_nodes(new_graph, by_type["KSampler"]["id"]).values()
    assert sampled_model["id"] == APPLY_ID


def test_the_report_says_what_each_became(redraw, case):
    loader, applied = (change.describe() for change in redraw(case.old_graph)[1])
    assert "becomes LoadIPAdapter" in loader
    assert "becomes LoadCLIPVision, IPAdapterWeightMap, ApplyIPAdapter" in applied


def test_a_second_upgrade_changes_nothing(redraw, new_graph):
    again, report = redraw(new_graph)
    assert again["nodes"] == new_graph["nodes"] and not report
