"""Face recognisers: which one a file is, and the net that it becomes.

Embeddings of two recognisers have nothing in common, even where the nets have the same shape: an
adapter knows only the space that it was trained with. Depth and shapes say what a net is; the
space is known for the published files, by their SHA-256.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ...adapter.features import GLINT_R100, WEBFACE_R50
from ...messages import Message, Predicate
from .iresnet import IResNet
from .named_layout import is_named_recogniser, read_named_parts
from .onnx_file import read_graph
from .onnx_layout import read_onnx_parts
from .parts import RecogniserParts

NETS: dict[tuple[int, ...], str] = {(3, 4, 14, 3): "IResNet50", (3, 13, 30, 3): "IResNet100"}
AURAFACE = "AuraFace"
# size and SHA-256 of the published files -> their space
PUBLISHED_RECOGNISERS = {
    174_383_860: ("4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43", WEBFACE_R50),
    260_665_334: ("4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf", GLINT_R100),
    260_694_151: ("a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60", AURAFACE),
}
NETS_BY_SPACE = {WEBFACE_R50: "IResNet50", GLINT_R100: "IResNet100", AURAFACE: "IResNet100"}
TRAINED_ON = {
    WEBFACE_R50: "w600k_r50 of buffalo_l, for FaceID",
    GLINT_R100: "glintr100 of antelopev2, for InstantID and Kolors FaceID",
    AURAFACE: "AuraFace, whose embeddings no FaceID adapter knows",
}


@dataclass(frozen=True)
class RecogniserSpec:
    """The kind of recogniser in a file."""

    net: str  # a value of NETS
    space: str | None  # None: not one of the published files

    def fits(self, space: str) -> bool:
        """Whether its embeddings are of a space: known to be, or, of a file that is not one of the
        published ones, as far as its net tells."""
        return self.space == space or (self.space is None and self.net == NETS_BY_SPACE.get(space))

    def describe(self) -> Message:
        if self.space is None:
            return Message("<1>, not one of the published files", self.net)
        return Message("<1> (<2>)", self.net, TRAINED_ON[self.space])


def read_onnx_recogniser(data: bytes | memoryview) -> RecogniserParts:
    """The parts of the recogniser in an ONNX file. Raises Predicate for another file."""
    return read_onnx_parts(read_graph(data))


def read_torch_recogniser(tensors: Mapping[str, object]) -> RecogniserParts:
    """The parts of the recogniser in a checkpoint. Raises Predicate for another file."""
    if not is_named_recogniser(tensors):
        raise Predicate("is not an ArcFace recogniser: its layers have other names")
    return read_named_parts(tensors)


def published_space(file_size: int, digest: Callable[[], str]) -> str | None:
    """The space of a published file, whose SHA-256 is only asked for if the size is right."""
    sha256, space = PUBLISHED_RECOGNISERS.get(file_size, ("", None))
    return space if space and digest() == sha256 else None


def net_name(parts: RecogniserParts) -> str:
    """IResNet50 or IResNet100. Raises Predicate for another depth."""
    depths = parts.depths()
    if depths not in NETS:
        raise Predicate(
            "is an ArcFace recogniser with <1> blocks, for which no adapter is known: use "
            "w600k_r50.onnx of buffalo_l or glintr100.onnx of antelopev2",
            " + ".join(map(str, depths)),
        )
    return NETS[depths]


def build_recogniser(parts: RecogniserParts) -> IResNet:
    """The net, ready for crops; channels last, which is faster on a CPU. Raises Predicate if the
    weights do not fit."""
    weights = parts.weights()
    with torch.device("meta"):
        net = IResNet(parts.depths())
    net.load_state_dict(weights, assign=True)
    net = net.eval().requires_grad_(False)
    return net.to(memory_format=torch.channels_last)


def embed(net: IResNet, crops: Tensor) -> Tensor:
    """Aligned crops [B, 112, 112, 3] of 0 to 1 -> embeddings [B, 512], as long as the net makes
    them; adapters want them as they are or of length 1."""
    weight = net.stem.weight
    pixels = crops.movedim(-1, 1).to(weight.device, torch.float32) * 2 - 1
    with torch.backends.cudnn.flags(allow_tf32=False):  # else a GPU differs in the third digit
        return net(pixels.contiguous(memory_format=torch.channels_last)).float()


def similarities(embeddings: Tensor, other_embeddings: Tensor) -> Tensor:
    """The cosine of each pair, [N, 512] and [M, 512] -> [N, M]: 1 for the same face, near 0 for
    two people."""
    return normalize(embeddings, dim=-1) @ normalize(other_embeddings, dim=-1).T
