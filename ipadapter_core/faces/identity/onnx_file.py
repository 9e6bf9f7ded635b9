"""A small reader of ONNX files: tensors, nodes and their attributes. Nothing in a file is executed.

An ONNX file is one protobuf message (https://protobuf.dev/programming-guides/encoding,
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Only the four levels model, graph, node
and attribute are read; graphs within attributes are not. Every malformed file is a Predicate.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from ...messages import Predicate, printable

# the published recognisers need some 10 thousand fields; a file of very many tiny ones takes long
MOST_FIELDS = 200_000
MOST_DIMENSIONS = 8
MOST_NUMBERS = 2**40  # of a tensor, its empty sides aside
LONGEST_NAME = 500
DTYPES = {1: torch.float32, 10: torch.float16, 11: torch.float64}
# numbers of fields in onnx.proto
MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_TENSOR, GRAPH_INPUT, GRAPH_OUTPUT = 1, 5, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE = 1, 2, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS = 1, 2, 3, 8
TENSOR_SHAPE, TENSOR_DTYPE, TENSOR_FLOATS, TENSOR_NAME, TENSOR_BYTES = 1, 2, 4, 8, 9
TENSOR_LOCATION = 14
VALUE_NAME = 1

FieldValue = int | memoryview
AttributeValue = int | float | tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OnnxTensor:
    """A tensor of a file; its numbers stay there until they are loaded."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    data: memoryview

    def load(self) -> Tensor:
        if not self.data:
            return torch.zeros(self.shape, dtype=self.dtype)
        return torch.frombuffer(bytearray(self.data), dtype=self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class OnnxNode:
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    tensors: Mapping[str, OnnxTensor]
    nodes: tuple[OnnxNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(data: bytes | memoryview) -> OnnxGraph:
    """The graph of an ONNX file. Raises Predicate for anything that is none."""
    return _Reader().graph(memoryview(data))


class _Reader:
    """Reads the messages of one file, of which it counts the fields."""

    def __init__(self):
        self.field_count = 0

    def graph(self, data: memoryview) -> OnnxGraph:
        graph_messages = self._fields_by_number(data)[MODEL_GRAPH]
        if len(graph_messages) != 1:
            raise Predicate("is not an ONNX file: it holds <1> graphs", len(graph_messages))
        fields = self._fields_by_number(_message(graph_messages[0]))
        tensors = [self._tensor(_message(field_value)) for field_value in fields[GRAPH_TENSOR]]
        tensors_by_name = {tensor.name: tensor for tensor in tensors}
        if len(tensors_by_name) != len(tensors):
            raise _damaged("two tensors have the same name")
        return OnnxGraph(
            tensors=tensors_by_name,
            nodes=tuple(self._node(_message(field_value)) for field_value in fields[GRAPH_NODE]),
            inputs=tuple(self._name(_message(field_value)) for field_value in fields[GRAPH_INPUT]),
            outputs=tuple(
                self._name(_message(field_value)) for field_value in fields[GRAPH_OUTPUT]
            ),
        )

    def _name(self, message: memoryview) -> str:
        return _last_text(self._fields_by_number(message)[VALUE_NAME])

    def _node(self, message: memoryview) -> OnnxNode:
        fields = self._fields_by_number(message)
        attributes: dict[str, AttributeValue] = {}
        for field_value in fields[NODE_ATTRIBUTE]:
            attributes |= self._attribute(_message(field_value))
        return OnnxNode(
            operator=_last_text(fields[NODE_OPERATOR]),
            inputs=tuple(map(_text, fields[NODE_INPUT])),
            outputs=tuple(map(_text, fields[NODE_OUTPUT])),
            attributes=attributes,
        )

    def _attribute(self, message: memoryview) -> dict[str, AttributeValue]:
        """The attribute if it is a number or a list of whole numbers, else nothing."""
        fields = self._fields_by_number(message)
        name = _last_text(fields[ATTRIBUTE_NAME])
        if fields[ATTRIBUTE_INTS]:
            return {name: self._whole_numbers(fields[ATTRIBUTE_INTS])}
        if fields[ATTRIBUTE_INT]:
            return {name: _signed(fields[ATTRIBUTE_INT][-1])}
        if fields[ATTRIBUTE_FLOAT]:
            return {name: _float(fields[ATTRIBUTE_FLOAT][-1])}
        return {}

    def _tensor(self, message: memoryview) -> OnnxTensor:
        fields = self._fields_by_number(message)
        if any(_signed(field_value) for field_value in fields[TENSOR_LOCATION]):
            raise Predicate("keeps its weights in another file: use one that holds them itself")
        name = _last_text(fields[TENSOR_NAME])
        shape = self._whole_numbers(fields[TENSOR_SHAPE])
        dtype_number = _signed(fields[TENSOR_DTYPE][-1]) if fields[TENSOR_DTYPE] else 0
        data_values = fields[TENSOR_BYTES] or fields[TENSOR_FLOATS]
        data = _message(data_values[-1]) if data_values else memoryview(b"")
        return _checked_tensor(name, shape, DTYPES.get(dtype_number), data)

    def _whole_numbers(self, values: Sequence[FieldValue]) -> tuple[int, ...]:
        """Numbers that stand in a field each, or packed into one."""
        numbers: list[int] = []
        for field_value in values:
            numbers += (
                [_signed(field_value)]
                if isinstance(field_value, int)
                else self._packed_numbers(field_value)
            )
        return tuple(numbers)

    def _packed_numbers(self, message: memoryview) -> Iterator[int]:
        position = 0
        while position < len(message):
            number, position = _varint(message, position)
            self._count_field()
            yield _signed(number)

    def _fields_by_number(self, message: memoryview) -> defaultdict[int, list[FieldValue]]:
        values_by_number: defaultdict[int, list[FieldValue]] = defaultdict(list)
        for field_number, field_value in self._fields(message):
            values_by_number[field_number].append(field_value)
        return values_by_number

    def _fields(self, message: memoryview) -> Iterator[tuple[int, FieldValue]]:
        """Number and value of each field of a message."""
        position = 0
        while position < len(message):
            self._count_field()
            key, position = _varint(message, position)
            field_number, wire_type = key >> 3, key & 7
            if wire_type == 0:
                field_value, position = _varint(message, position)
                yield field_number, field_value
                continue
            length, position = _field_length(message, position, wire_type)
            if length > len(message) - position:
                raise _damaged("a field is longer than the file")
            yield field_number, message[position : position + length]
            position += length

    def _count_field(self) -> None:
        self.field_count += 1
        if self.field_count > MOST_FIELDS:
            raise Predicate("is not a face recogniser: it holds more than <1> fields", MOST_FIELDS)


def _field_length(message: memoryview, position: int, wire_type: int) -> tuple[int, int]:
    """The length of a field's value, and where the value begins."""
    if wire_type == 1:
        return 8, position
    if wire_type == 5:
        return 4, position
    if wire_type == 2:
        return _varint(message, position)
    raise _damaged("a field has an unknown type")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the position after it."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise _damaged("it ends within a number")
        byte = message[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number & (2**64 - 1), position
    raise _damaged("a number has more than 64 bits")


def _checked_tensor(
    name: str, shape: tuple[int, ...], dtype: torch.dtype | None, data: memoryview
) -> OnnxTensor:
    """The tensor, if its bytes are as many as its shape needs; of another type, without any."""
    is_possible = len(shape) <= MOST_DIMENSIONS and all(side >= 0 for side in shape)
    if not is_possible or prod(max(side, 1) for side in shape) > MOST_NUMBERS:
        raise _damaged("a tensor has an impossible shape")
    if dtype is None:  # indices of a Reshape and the like, which are not read
        return OnnxTensor(name=name, shape=(0,), dtype=torch.float32, data=memoryview(b""))
    if prod(shape) * dtype.itemsize != len(data):
        raise _damaged(f"the tensor '{printable(name)}' has too few or too many numbers")
    return OnnxTensor(name=name, shape=shape, dtype=dtype, data=data)


def _message(field_value: FieldValue) -> memoryview:
    if isinstance(field_value, int):
        raise _damaged("a number stands where a message was expected")
    return field_value


def _text(field_value: FieldValue) -> str:
    data = _message(field_value)
    if len(data) > LONGEST_NAME:
        raise _damaged("a name is too long")
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise _damaged("a name is not text") from None


def _last_text(values: Sequence[FieldValue]) -> str:
    """Of a field that should stand once; the last counts, as protobuf wants it."""
    return _text(values[-1]) if values else ""


def _signed(field_value: FieldValue) -> int:
    if not isinstance(field_value, int):
        raise _damaged("a message stands where a number was expected")
    return field_value - 2**64 if field_value >= 2**63 else field_value


def _float(field_value: FieldValue) -> float:
    data = _message(field_value)
    if len(data) != 4:
        raise _damaged("a number has the wrong length")
    return struct.unpack("<f", data)[0]


def _damaged(reason: str) -> Predicate:
    return Predicate("is damaged or not an ONNX file (<1>): download it again", reason)
