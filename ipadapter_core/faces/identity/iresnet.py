"""IResNet: aligned crops of faces become identity embeddings.

The residual net of ArcFace (Deng et al. 2019, https://arxiv.org/abs/1801.07698; Duta et al. 2020,
https://arxiv.org/abs/2004.04989), as insightface's recognisers have it. Batch norms that follow a
convolution are folded into it; those in front of one cannot be, as the convolution pads with
zeros, and are a scale and a shift for each channel.
B batch, C channels, H and W height and width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...operations import Operations

CROP_SIDE = 112
EMBEDDING_WIDTH = 512
STAGE_WIDTHS = (64, 128, 256, 512)
LAST_SIDE = CROP_SIDE // 2 ** len(STAGE_WIDTHS)  # every stage halves the picture


class ChannelAffine(nn.Module):
    """A scale and a shift for each channel, [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias[:, None, None], x, self.weight[:, None, None])


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution in the first block of a stage."""

    def __init__(self, channels_in: int, channels_out: int, is_first: bool, operations: Operations):
        super().__init__()
        stride = 2 if is_first else 1
        conv = operations.Conv2d
        self.input_norm = ChannelAffine(channels_in)
        self.conv1 = conv(channels_in, channels_out, 3, padding=1)
        self.activation = nn.PReLU(channels_out)
        self.conv2 = conv(channels_out, channels_out, 3, stride=stride, padding=1)
        self.shortcut = (
            conv(channels_in, channels_out, 1, stride=stride) if is_first else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv2(self.activation(self.conv1(self.input_norm(x))))
        return residual + self.shortcut(x)


class IResNet(nn.Module):
    """[B, 3, 112, 112] red, green, blue of -1 to 1 -> embeddings [B, 512], of no fixed length."""

    def __init__(self, depths: Sequence[int], operations: Operations = nn):
        """depths: the number of blocks in each of the four stages."""
        super().__init__()
        self.stem = operations.Conv2d(3, STAGE_WIDTHS[0], 3, padding=1)
        self.stem_activation = nn.PReLU(STAGE_WIDTHS[0])
        self.blocks = nn.ModuleList()
        channels_in = STAGE_WIDTHS[0]
        for stage_width, depth in zip(STAGE_WIDTHS, depths, strict=True):
            for block_number in range(depth):
                is_first = block_number == 0
                block = ResidualBlock(channels_in, stage_width, is_first, operations=operations)
                self.blocks.append(block)
                channels_in = stage_width
        self.output_norm = ChannelAffine(channels_in)
        self.projection = operations.Linear(channels_in * LAST_SIDE**2, EMBEDDING_WIDTH)

    def forward(self, crops: Tensor) -> Tensor:
        x = self.stem_activation(self.stem(crops))
        for block in self.blocks:
            x = block(x)
        return self.projection(self.output_norm(x).flatten(1))
