"""The reader of ONNX files reads what the onnx package reads, and of any other bytes says in one
sentence that they are none."""

import random
import struct

import numpy
import pytest
import torch
from support.protobuf import field, message, model, tensor

from ipadapter_core.faces.identity import onnx_file, recognisers
from ipadapter_core.messages import Predicate

ONES = struct.pack("<4f", 1, 1, 1, 1)
NODE = message(
    (1, "input"),
    (1, "weight"),
    (2, "output"),
    (4, "Conv"),
    (5, message((1, "strides"), (8, [2, 2]), (20, 7))),
    (5, message((1, "axis"), (3, -1), (20, 2))),
    (5, message((1, "alpha"), (2, 0.5), (20, 1))),
    (5, message((1, "mode"), (4, b"text"), (20, 3))),
)
FILE = model(
    (1, NODE),
    (5, tensor("weight", (2, 2), ONES)),
    (11, message((1, "input"))),
    (12, message((1, "output"))),
)


def test_a_small_file_written_by_hand():
    graph = onnx_file.read_graph(FILE)
    (node,) = graph.nodes
    assert node.operator == "Conv"
    assert (node.inputs, node.outputs) == (("input", "weight"), ("output",))
    assert node.attributes == {"strides": (2, 2), "axis": -1, "alpha": 0.5}
    assert (graph.inputs, graph.outputs) == (("input",), ("output",))
    assert torch.equal(graph.tensors["weight"].load(), torch.ones(2, 2))


@pytest.mark.parametrize(
    ("dtype", "is_raw"),  # only float32 has an unpacked form that is read
    [("float32", True), ("float16", True), ("float64", True), ("float32", False)],
)
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 1, 4)])
def test_tensors_are_those_of_the_onnx_package(dtype, shape, is_raw):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    array = numpy.random.default_rng(0).normal(size=shape).astype(dtype)
    if is_raw:
        proto = onnx.numpy_helper.from_array(array, "values")
    else:
        proto = onnx.helper.make_tensor("values", 1, shape, array.flatten().tolist())
    graph = onnx.helper.make_graph([], "graph", [], [], [proto])
    data = onnx.helper.make_model(graph).SerializeToString()
    values = onnx_file.read_graph(data).tensors["values"].load()
    assert torch.equal(values, torch.from_numpy(onnx.numpy_helper.to_array(proto).copy()))


HUGE = 2**63 - 1
MALFORMED = {
    "empty": (b"", "0 graphs"),
    "no graph": (message((1, 7)), "0 graphs"),
    "two graphs": (message((7, b""), (7, b"")), "2 graphs"),
    "graph is a number": (message((7, 5)), "a number stands where"),
    "text": (b"<!DOCTYPE html><html><body>not found</body></html>", "download it again"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "download it"),
    "zeros": (bytes(1000), "0 graphs"),
    "endless number": (b"\xff" * 100, "more than 64 bits"),
    "cut within a number": (b"\x3a\xff", "within a number"),
    "longer than the file": (b"\x3a\x7f", "longer than the file"),
    "far longer": (b"\x3a" + b"\xff" * 8 + b"\x7f", "longer than the file"),
    "group": (b"\x3b", "unknown type"),
    "huge shape": (model((5, tensor("a", (HUGE, HUGE), ONES))), "impossible shape"),
    "negative shape": (model((5, tensor("a", (-1,), ONES))), "impossible shape"),
    "many dimensions": (model((5, tensor("a", (1,) * 9, ONES))), "impossible shape"),
    "huge empty shape": (model((5, tensor("a", (0, HUGE, HUGE), b""))), "impossible shape"),
    "too few": (model((5, tensor("a", (5,), ONES))), "'a' has too few or too many"),
    "too many": (model((5, tensor("a", (3,), ONES))), "'a' has too few or too many"),
    "same name": (
        model((5, tensor("a", (4,), ONES)), (5, tensor("a", (4,), ONES))),
        "two tensors have the same name",
    ),
    "other file": (model((5, message((8, "a"), (14, 1)))), "in another file"),
    "name is no text": (model((5, message((8, b"\xff\xfe")))), "not text"),
    "long name": (model((1, message((4, "x" * 501)))), "name is too long"),
    "float of 8 bytes": (model((1, message((5, message((2, b"12345678")))))), "wrong length"),
    "dtype is a message": (model((5, message((2, b"ab")))), "a message stands where"),
    "many fields": (message((7, field(3, 1) * 200_001)), "more than 200000 fields"),
    "many sides": (model((5, message((1, [1] * 200_001)))), "more than 200000 fields"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_file_is_refused(name):
    data, words = MALFORMED[name]
    with pytest.raises(Predicate, match=words):
        onnx_file.read_graph(data)


def test_tensor_of_an_unread_type_has_no_numbers():
    graph = onnx_file.read_graph(model((5, tensor("shape", (1,), bytes(8), dtype=7))))
    assert graph.tensors["shape"].load().numel() == 0


def damaged_files(count):
    """The file cut, with bytes changed, doubled and left out, and mere noise."""
    dice = random.Random(0)
    for _ in range(count):
        data = bytearray(FILE)
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(data))
            change = dice.randrange(5)
            if change == 0:
                data[place] = dice.randrange(256)
            elif change == 1:
                data[place] ^= 1 << dice.randrange(8)
            elif change == 2:
                data[place:place] = dice.randbytes(dice.randint(1, 9))
            elif change == 3:
                del data[place : place + dice.randint(1, 9)]
            else:
                data = data[: place + 1]
            data = data or bytearray(b"\0")
        yield bytes(data)
        yield dice.randbytes(dice.randint(0, 200))


def test_damaged_files_are_read_or_refused_in_one_sentence():
    readable, refused = 0, 0
    for data in damaged_files(4000):
        try:
            graph = onnx_file.read_graph(data)
            for file_tensor in graph.tensors.values():
                file_tensor.load()
            readable += 1
            recognisers.read_onnx_recogniser(data)
        except Predicate as error:
            refused += 1
            assert "\n" not in str(error)
            assert str(error).isprintable()
    assert readable > 100
    assert refused == 8000


def test_every_cut_is_refused():
    for length in range(len(FILE)):
        with pytest.raises(Predicate):
            recognisers.read_onnx_recogniser(FILE[:length])
