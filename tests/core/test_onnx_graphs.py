"""Graphs that are nearly a recogniser's are refused, whatever was changed in them."""

from dataclasses import replace

import pytest
from support import arcface

from ipadapter_core.faces.identity.onnx_file import OnnxGraph, read_graph
from ipadapter_core.faces.identity.onnx_layout import read_onnx_parts
from ipadapter_core.messages import Predicate


@pytest.fixture(scope="module")
def graph():
    pytest.importorskip("onnx", reason="onnx is not installed")
    return read_graph(arcface.onnx_file(arcface.random_net()))


def with_nodes(graph, nodes):
    return replace(graph, nodes=tuple(nodes))


def test_every_node_is_needed(graph):
    assert len(graph.nodes) > 20
    for number in range(len(graph.nodes)):
        nodes = [*graph.nodes[:number], *graph.nodes[number + 1 :]]
        with pytest.raises(Predicate):
            read_onnx_parts(with_nodes(graph, nodes))


def test_every_tensor_is_needed(graph):
    used_names = {name for node in graph.nodes for name in node.inputs} & graph.tensors.keys()
    assert len(used_names) > 40
    for name in used_names:
        tensors = {key: tensor for key, tensor in graph.tensors.items() if key != name}
        with pytest.raises(Predicate):
            read_onnx_parts(replace(graph, tensors=tensors))


def test_no_node_may_be_of_another_kind_or_connected_otherwise(graph):
    assert len(graph.nodes) > 20
    for number, node in enumerate(graph.nodes):
        changes = (
            replace(node, operator="Relu"),
            replace(node, inputs=()),
            replace(node, inputs=(*node.inputs, "x", "y", "z", "u", "v")),
            replace(node, outputs=()),
            replace(node, inputs=("nowhere", *node.inputs[1:])),
        )
        for changed in changes:
            nodes = [*graph.nodes[:number], changed, *graph.nodes[number + 1 :]]
            with pytest.raises(Predicate):
                read_onnx_parts(with_nodes(graph, nodes))


@pytest.mark.parametrize(
    ("operator", "attribute", "value"),
    [
        ("Conv", "strides", (3, 3)),
        ("Conv", "pads", (1, 1, 0, 0)),
        ("Conv", "group", 2),
        ("Conv", "dilations", (2, 2)),
        ("Gemm", "transB", 0),
        ("Gemm", "alpha", 0.5),
        ("Flatten", "axis", 2),
        ("BatchNormalization", "epsilon", (1, 2)),
    ],
)
def test_attributes_that_change_the_computation_are_refused(graph, operator, attribute, value):
    numbers = [n for n, node in enumerate(graph.nodes) if node.operator == operator]
    assert numbers
    for number in numbers:
        node = graph.nodes[number]
        changed = replace(node, attributes={**node.attributes, attribute: value})
        nodes = [*graph.nodes[:number], changed, *graph.nodes[number + 1 :]]
        with pytest.raises(Predicate, match=f"{attribute}|{operator}|axis|epsilon"):
            read_onnx_parts(with_nodes(graph, nodes))


def test_graph_in_a_circle_ends(graph):
    """The output of the last block leads back to the first."""
    first_add = next(node for node in graph.nodes if node.operator == "Add")
    last_add = [node for node in graph.nodes if node.operator == "Add"][-1]
    nodes = [
        replace(node, outputs=first_add.outputs) if node is last_add else node
        for node in graph.nodes
    ]
    with pytest.raises(Predicate, match="circle"):
        read_onnx_parts(with_nodes(graph, nodes))


def test_empty_graph_is_refused():
    with pytest.raises(Predicate, match="0 inputs"):
        read_onnx_parts(OnnxGraph(tensors={}, nodes=(), inputs=(), outputs=()))
