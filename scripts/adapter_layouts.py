"""The key layouts of published adapters: name of a tensor -> its shape.

After https://github.com/tencent-ailab/IP-Adapter/blob/62e4af9/ip_adapter/ip_adapter.py and
resampler.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

Shape = tuple[int, ...]
Layout = dict[str, Shape]


@dataclass(frozen=True)
class Base:
    """The model an adapter was trained for: width of its text, and of each cross-attention
    layer; and of the text before the model's own projection, which Kolors has.
    """

    text: int
    widths: tuple[int, ...]  # as files count: down blocks, up blocks, middle block
    first_text: int = 4096


SD15 = Base(768, (320,) * 2 + (640,) * 2 + (1280,) * 5 + (640,) * 3 + (320,) * 3 + (1280,))
SDXL = Base(2048, (640,) * 4 + (1280,) * 50 + (640,) * 6 + (1280,) * 10)
FLUX = Base(4096, (3072,) * 57)  # double blocks, single blocks


def nest(prefix: str, layout: Layout) -> Layout:
    return {f"{prefix}.{key}": shape for key, shape in layout.items()}


def norm(key: str, width: int) -> Layout:
    return {f"{key}.weight": (width,), f"{key}.bias": (width,)}


def dense(key: str, rows: int, columns: int) -> Layout:
    return {f"{key}.weight": (rows, columns), f"{key}.bias": (rows,)}


def linear(base: Base, features: int) -> Layout:
    return dense("proj", 4 * base.text, features) | norm("norm", base.text)


def mlp(base: Base, hidden: int = 1280) -> Layout:
    return (
        dense("proj.0", hidden, hidden)
        | dense("proj.2", base.text, hidden)
        | norm("proj.3", base.text)
    )


def perceiver(width: int, dim: int, features: int, heads: int, depth: int = 4) -> Layout:
    layout = (
        dense("proj_in", dim, features) | dense("proj_out", width, dim) | norm("norm_out", width)
    )
    for number in range(depth):
        layout |= nest(f"layers.{number}.0", norm("norm1", dim) | norm("norm2", dim))
        layout |= {
            f"layers.{number}.0.to_q.weight": (heads * 64, dim),
            f"layers.{number}.0.to_kv.weight": (heads * 128, dim),
        }
        layout |= {f"layers.{number}.0.to_out.weight": (dim, heads * 64)} | norm(
            f"layers.{number}.1.0", dim
        )
        layout |= {
            f"layers.{number}.1.1.weight": (4 * dim, dim),
            f"layers.{number}.1.3.weight": (dim, 4 * dim),
        }
    return layout


def resampler(base: Base, dim: int, features: int = 1280, heads: int = 0) -> Layout:
    return {"latents": (1, 16, dim)} | perceiver(base.text, dim, features, heads or dim // 64)


def face_id(base: Base, tokens: int = 4) -> Layout:
    return (
        dense("proj.0", 1024, 512)
        | dense("proj.2", tokens * base.text, 1024)
        | norm("norm", base.text)
    )


def face_id_plus(base: Base, tokens: int = 4, features: int = 1280) -> Layout:
    return face_id(base, tokens) | nest(
        "perceiver_resampler", perceiver(base.text, base.text, features, base.text // 64)
    )


def to_key_value(base: Base) -> Layout:
    return {
        f"{2 * n + 1}.to_{x}_ip.weight": (width, base.text)
        for n, width in enumerate(base.widths)
        for x in "kv"
    }


def lora(base: Base, rank: int = 128) -> Layout:
    layout = {}
    for attention_number, name in (
        (attention_number, name)
        for attention_number in range(2 * len(base.widths))
        for name in ("q", "k", "v", "out")
    ):
        width = base.widths[attention_number // 2]
        columns = base.text if attention_number % 2 and name in "kv" else width
        layout[f"{attention_number}.to_{name}_lora.down.weight"] = (rank, columns)
        layout[f"{attention_number}.to_{name}_lora.up.weight"] = (width, rank)
    return layout


def adapter(base: Base, projection: Layout, extra_layers: Layout | None = None) -> Layout:
    return nest("image_proj", projection) | nest(
        "ip_adapter", to_key_value(base) | (extra_layers or {})
    )


def sd3(dim: int = 1280, width: int = 2432, blocks: int = 38) -> Layout:
    layout = {"latents": (1, 64, dim)} | perceiver(width, dim, 1152, dim // 64)
    for number in range(4):
        layout |= dense(f"layers.{number}.2.1", 4 * dim, dim)
    layout |= dense("time_embedding.linear_1", dim, 320) | dense(
        "time_embedding.linear_2", dim, dim
    )
    layers: Layout = {}
    for number in range(blocks):
        layers |= dense(f"{number}.norm_ip.linear", 2 * width, dim)
        layers |= {f"{number}.{key}.weight": (width, width) for key in ("to_k_ip", "to_v_ip")}
        layers |= {f"{number}.{key}.weight": (64,) for key in ("norm_q", "norm_k", "norm_ip_k")}
    return nest("image_proj", layout) | nest("ip_adapter", layers)


def flux_xlabs(tokens: int = 4, text: int = 4096, width: int = 3072, blocks: int = 19) -> Layout:
    layout = dense("ip_adapter_proj_model.proj", tokens * text, 768)
    layout |= norm("ip_adapter_proj_model.norm", text)
    for number in range(blocks):
        for x in "kv":
            layout |= dense(
                f"double_blocks.{number}.processor.ip_adapter_double_stream_{x}_proj", width, text
            )
    return layout


def flux_by_name(tokens: int) -> Callable[..., Layout]:
    """The layout of an adapter of XLabs; for a model of other widths if one is given."""

    def layout_for(base: Base | None = None) -> Layout:
        if base is None:
            return flux_xlabs(tokens)
        return flux_xlabs(tokens, base.text, base.widths[0], len(base.widths))

    return layout_for


def flux_instantx(base: Base | None = None, tokens: int = 128, hidden: int = 2304) -> Layout:
    text, widths = (base or FLUX).text, (base or FLUX).widths
    layout = dense("proj.0", hidden, 1152) | dense("proj.2", tokens * text, hidden)
    layout |= norm("norm", text)
    layers = {
        f"{number}.to_{x}_ip.weight": (width, text)
        for number, width in enumerate(widths)
        for x in "kv"
    }
    return nest("image_proj", layout) | nest("ip_adapter", layers)


def by_name(base: Base, projection: Callable[[Base], Layout]) -> Callable[[Base | None], Layout]:
    """The layout of a published adapter; for a model of other widths if one is given."""
    return lambda other_base=None: adapter(other_base or base, projection(other_base or base))


def vit_h(base: Base) -> Layout:
    return linear(base, 1024)


def vit_g(base: Base) -> Layout:
    return linear(base, 1280)


def plus_sd15(base: Base) -> Layout:
    return resampler(base, 768)


def plus_sdxl(base: Base) -> Layout:
    return resampler(base, 1280)


def kolors_plus(base: Base) -> Layout:
    return resampler(base, 2048, 1024, heads=12)


def kolors_faceid(base: Base) -> Layout:
    """Tokens as wide as the text is before the model's own projection."""
    return face_id_plus(replace(base, text=base.first_text), 6, 1024)


def identity(base: Base) -> Layout:
    return face_id(base)


def portrait(base: Base) -> Layout:
    return face_id(base, 16)


def unnorm(base: Base) -> Layout:
    return resampler(base, 1280, 512)


def with_lora(base: Base, projection: Callable[[Base], Layout]) -> Callable[[Base | None], Layout]:
    """The layout of a FaceID adapter that brings its LoRA along."""

    def layout_for(other_base: Base | None = None) -> Layout:
        fitted_base = other_base or base
        return adapter(fitted_base, projection(fitted_base), lora(fitted_base))

    return layout_for


ADAPTERS: dict[str, Callable[..., Layout]] = {  # those of the model card, by their published names
    "ip-adapter_sd15": by_name(SD15, vit_h),
    "ip-adapter_sd15_light": by_name(SD15, vit_h),
    "ip-adapter_sd15_light_v11": by_name(SD15, vit_h),
    "ip-adapter_sd15_vit-G": by_name(SD15, vit_g),
    "ip-adapter-plus_sd15": by_name(SD15, plus_sd15),
    "ip-adapter-plus-face_sd15": by_name(SD15, plus_sd15),
    "ip-adapter-full-face_sd15": by_name(SD15, mlp),
    "ip_plus_composition_sd15": by_name(SD15, plus_sd15),
    "ip-adapter_sdxl": by_name(SDXL, vit_g),
    "ip-adapter_sdxl_vit-h": by_name(SDXL, vit_h),
    "ip-adapter-plus_sdxl_vit-h": by_name(SDXL, plus_sdxl),
    "ip-adapter-plus-face_sdxl_vit-h": by_name(SDXL, plus_sdxl),
    "ip_plus_composition_sdxl": by_name(SDXL, plus_sdxl),
    "noobIPAMARK1_mark1": by_name(SDXL, vit_g),
    "Kolors-IP-Adapter-Plus": by_name(SDXL, kolors_plus),
    "Kolors-IP-Adapter-FaceID-Plus": by_name(SDXL, kolors_faceid),
    "ip-adapter-faceid_sd15": with_lora(SD15, identity),
    "ip-adapter-faceid-plus_sd15": with_lora(SD15, face_id_plus),
    "ip-adapter-faceid-plusv2_sd15": with_lora(SD15, face_id_plus),
    "ip-adapter-faceid-portrait_sd15": by_name(SD15, portrait),
    "ip-adapter-faceid-portrait-v11_sd15": by_name(SD15, portrait),
    "ip-adapter-faceid_sdxl": with_lora(SDXL, identity),
    "ip-adapter-faceid-plusv2_sdxl": with_lora(SDXL, face_id_plus),
    "ip-adapter-faceid-portrait_sdxl": by_name(SDXL, portrait),
    "ip-adapter-faceid-portrait_sdxl_unnorm": by_name(SDXL, unnorm),
}
FLUX_ADAPTERS: dict[str, Callable[..., Layout]] = {
    "flux-ip-adapter": flux_by_name(4),
    "flux-ip-adapter-v2": flux_by_name(16),
    "FLUX.1-dev-IP-Adapter": flux_instantx,
}
OTHERS: dict[str, Callable[..., Layout]] = {  # for other models
    "SD3.5-Large-IP-Adapter": sd3,
}


def layout(name: str, base: Base | None = None) -> Layout:
    """Key -> shape of a published adapter, flat, as in its `.safetensors`; fitted to `base` if
    given.
    """
    if base is not None:
        return (ADAPTERS | FLUX_ADAPTERS)[name](base)
    return (ADAPTERS | FLUX_ADAPTERS | OTHERS)[name]()
