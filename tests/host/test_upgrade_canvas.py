"""Chains of old nodes in saved workflows: drawn anew as a whole, with links that hold."""

import importlib

import pytest
from support.saved_graphs import Saved, as_subgraph, check_links, source_nodes

pytestmark = pytest.mark.host


@pytest.fixture
def redraw(legacy, every_node):
    canvas = importlib.import_module(f"{legacy.__name__}.upgrade.workflow")
    return lambda graph, only=None: canvas.upgraded_workflow(graph, legacy.BY_ID, every_node, only)


def start(saved):
    checkpoint = saved.add("CheckpointLoaderSimple", ["MODEL", "CLIP", "VAE"], ["v1-5.safetensors"])
    adapter = saved.add("IPAdapterModelLoader", ["IPADAPTER"], ["ip-adapter-plus_sd15.bin"])
    picture = saved.add("LoadImage", ["IMAGE", "MASK"], ["a.png", "image"])
    return {"model": (checkpoint, 0), "ipadapter": (adapter, 0)}, (picture, 0), (picture, 1)


def embeds(saved, past=()):
    """Two encoders, combined, saved and applied; the combined embeds go through so many
    reroutes.
    """
    inputs, picture, _ = start(saved)
    pair = ["EMBEDS", "EMBEDS"]
    recorded = [
        saved.add("IPAdapterEncoder", pair, [weight], ipadapter=inputs["ipadapter"], image=picture)
        for weight in (1, 0.6)
    ]
    links = {f"embed{n}": (id, 0) for n, id in enumerate(recorded, 1)}
    combined = saved.add("IPAdapterCombineEmbeds", ["EMBEDS"], ["average"], **links)
    for _ in past:
        combined = saved.add("Reroute", ["EMBEDS"], **{"": (combined, 0)})
    sides = {"pos_embed": (combined, 0), "neg_embed": (recorded[0], 1)}
    widgets = [0.8, "linear", 0, 1, "V only"]
    applied = saved.add("IPAdapterEmbeds", ["MODEL"], widgets, **inputs, **sides)
    saved.add("KSampler", ["LATENT"], model=(applied, 0))
    saved.add("IPAdapterSaveEmbeds", [], ["mine"], embeds=(combined, 0))
    return applied


@pytest.mark.parametrize("past", [(), (1,), (1, 2)], ids=len)
def test_a_chain_of_embeds(redraw, past):
    saved = Saved()
    applied = embeds(saved, past)
    result, report = redraw(saved.graph())
    check_links(result)
    assert not [each for each in report if " stays" in each.describe()]
    kinds = sorted(node["type"] for node in result["nodes"])
    assert not {"EMBEDS", "Reroute", "IPAdapterEncoder"} & set(kinds)
    assert kinds.count("EncodeIPAdapterReference") == 2
    sources = source_nodes(result, applied)
    assert sources["embeds"]["type"] == "CombineIPAdapterEmbeds"
    assert sources["embeds_negative"]["type"] == "IPAdapterNegativeReference"
    assert sources["embeds_negative"]["widgets_values"] == ["black", 1.0, 0, "fixed", 0, "crop"]
    names = [input["name"] for input in sources["embeds"]["inputs"]]
    assert names == ["references.embeds0", "references.embeds1"]
    assert sources["embeds"]["widgets_values"] == ["average", "before"]


def test_one_node_of_a_chain_takes_the_others_along(redraw):
    saved = Saved()
    applied = embeds(saved)
    result, report = redraw(saved.graph(), {str(applied)})
    check_links(result)
    kinds = {node["type"] for node in result["nodes"]}
    assert {"IPAdapterModelLoader", "EncodeIPAdapterReference", "SaveIPAdapterEmbeds"} <= kinds
    assert len(report) == 5  # the loader is not asked for, and goes with any of them


@pytest.mark.parametrize("mode", [2, 4])
def test_a_chain_with_a_stranger_or_an_idle_part_still_holds(redraw, mode):
    saved = Saved()
    embeds(saved)
    combined = next(n["id"] for n in saved.nodes if n["type"] == "IPAdapterCombineEmbeds")
    saved.add("SomeoneElsesNode", [], embeds=(combined, 0))
    result, report = redraw(saved.graph())
    check_links(result)
    assert {"IPAdapterEncoder", "IPAdapterEmbeds"} <= {node["type"] for node in result["nodes"]}
    assert any("to which it is connected, is not" in change.describe() for change in report)
    idle = Saved()
    embeds(idle)
    idle.nodes[combined - 1]["mode"] = mode
    result, _ = redraw(idle.graph())
    check_links(result)
    assert [n["type"] for n in result["nodes"] if n["mode"] == mode] == ["IPAdapterCombineEmbeds"]


def test_regions_and_their_texts(redraw):
    saved = Saved()
    inputs, picture, mask = start(saved)
    text = saved.add("CLIPTextEncode", ["CONDITIONING"], ["a"], clip=(inputs["model"][0], 1))
    outputs = ["IPADAPTER_PARAMS", "CONDITIONING", "CONDITIONING"]
    widgets = [0.9, 0.8, "ease in", 0, 1]
    links = {"image": picture, "mask": mask, "positive": (text, 0)}
    first_region = saved.add("IPAdapterRegionalConditioning", outputs, widgets, **links)
    two = saved.add("IPAdapterRegionalConditioning", outputs, widgets, image=picture)
    params = {"params_1": (first_region, 0), "params_2": (two, 0)}
    pair = saved.add("IPAdapterCombineParams", ["IPADAPTER_PARAMS"], **params)
    shifted = saved.add("Reroute", ["IPADAPTER_PARAMS"], **{"": (pair, 0)})
    applied = saved.add(
        "IPAdapterFromParams",
        ["MODEL"],
        ["concat", "V only"],
        **inputs,
        ipadapter_params=(shifted, 0),
    )
    saved.add("KSampler", ["LATENT"], model=(applied, 0), positive=(first_region, 1))
    result, report = redraw(saved.graph())
    check_links(result)
    kinds = sorted(node["type"] for node in result["nodes"])
    assert kinds.count("ApplyIPAdapter") == 2 and kinds.count("ConditioningSetMask") == 1
    assert not [kind for kind in kinds if "Params" in kind or kind == "Reroute"]
    lines = [change.describe() for change in report]
    assert sum(" is removed: " in line for line in lines) == 2
    again, _ = redraw(saved.graph(), {str(applied)})
    check_links(again)


@pytest.fixture
def in_subgraph():
    """A chain of embeds in a subgraph, whose picture comes in and whose embeds also go out."""
    saved = Saved()
    embeds(saved)
    ids = {node["type"]: node["id"] for node in saved.nodes}
    return as_subgraph(saved.graph(), ids["LoadImage"], ids["IPAdapterCombineEmbeds"])


def test_embeds_that_leave_a_subgraph_stay(redraw, in_subgraph):
    new_graph, report = redraw(in_subgraph)
    assert any("leaves the subgraph" in change.describe() for change in report)
    (subgraph,) = new_graph["definitions"]["subgraphs"]
    assert subgraph["outputs"][0]["linkIds"] == [99]


def test_links_at_the_border_of_a_subgraph_are_known_there(redraw, in_subgraph):
    del in_subgraph["definitions"]["subgraphs"][0]["links"][-1]  # the one that leaves it
    (subgraph,) = redraw(in_subgraph)[0]["definitions"]["subgraphs"]
    assert "IPAdapterEncoder" not in {node["type"] for node in subgraph["nodes"]}
    from_outside = [link["id"] for link in subgraph["links"] if link["origin_id"] == -10]
    assert subgraph["inputs"][0]["linkIds"] == from_outside and len(from_outside) == 1


@pytest.mark.parametrize("behaviour", ["IPAdapter_plus", "paper"])
def test_what_ipadapter_old_graphs_asks_for_is_read(redraw, behaviour):
    saved = Saved()
    inputs, picture, _ = start(saved)
    requests = saved.add("IPAdapterOldGraphs", ["MODEL"], [behaviour], model=inputs["model"])
    links = inputs | {"model": (requests, 0), "image": picture}
    saved.add("IPAdapterAdvanced", ["MODEL"], [0.8, "linear", "concat", 0, 1, "V only"], **links)
    result, _ = redraw(saved.graph())
    check_links(result)
    black = "EmptyImage" in {node["type"] for node in result["nodes"]}
    assert black is (behaviour != "paper")
