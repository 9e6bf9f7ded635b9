"""Values that a subgraph shows on itself, of graphs that are opened."""

import pytest
from support.saved import INSTALLED, MISSING, graph, node

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("installed_encoder")]
OLD, TODAY = "style transfer (SDXL only)", "style transfer"
ADVANCED = [1, OLD, "concat", 0, 1, "V only"]
FROM_BORDER = {"origin_id": -10, "origin_slot": 0, "target_slot": 0, "type": "COMBO"}


def promoted(node_id, kind, name, link, values=()):
    """A node with one input that is a widget and has a link."""
    sockets = [{"name": name, "type": "COMBO", "link": link, "widget": {"name": name}}]
    return {"id": node_id, "type": kind, "inputs": sockets, "widgets_values": list(values)}


def subgraph(name, inner_node, *others):
    link = {"id": 5, "target_id": inner_node["id"], **FROM_BORDER}
    inputs = [{"name": "shown", "linkIds": [5]}]
    return {"id": name, "nodes": [inner_node, *others], "inputs": inputs, "links": [link]}


def opened(opened_graph, node_on_top, *subgraphs):
    (top, *inside), report = opened_graph(
        graph(node_on_top, definitions={"subgraphs": list(subgraphs)})
    )
    return top[0]["widgets_values"], inside, report


def test_a_promoted_option_gets_its_name_of_today(opened_graph):
    inner_node = promoted(2, "IPAdapterAdvanced", "weight_type", 5, ADVANCED)
    shown = promoted(1, "sub", "shown", None, [OLD])
    values, ((inner,),), report = opened(opened_graph, shown, subgraph("sub", inner_node))
    assert values == [TODAY]
    assert inner["widgets_values"] == [1, TODAY, "concat", 0, 1, "V only"]
    assert [line.values for line in report] == [(OLD, TODAY)]


def test_values_of_two_places_are_read_each_alone(opened_graph):
    inner_node = promoted(2, "IPAdapterAdvanced", "weight_type", 5, ADVANCED)
    shown = promoted(1, "sub", "shown", None, ["linear"])
    values, ((inner,),), _ = opened(opened_graph, shown, subgraph("sub", inner_node))
    assert values == ["linear"]
    assert inner["widgets_values"][1] == TODAY


def test_a_value_promoted_twice_is_read_where_it_is_used(opened_graph):
    inner_node = promoted(2, "IPAdapterAdvanced", "weight_type", 5, ADVANCED)
    middle = subgraph("middle", promoted(3, "sub", "shown", 5, [OLD]))
    shown = promoted(1, "middle", "shown", None, [OLD])
    values, (within, _), _ = opened(opened_graph, shown, middle, subgraph("sub", inner_node))
    assert values == [TODAY]
    assert within[0]["widgets_values"] == [TODAY]


def test_a_promoted_encoder_is_the_one_that_is_here(opened_graph):
    loader = promoted(2, "CLIPVisionLoader", "clip_name", 5, [MISSING])
    reader = node(3, "IPAdapterEncoder", [("clip_vision", 6)])
    inside = subgraph("sub", loader, reader)
    inside["links"].append({**FROM_BORDER, "id": 6, "origin_id": 2, "target_id": 3})
    values, _, report = opened(opened_graph, promoted(1, "sub", "shown", None, [MISSING]), inside)
    assert values == [INSTALLED]
    assert [line.values for line in report] == [(MISSING, INSTALLED)]


def test_a_subgraph_that_holds_itself_opens(opened_graph):
    inside = subgraph("sub", promoted(2, "sub", "shown", 5, [OLD]))
    values, _, report = opened(opened_graph, promoted(1, "sub", "shown", None, [OLD]), inside)
    assert (values, report) == ([OLD], [])


def test_an_option_that_became_two_inputs_stays(opened_graph):
    """What the subgraph shows is one of them; the run reads the old option as both."""
    inner_node = promoted(2, "IPAdapterAdvanced", "weight_type", 5, ADVANCED)
    shown = promoted(1, "sub", "shown", None, ["channel penalty"])
    values, _, report = opened(opened_graph, shown, subgraph("sub", inner_node))
    assert values == ["channel penalty"]
    assert [line.values for line in report] == [(OLD, TODAY)]  # inside
