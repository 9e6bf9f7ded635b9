"""ONNX files of recognisers: the graph is followed from its input to its output.

Layers are known by how they are connected, not by their names, which exporters make up. Batch
norms may be folded into the convolutions, as in the published files, or follow them.
"""

from collections import defaultdict

from ...messages import Predicate, printable
from .onnx_file import OnnxGraph, OnnxNode, OnnxTensor
from .parts import (
    BATCH_NORM_EPSILON,
    BlockPart,
    NormPart,
    RecogniserParts,
    TensorSource,
    WeightPart,
)

NORM, CONV, ACTIVATION, FULLY_CONNECTED = "BatchNormalization", "Conv", "PRelu", "Gemm"


def read_onnx_parts(graph: OnnxGraph) -> RecogniserParts:
    """The parts of a recogniser. Raises Predicate for a graph of another kind."""
    return _GraphWalk(graph).recogniser()


class _GraphWalk:
    """Reads a graph along the way of the data. What flows from node to node are
    values, known by their names."""

    def __init__(self, graph: OnnxGraph):
        self.graph = graph
        self.nodes_by_input: dict[str, list[OnnxNode]] = defaultdict(list)
        for node in graph.nodes:
            for name in dict.fromkeys(node.inputs):
                self.nodes_by_input[name].append(node)

    def recogniser(self) -> RecogniserParts:
        stem, value_name = self._weight_layer(self._input_value(), CONV)
        stem_activation, value_name = self._activation(value_name)
        blocks: list[BlockPart] = []
        while len(blocks) <= len(self.graph.nodes):  # a graph in a circle has an end too
            norm, normed_value = self._norm(value_name)
            if not self._nodes(normed_value, CONV):
                projection = self._projection(normed_value)
                return RecogniserParts(
                    stem=stem,
                    stem_activation=stem_activation,
                    blocks=tuple(blocks),
                    output_norm=norm,
                    projection=projection,
                )
            block, value_name = self._block(value_name, norm, normed_value)
            blocks.append(block)
        raise _foreign("its blocks are in a circle")

    def _input_value(self) -> str:
        """Older exporters list the weights among the inputs too."""
        value_names = [name for name in self.graph.inputs if name not in self.graph.tensors]
        if len(value_names) != 1:
            raise _foreign(f"it has {len(value_names)} inputs, expected 1")
        return value_names[0]

    def _block(self, value_name: str, norm: NormPart, normed_value: str) -> tuple[BlockPart, str]:
        conv1, next_value = self._weight_layer(normed_value, CONV)
        activation, next_value = self._activation(next_value)
        has_shortcut = bool(self._nodes(value_name, CONV))
        conv2, residual_value = self._weight_layer(next_value, CONV, stride=1 + has_shortcut)
        shortcut, shortcut_value = None, value_name
        if has_shortcut:
            shortcut, shortcut_value = self._weight_layer(value_name, CONV, stride=2, padding=0)
        addition = self._node(residual_value, "Add")
        if set(addition.inputs) != {residual_value, shortcut_value}:
            raise _foreign("an 'Add' does not close a block")
        block = BlockPart(
            input_norm=norm, conv1=conv1, activation=activation, conv2=conv2, shortcut=shortcut
        )
        return block, _output(addition)

    def _projection(self, value_name: str) -> WeightPart:
        flatten = self._node(value_name, "Flatten")
        if flatten.attributes.get("axis", 1) != 1 or len(flatten.inputs) != 1:
            raise _foreign("its 'Flatten' has another axis or more inputs")
        projection, value_name = self._weight_layer(_output(flatten), FULLY_CONNECTED)
        if self.graph.outputs != (value_name,):
            raise _foreign("more follows after its last layer")
        return projection

    def _weight_layer(
        self, value_name: str, operator: str, stride: int = 1, padding: int = 1
    ) -> tuple[WeightPart, str]:
        """A convolution or linear layer, and the batch norm after it, if one follows."""
        node = self._node(value_name, operator)
        _check_attributes(node, stride, padding)
        weight, *biases = (self._tensor(name) for name in node.inputs[1:] if name)
        next_value = _output(node)
        norm = None
        if self._nodes(next_value, NORM):
            norm, next_value = self._norm(next_value)
        return WeightPart(weight, biases[0] if biases else None, norm), next_value

    def _activation(self, value_name: str) -> tuple[TensorSource, str]:
        node = self._node(value_name, ACTIVATION)
        if len(node.inputs) != 2:
            raise _foreign(f"a '{ACTIVATION}' has {len(node.inputs)} inputs, expected 2")
        return self._tensor(node.inputs[1]), _output(node)

    def _norm(self, value_name: str) -> tuple[NormPart, str]:
        node = self._node(value_name, NORM)
        if len(node.inputs) != 5:
            raise _foreign(f"a '{NORM}' has {len(node.inputs)} inputs, expected 5")
        weight, bias, mean, variance = (self._tensor(name) for name in node.inputs[1:])
        epsilon = node.attributes.get("epsilon", BATCH_NORM_EPSILON)
        if isinstance(epsilon, tuple):
            raise _foreign(f"a '{NORM}' has several epsilons")
        norm = NormPart(
            weight=weight, bias=bias, mean=mean, variance=variance, epsilon=float(epsilon)
        )
        return norm, _output(node)

    def _nodes(self, value_name: str, operator: str) -> list[OnnxNode]:
        """The nodes of that kind whose first input is a value, of an `Add` either input."""
        return [
            node
            for node in self.nodes_by_input.get(value_name, [])
            if node.operator == operator and (operator == "Add" or node.inputs[0] == value_name)
        ]

    def _node(self, value_name: str, operator: str) -> OnnxNode:
        nodes = self._nodes(value_name, operator)
        if len(nodes) != 1:
            raise _foreign(f"{len(nodes)} '{operator}' where 1 was expected")
        return nodes[0]

    def _tensor(self, name: str) -> OnnxTensor:
        if name not in self.graph.tensors:
            raise _foreign(f"the tensor '{printable(name)}' is missing")
        return self.graph.tensors[name]


def _output(node: OnnxNode) -> str:
    if not node.outputs:
        raise _foreign(f"a '{printable(node.operator)}' has no output")
    return node.outputs[0]


def _check_attributes(node: OnnxNode, stride: int, padding: int) -> None:
    """Raises Predicate if a layer computes something else than the net's layer of its kind."""
    if len(node.inputs) not in (2, 3):
        raise _foreign(f"a '{node.operator}' has {len(node.inputs)} inputs, expected 2 or 3")
    expected = (
        {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
        if node.operator == FULLY_CONNECTED
        else {"group": 1, "strides": (stride,) * 2, "pads": (padding,) * 4, "dilations": (1, 1)}
    )
    defaults = {"group": 1, "strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1)}
    defaults |= {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
    for name, value in expected.items():
        if node.attributes.get(name, defaults[name]) != value:
            raise _foreign(f"the '{name}' of a '{node.operator}' is not {value}")


def _foreign(reason: str) -> Predicate:
    return Predicate("is an ONNX file, but not of an ArcFace recogniser (<1>)", reason)
