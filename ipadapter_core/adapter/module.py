"""The adapter: encoder features become tokens, tokens become one key and one value at each layer,
once.

https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/attention_processor.py
B batch, T image tokens, D text width, C inner width of a layer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ..messages import Predicate, printable
from ..operations import Device, Operations
from .checkpoint import AdapterSpec, read_spec
from .layout import Weights, flatten
from .lora import is_lora_key
from .projectors import FacePlusProjection, make_projector
from .stored_tensors import check_weight
from .time_resampler import JointLayer, TimeResampler

HEAD_EPSILON = 1e-5
Projection = Callable[[Tensor], Tensor]


class IPAdapter(nn.Module):
    """Parameters are named as in the files: `image_proj.*`,
    `ip_adapter.<index>.to_{k,v}_ip.{weight,bias}`.
    """

    def __init__(self, spec: AdapterSpec, operations: Operations, device: Device = None):
        super().__init__()
        self.spec = spec
        self.image_proj = make_projector(spec.projector, operations, device=device)

        self.ip_adapter = nn.ModuleDict(
            {
                str(layer_index): self.make_layer(layer_width, operations, device)
                for layer_index, layer_width in spec.layers
            }
        )

    def make_layer(self, layer_width: int, operations: Operations, device: Device) -> nn.Module:
        text_width, has_bias = self.spec.text_width, self.spec.family.has_bias

        def linear() -> nn.Module:
            return operations.Linear(text_width, layer_width, bias=has_bias, device=device)

        return nn.ModuleDict({"to_k_ip": linear(), "to_v_ip": linear()})

    def project(self, *image_features: Tensor, face_structure: float = 1.0) -> Tensor:
        """[B, E] or [B, S, E] for each of `spec.inputs`, in their order -> tokens [B, T, D].

        face_structure: how much FaceID plus v2 takes of the face's picture; others have no use for
        it.
        """
        if isinstance(self.image_proj, FacePlusProjection):
            return self.image_proj(*image_features, face_structure=face_structure)
        return self.image_proj(*image_features)

    def keys_values(self, image_tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """tokens [B, T, D] -> key and value [B, T, C] of each layer, in the file's order."""
        head_width = self.spec.family.head_width
        layers = cast("Iterable[Mapping[str, Projection]]", self.ip_adapter.values())
        for layer in layers:
            key, value = (layer[name](image_tokens) for name in ("to_k_ip", "to_v_ip"))
            yield _unit_heads(key, head_width), _unit_heads(value, head_width)


def _unit_heads(tokens: Tensor, head_width: int) -> Tensor:
    """[B, T, C] with each head of each token at a mean square of 1; as it is for a width of 0.

    InstantX normalises keys and values so, without weights:
    https://huggingface.co/InstantX/FLUX.1-dev-IP-Adapter
    """
    if not head_width:
        return tokens
    heads = tokens.reshape(*tokens.shape[:-1], -1, head_width)
    mean_square = (heads * heads).mean(-1, keepdim=True)
    return (heads * torch.rsqrt(mean_square + HEAD_EPSILON)).reshape(tokens.shape)


class TimedAdapter(IPAdapter):
    """Parameters are named as in the files, which have a time embedding and norms beside those."""

    def make_layer(self, layer_width: int, operations: Operations, device: Device) -> nn.Module:
        time_width = cast(TimeResampler, self.image_proj).proj_in.out_features
        widths = self.spec.text_width, layer_width
        return JointLayer(widths, time_width, operations, device=device)

    def at(self, timestep: float) -> "AdapterAt":
        return AdapterAt(self, timestep)

    def head_norms(self) -> Tensor:
        """[L, 2, H] in float32 on the CPU: of the generated image's queries and keys, by layer."""
        layers = cast("list[JointLayer]", list(self.ip_adapter.values()))
        norms = [torch.stack((layer.norm_q.weight, layer.norm_k.weight)) for layer in layers]
        return torch.stack(norms).to(device="cpu", dtype=torch.float32)


@dataclass(frozen=True, eq=False)
class AdapterAt:
    """An adapter as it is at one timestep."""

    adapter: TimedAdapter
    timestep: float

    @property
    def spec(self) -> AdapterSpec:
        return self.adapter.spec

    def project(self, *image_features: Tensor, face_structure: float = 1.0) -> Tensor:
        return self.adapter.image_proj(*image_features, self.timestep)

    def keys_values(self, image_tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        projector = cast(TimeResampler, self.adapter.image_proj)
        time_embedding = projector.time_embedding.embed(self.timestep, image_tokens)
        for layer in self.adapter.ip_adapter.values():
            yield layer(image_tokens, time_embedding)


@dataclass(frozen=True, eq=False)
class AdapterWithModel:
    """An adapter whose tokens a model brings to the width of its layers, as it does with its text:
    [B, T, D of the text] -> [B, T, D of the layers].
    """

    adapter: IPAdapter
    project_text: Projection

    @property
    def spec(self) -> AdapterSpec:
        return self.adapter.spec

    def project(self, *image_features: Tensor, face_structure: float = 1.0) -> Tensor:
        tokens = self.adapter.project(*image_features, face_structure=face_structure)
        return self.project_text(tokens)

    def keys_values(self, image_tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        return self.adapter.keys_values(image_tokens)


AnyAdapter = IPAdapter | AdapterAt | AdapterWithModel


def build(
    stored_weights: Weights, operations: Operations, twin_kind: str | None = None
) -> IPAdapter:
    """The adapter of an opened file. Its tensors are taken over as they are, mapped ones stay
    mapped.

    stored_weights: flat or nested; operations: the layer classes (`torch.nn`, or the host's);
    twin_kind: as in `read_spec`. A LoRA in the file is no part of the adapter (`lora.py`).
    Raises Predicate for a file that is damaged or no adapter.
    """
    spec = read_spec(stored_weights, twin_kind)
    adapter_class = TimedAdapter if spec.depends_on_time else IPAdapter
    named_tensors = {
        tensor_key: value
        for tensor_key, value in flatten(stored_weights).items()
        if isinstance(value, Tensor) and not is_lora_key(tensor_key)
    }
    # torch's own layers have shapes at once; the host's may make their weights only when these come
    expected_shapes = {
        tensor_key: tuple(tensor.shape)
        for tensor_key, tensor in adapter_class(spec, nn, device="meta").state_dict().items()
    }
    _check(named_tensors, expected_shapes)
    adapter = adapter_class(spec, operations, device="meta")
    adapter.load_state_dict(named_tensors, assign=True)
    return adapter.requires_grad_(False).eval()


def _check(
    named_tensors: Mapping[str, Tensor], expected_shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise Predicate for the first tensor that is missing, unknown, misshapen or no numbers."""
    for tensor_key in sorted(expected_shapes.keys() | named_tensors.keys()):
        tensor = named_tensors.get(tensor_key)
        actual_shape = tuple(tensor.shape) if tensor is not None else "missing"
        if actual_shape != expected_shapes.get(tensor_key, "unknown"):
            raise Predicate(
                "is damaged or of an unknown kind: '<1>' is <2>, expected <3>",
                printable(tensor_key),
                actual_shape,
                expected_shapes.get(tensor_key, "no such tensor"),
            )
        check_weight(tensor_key, named_tensors[tensor_key])
