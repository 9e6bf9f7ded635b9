"""The candidates: our adapter, the floor, diffusers' processors and another pack, at the same
shapes.
"""

from functools import partial
from pathlib import Path
from typing import Any

import adapter_layouts
import hollow
import inside
import make_models
import torch
from torch.nn.functional import scaled_dot_product_attention as attend

import comfy.clip_vision
import comfy.ldm.modules.attention as host
import comfy.model_patcher
import comfy.ops

HIDDEN = "penultimate_hidden_states"
# numbers that are drawn; the rest repeats them, which costs what random numbers cost
BLOCK = 1_000_003


def tensors(layout: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Weights for a layout, drawn fast."""
    noise = torch.randn(BLOCK, generator=torch.Generator().manual_seed(0))
    return {key: _fill(key, shape, noise) for key, shape in layout.items()}


def _fill(key: str, shape: tuple[int, ...], noise: torch.Tensor) -> torch.Tensor:
    if len(shape) == 1:
        return torch.full(shape, float("norm" in key and key.endswith("weight"))).half()
    count = torch.Size(shape).numel()
    scaled = (noise / shape[-1] ** 0.5).half()
    return scaled.repeat(-(-count // BLOCK))[:count].view(shape)


def adapter(pack: Any, name: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """A published adapter's layout as Load IPAdapter would open it, and its tensors."""
    weights, load = tensors(adapter_layouts.layout(name)), pack.nodes.files.load
    module = load.build(weights, comfy.ops.manual_cast)
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.CoreModelPatcher(module, cpu, cpu)
    lora = load.read_lora(weights, module.spec)
    loaded = pack.nodes.sockets.LoadedAdapter(
        name=name, spec=module.spec, patcher=patcher, lora=lora
    )
    return loaded, weights


def features(count: int, projection: int = 1024) -> Any:
    """Random features as an encoder's output for `count` images."""
    source = torch.Generator().manual_seed(count)
    output = comfy.clip_vision.Output()
    output["image_embeds"] = torch.randn(count, projection, generator=source)
    output[HIDDEN] = torch.randn(count, 257, 1280, generator=source)
    output["last_hidden_state"] = output[HIDDEN]
    return output


def face_inputs(pack: Any) -> dict[str, Any]:
    """Inputs of Apply IPAdapter for a face and the encoder's output for it, and for none."""
    identity, hidden = torch.randn(1, 512), features(1)[HIDDEN]
    sides = [
        pack.nodes.sockets.References({"face_identity": face, HIDDEN: hidden}, (1.0,))
        for face in (identity / identity.norm(), torch.zeros(1, 512))
    ]
    return {
        **dict.fromkeys(("clip_vision_output", "clip_vision_output_negative")),
        **dict(zip(("embeds", "embeds_negative"), sides, strict=True)),
    }


def ours(nodes: Any, model: Any, adapters: list, output: Any, mask: Any, **settings: Any) -> Any:
    for adapter in adapters:
        inputs = {"clip_vision_output": output, "weight": 0.7, "attn_mask": mask}
        inputs |= {"clip_vision_output_negative": features(1), **settings}
        with torch.no_grad():
            (model,) = nodes["ApplyIPAdapter"].execute(model, adapter, **inputs).args
    return model


def keys_of(patched: Any) -> list:
    return [prompt.keys for prompt in patched.model_options["transformer_options"]["ipadapter"]]


def floor(model: Any, keys: list) -> Any:
    """The image attention alone: keys and values given, one SDPA and one in-place add per layer."""
    model = model.clone()
    place = model.load_device, model.model.get_dtype()
    keys_by_layer = [
        (keys_values.layers, keys_values.values.select((), *place).layers()) for keys_values in keys
    ]
    for place in keys[0].layers:
        pairs = [values[layers.index(place)] for layers, values in keys_by_layer]
        model.set_model_attn2_replace(partial(_floor, pairs), *place)
    return model


def text_alone(query: Any, key: Any, value: Any, extra: dict) -> Any:
    """The layer's attention as the model computes it."""
    options = {"attn_precision": extra["attn_precision"], "transformer_options": extra}
    return host.optimized_attention(query, key, value, extra["n_heads"], **options)


def _floor(pairs: list, query: Any, key: Any, value: Any, extra: dict) -> Any:
    heads, out = extra["n_heads"], text_alone(query, key, value, extra)
    for pair in pairs:
        q, k, v = (part.reshape(2, -1, heads, query.shape[-1] // heads) for part in (query, *pair))
        image = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        out.add_(image.transpose(1, 2).reshape(query.shape), alpha=0.7)
    return out


class Encoder:
    """The part of the host's CLIP_VISION that packs use, giving ready features."""

    image_size, config = 224, {}
    load_device = torch.device("cpu")

    def __init__(self, features: Any):
        module = torch.nn.Module()
        self.patcher = comfy.model_patcher.CoreModelPatcher(
            module, self.load_device, self.load_device
        )
        self._features, self.runs = features, 0

    def encode_image(self, image: torch.Tensor, crop: bool = True) -> Any:
        self.runs += 1
        return self._features

    def model(self, pixel_values: Any, intermediate_output: Any = None) -> tuple:
        self.runs += 1
        names = ("last_hidden_state", HIDDEN, "image_embeds")
        return (*(getattr(self._features, name)[: len(pixel_values)] for name in names), None)


class Peer:
    """Another pack with the nodes of IPAdapter_plus, in a folder on this machine."""

    def __init__(self, folder: Path):
        import comfy.model_management

        self._apply = inside.load(folder).NODE_CLASS_MAPPINGS["IPAdapterAdvanced"]
        # It asks for the precision of any model, not of the one it patches.
        self._management = comfy.model_management

    def patched(
        self, kind: str, model: Any, adapter_tensors: list[dict], features: Any, mask: Any
    ) -> Any:
        before = self._management.unet_dtype
        self._management.unet_dtype = lambda *_, **__: hollow.DTYPES[kind]
        try:
            for tensors_of_one in adapter_tensors:
                model, *_ = self._apply().apply_ipadapter(
                    model,
                    make_models.nested(tensors_of_one),
                    weight=0.7,
                    image=torch.rand(len(features.image_embeds), 224, 224, 3),
                    clip_vision=Encoder(features),
                    attn_mask=mask,
                )
        finally:
            self._management.unet_dtype = before
        return model


class Diffusers:
    """diffusers' own processors over the same cross-attention layers, projections stubbed alike."""

    def __init__(self, kind: str, model: Any, latent: int, batch: int):
        self.layers, self.states = [], []
        self.kind, self.batch = kind, batch
        supply = hollow.Supply(hollow.DTYPES[kind])
        self.text = supply.noise(2 * batch, hollow.TEXT_TOKENS, hollow.TEXT[kind])
        for query, heads in _shapes(model, kind, latent, batch):
            self.layers.append(_layer(query.shape[-1], heads, hollow.TEXT[kind], supply))
            self.states.append(query)

    def plain(self) -> None:
        from diffusers.models.attention_processor import AttnProcessor2_0

        self._run([AttnProcessor2_0()] * len(self.layers), self.text)

    def with_adapters(self, adapter_tensors: list[dict], tokens: list[torch.Tensor]) -> Any:
        """The step with IP-Adapter processors, and `tokens` [2 * batch, T, D] for each adapter."""
        from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0

        processors = []
        for place, state in enumerate(self.states):
            processor = IPAdapterAttnProcessor2_0(
                state.shape[-1],
                hollow.TEXT[self.kind],
                num_tokens=[4] * len(adapter_tensors),
                scale=0.7,
            )
            for number, weights in enumerate(adapter_tensors):
                for x in "kv":
                    key = f"ip_adapter.{2 * self.order[place] + 1}.to_{x}_ip.weight"
                    layer = getattr(processor, f"to_{x}_ip")[number]
                    layer.weight = torch.nn.Parameter(weights[key].to(state), requires_grad=False)
            processors.append(processor)
        text = (self.text, [each.to(self.text) for each in tokens])
        return lambda: self._run(processors, text)

    @property
    def order(self) -> list[int]:
        """The number in the file of each layer, in the order of the calls."""
        middle = {"sd15": (6, 1), "sdxl": (24, 10)}[self.kind]
        count, (start, length) = len(self.layers), middle
        later = range(count - length, count)
        return [*range(start), *later, *range(start, count - length)]

    def _run(self, processors: list, text: Any) -> None:
        with torch.no_grad():
            for processor, layer, state in zip(processors, self.layers, self.states, strict=True):
                processor(layer, state, text)


def _shapes(model: Any, kind: str, latent: int, batch: int) -> list:
    """(query, heads) of every cross-attention call of one step."""
    shapes = []

    def note(query, key, value, extra):
        shapes.append((query, extra["n_heads"]))
        return query

    watched = model.clone()
    for block in range(12):
        for name in ("input", "middle", "output"):
            watched.set_model_attn2_replace(note, name, block)
    inside.sample(watched, kind, (latent, batch), lambda call: call(), 1)
    return shapes


def _layer(width: int, heads: int, text: int, supply: Any) -> Any:
    from diffusers.models.attention_processor import Attention

    attention = Attention(width, text, heads, width // heads).to(supply.dtype)
    attention.to_q.forward = lambda x: supply.noise(*x.shape)
    attention.to_k.forward = attention.to_v.forward = lambda x: supply.noise(*x.shape[:2], width)
    attention.to_out[0].forward = hollow.same
    return attention
