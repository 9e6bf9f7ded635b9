"""The adapter: encoder features become tokens, tokens become one key and one value at each layer,
once.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/attention_processor.py
B batch, T image tokens, D text width, C inner width of a layer.
"""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from ..messages import Predicate, printable
from ..operations import Device, Operations
from .checkpoint import AdapterSpec, read_spec
from .layout import Weights, flatten
from .projectors import make_projector
from .stored_tensors import WEIGHT_TYPES, check_number_type


class IPAdapter(nn.Module):
    """Parameters are named as in the files: `image_proj.*`,
    `ip_adapter.<index>.to_{k,v}_ip.weight`.
    """

    def __init__(self, spec: AdapterSpec, operations: Operations, device: Device = None):
        super().__init__()
        self.spec = spec
        self.image_proj = make_projector(spec.projector, operations, device=device)

        def linear(width: int) -> nn.Module:
            return operations.Linear(spec.text_width, width, bias=False, device=device)

        self.ip_adapter = nn.ModuleDict(
            {
                str(index): nn.ModuleDict({"to_k_ip": linear(width), "to_v_ip": linear(width)})
                for index, width in spec.layers
            }
        )

    def project(self, *features: Tensor) -> Tensor:
        """[B, E] or [B, S, E] for each of `spec.inputs`, in their order -> tokens [B, T, D]."""
        return self.image_proj(*features)

    def keys_values(self, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """tokens [B, T, D] -> key and value [B, T, C] of each layer, in the file's order."""
        for layer in self.ip_adapter.values():
            yield layer["to_k_ip"](tokens), layer["to_v_ip"](tokens)  # type: ignore[index]


def build(weights: Weights, operations: Operations) -> IPAdapter:
    """The adapter of an opened file. Its tensors are taken over as they are, mapped ones stay
    mapped.

    weights: flat or nested; operations: the layer classes (`torch.nn`, or the host's).
    Raises Predicate for a file that is damaged or no adapter.
    """
    spec = read_spec(weights)
    tensors = {key: value for key, value in flatten(weights).items() if isinstance(value, Tensor)}
    # torch's own layers have shapes at once; the host's may make their weights only when these come
    shapes = {
        key: tuple(tensor.shape)
        for key, tensor in IPAdapter(spec, nn, device="meta").state_dict().items()
    }
    _check(tensors, shapes)
    adapter = IPAdapter(spec, operations, device="meta")
    adapter.load_state_dict(tensors, assign=True)
    return adapter.requires_grad_(False).eval()


def _check(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise Predicate for the first tensor that is missing, unknown, misshapen or no numbers."""
    for key in sorted(shapes.keys() | tensors.keys()):
        actual = tuple(tensors[key].shape) if key in tensors else "missing"
        if actual != shapes.get(key, "unknown"):
            raise Predicate(
                "is damaged or of an unknown kind: '<1>' is <2>, expected <3>",
                printable(key),
                actual,
                shapes.get(key, "no such tensor"),
            )
        if not tensors[key].is_floating_point():
            raise Predicate(
                "is damaged: '<1>' holds <2>, not floating-point numbers",
                printable(key),
                tensors[key].dtype,
            )
        check_number_type(tensors[key], WEIGHT_TYPES)
