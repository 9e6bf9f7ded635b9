"""ArcFace's residual net as it is trained, with the layer names of insightface's arcface_torch, and
ONNX files of it."""

import io
import json
import os
import warnings
from math import prod

import torch
from torch import nn

SHALLOW = (1, 1, 1, 1)
R50, R100 = (3, 4, 14, 3), (3, 13, 30, 3)


class TrainedBlock(nn.Module):
    def __init__(self, channels_in, channels_out, is_first):
        super().__init__()
        stride = 2 if is_first else 1
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.prelu = nn.PReLU(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample = None
        if is_first:
            conv = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(channels_out))

    def forward(self, x):
        residual = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        residual = self.bn3(self.conv2(residual))
        return residual + (x if self.downsample is None else self.downsample(x))


class TrainedIResNet(nn.Module):
    def __init__(self, depths=SHALLOW):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(64), nn.PReLU(64)
        channels = 64
        for stage, (width, depth) in enumerate(zip((64, 128, 256, 512), depths, strict=True), 1):
            blocks = []
            for number in range(depth):
                blocks.append(TrainedBlock(channels, width, number == 0))
                channels = width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512)

    def forward(self, crops):
        x = self.prelu(self.bn1(self.conv1(crops)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.bn2(x).flatten(1)))


def random_net(depths=SHALLOW, seed=0):
    """A net in evaluation mode, its statistics and slopes as uneven as trained ones."""
    torch.manual_seed(seed)
    net = TrainedIResNet(depths).eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.1)
        elif isinstance(module, nn.PReLU):
            module.weight.uniform_(0.1, 0.4)
    return net


def crops(count=2, seed=0):
    """Noise as aligned crops [B, 112, 112, 3]."""
    return torch.rand(count, 112, 112, 3, generator=torch.Generator().manual_seed(seed))


def as_input(pictures):
    """Crops as input of the trained net."""
    return (pictures * 255 - 127.5).movedim(-1, 1) / 127.5


def onnx_file(net, *, is_folded=True):
    """The file that insightface's export writes, with the batch norms folded in or left beside."""
    mode = torch.onnx.TrainingMode.EVAL if is_folded else torch.onnx.TrainingMode.PRESERVE
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")  # the exporter's own age
        torch.onnx.export(
            net,
            (torch.zeros(1, 3, 112, 112),),
            file,
            training=mode,
            opset_version=11,
            input_names=["input.1"],
            dynamic_axes={"input.1": {0: "batch"}},
            dynamo=False,
        )
    return file.getvalue()


def save_shapes(net, path):
    """A file with the net's shapes alone."""
    hollow_file(path, {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()})


def hollow_file(path, shapes, dtype="F32"):
    """A safetensors file of zeros in those shapes, which takes no room on the disk."""
    header, end, item_size = {}, 0, {"F32": 4, "F16": 2}[dtype]
    for key, shape in shapes.items():
        start, end = end, end + item_size * prod(shape)
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + end)
