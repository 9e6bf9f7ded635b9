"""The UNet of SD1.5 and SDXL: image parts are added to attn2, the cross-attention to the text."""

# The host declares few types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

import comfy.ldm.modules.attention as host_attention

from ...ipadapter_core.adapter.checkpoint import base_model_of
from ...ipadapter_core.adapter.families import KOLORS
from ...ipadapter_core.weights.blocks import Address, Block, blocks_of, layer_table
from . import compiled
from .attention import add_image_parts
from .compiled import OVERRIDE, LayerAddition, Marking, add_in_graph, plain_name
from .kept_tensors import PartsByLayer
from .layout import LayerWidths, Modules
from .model_call import LayerSite, ModelCall

KOLORS_LABEL_WIDTH = 5632  # 4096 of the pooled text, 6 sizes of 256
ExtraOptions = dict[str, Any]  # what the host tells a patch of its layer
AttentionPatch = Callable[[Tensor, Tensor, Tensor, ExtraOptions], Tensor]


class UNetLayout:
    """Cross-attention in transformer blocks of input, middle and output blocks."""

    marking = Marking.ARGUMENT

    def layer_widths(self, modules: Modules) -> dict[Address, LayerWidths]:
        projections = {
            address: modules[name].to_k for address, name in layer_table(modules).items()
        }
        return {
            address: LayerWidths(inner=projection.out_features, text=projection.in_features)
            for address, projection in projections.items()
        }

    def base_model(self, modules: Modules, layers: Mapping[Address, LayerWidths]) -> str:
        if _is_kolors(modules):
            return KOLORS
        text_widths = {widths.text for widths in layers.values()}
        return "/".join(sorted(map(base_model_of, text_widths)))

    def host_problem(self) -> str:
        return ""

    def attention_names(self, diffusion_model: torch.nn.Module) -> list[tuple[str, str]]:
        names = _attn2_names(name for name, _ in diffusion_model.named_modules())
        return [(name.removesuffix("attn2") + "attn1", name) for name in names.values()]

    def blocks(self, layers: Iterable[Address]) -> tuple[Block, ...]:
        return blocks_of(layers)

    def add_to_call(
        self, options: dict[str, Any], parts: PartsByLayer, call: ModelCall
    ) -> tuple[dict[str, Any], LayerAddition]:
        replacements = dict(options.get("patches_replace") or {})
        attn2 = dict(replacements.get("attn2") or {})
        previous = {address: attn2.get(address) or attn2.get(address[:2]) for address in parts}
        kind = ComposedAttention if compiled.OPERATOR else UncompiledAttention
        composed = kind(previous, parts, call)
        attn2.update(dict.fromkeys(parts, composed))
        return {**options, "patches_replace": {**replacements, "attn2": attn2}}, composed.add


class ComposedAttention:
    """A replacement of attn2 that calls the one it found there, or the host's, and adds the image's
    parts.

    One object for all layers: in a compiled model the host drops the guards on what reaches this
    object, so the key under which it was found can be another layer's. What `extra` says of the
    layer is right.
    """

    def __init__(
        self,
        previous: Mapping[Address, AttentionPatch | None],
        parts: PartsByLayer,
        call: ModelCall,
    ):
        self.previous, self.parts, self.call = previous, parts, call

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, extra: ExtraOptions) -> Tensor:
        site = read_site(extra)
        previous = self.previous.get(site.address)
        if previous is not None:
            text = previous(query, key, value, extra)
        else:
            options: dict[str, Any] = {
                "attn_precision": site.precision,
                "transformer_options": extra,
            }
            text = host_attention.optimized_attention(query, key, value, site.heads, **options)
        if torch.compiler.is_compiling():
            return add_in_graph(text, query, site)
        # What another pack returns may still be in use there; the host's own result is new.
        is_new = previous is None and OVERRIDE not in extra
        parts = self.parts[site.address]
        return add_image_parts(text, query, site, parts, self.call, in_place=is_new)

    def add(self, text: Tensor, query: Tensor, site: LayerSite) -> Tensor:
        """The image parts at a layer of a compiled model; the text's output may be overwritten."""
        parts = self.parts.get(site.address, ())
        return add_image_parts(text, query, site, parts, self.call, in_place=True)


class UncompiledAttention(ComposedAttention):
    """The same where torch has no operators of our own: the compiler leaves the whole layer out."""

    @torch.compiler.disable
    def __call__(self, query: Tensor, key: Tensor, value: Tensor, extra: ExtraOptions) -> Tensor:
        return super().__call__(query, key, value, extra)


def _is_kolors(modules: Modules) -> bool:
    """Whether it is SDXL's UNet with the text width of ChatGLM3, as other packs load Kolors: its
    projection to the width of the layers is a part of the model, or done before.
    """
    label_width = getattr(modules.get("label_emb.0.0"), "in_features", 0)
    return "encoder_hid_proj" in modules or label_width == KOLORS_LABEL_WIDTH


def _attn2_names(module_names: Iterable[str]) -> dict[Address, str]:
    """The name in the model of every cross-attention layer, in the order of adapter files."""
    names = {plain_name(name): name for name in module_names}
    return {address: names[plain_name] for address, plain_name in layer_table(names).items()}


def read_site(extra: ExtraOptions) -> LayerSite:
    kind, number = extra["block"]
    return LayerSite(
        address=(kind, number, extra["block_index"]),
        heads=extra["n_heads"],
        precision=extra["attn_precision"],
        grid=extra.get("activations_shape", ())[-2:],
        latent_size=extra.get("original_shape", ())[-2:],
    )
