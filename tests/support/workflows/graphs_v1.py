"""Graphs of IPAdapter_plus before March 2024 and of laksjdjf's pack: each id in each of its
layouts.
"""

from collections.abc import Callable

from support.workflows.litegraph import Graph, Output
from support.workflows.scenes import ENCODER, PLUS, PLUS_XL, SDXL, loaders, picture, pictures, scene

TYPES = ("original", "linear", "channel penalty")
BASE = "ip-adapter_sd15.bin"


def apply() -> Graph:
    at = scene("Apply IPAdapter from September to December 2023, one layout after the other")
    graph = at.graph
    links = {"model": at.model, "image": picture(graph), **loaders(graph)}
    at.show(graph.add("IPAdapterApply@2023-09-15", 0.7, 0.0, **links)[0])
    at.show(graph.add("IPAdapterApply@2023-09-15", 0.7, 0.5, **links)[0])
    for kind in TYPES:
        at.show(graph.add("IPAdapterApply", 0.7, 0.33, kind, **links)[0])
    mask = graph.add("SolidMask", 0.5, 64, 64)[0]
    at.show(graph.add("IPAdapterApply", 0.7, 0, TYPES[0], 0, 0.8, attn_mask=mask, **links)[0])
    at.show(graph.add("IPAdapterApply", 0.7, 0, TYPES[1], 0, 1, True, **links)[0], 2)
    node = graph.add("IPAdapterApply@2023-12-28", 0.7, 0.5, TYPES[0], 0, 1, False, **links)
    at.show(node[0])
    return graph


def apply_sdxl() -> Graph:
    at = scene("Apply IPAdapter on SDXL", SDXL)
    links = {"model": at.model, "image": picture(at.graph), **loaders(at.graph, PLUS_XL)}
    for kind in TYPES:
        row = (0.7, 0.5, kind, 0, 1, False)
        at.show(at.graph.add("IPAdapterApply", *row, **links)[0])
    return at.graph


def apply_first() -> Graph:
    at = scene("the first Apply IPAdapter, which took what the encoder saw")
    graph, image = at.graph, picture(at.graph)
    pair = loaders(graph, BASE)
    recorded = graph.add("CLIPVisionEncode", "center", clip_vision=pair["clip_vision"], image=image)
    links = {"model": at.model, "ipadapter": pair["ipadapter"]}
    first = graph.add("IPAdapterApply@2023-09-03", 0.7, clip_vision_output=recorded[0], **links)
    at.show(first[0])
    inputs = {"clip_vision": pair["clip_vision"], "image": image}
    recorded = graph.add("IPAdapterCLIPVisionEncode", **inputs)
    links["ipadapter"] = graph.add("IPAdapterModelLoader", PLUS)[0]
    mask = graph.add("SolidMask", 0.5, 64, 64)[0]
    links |= {"clip_vision_output": recorded[0], "mask": mask}
    at.show(graph.add("IPAdapterApply@2023-09-03", 0.7, **links)[0])
    return graph


def faceid() -> Graph:
    at = scene("Apply IPAdapter FaceID with a plus adapter, for which it needs no face")
    graph = at.graph
    face = graph.add("InsightFaceLoader", "CPU")[0]
    image = picture(graph)
    prepared = graph.add("PrepImageForInsightFace", "center", 0.1, True, image=image)[0]
    links = {"model": at.model, "insightface": face, **loaders(graph)}
    row = (0.7, 0.3, TYPES[0], 0, 1, False, 1)
    at.show(graph.add("IPAdapterApplyFaceID", *row, image=prepared, **links)[0])
    crops = ("top", "bottom", "left", "right")
    for crop in crops:
        prepared = graph.add("PrepImageForInsightFace", crop, 0, crop == "top", image=image)[0]
    for provider in ("CUDA", "ROCM"):
        links["insightface"] = graph.add("InsightFaceLoader", provider)[0]
    row = (0.7, 0, TYPES[1], 0, 1, True, 2, False)
    at.show(graph.add("IPAdapterApplyFaceID", *row, image=prepared, **links)[0])
    return graph


def encoded() -> Graph:
    at = scene(
        "encoded pictures, in both layouts of the encoder of that time, applied, saved, joined"
    )
    graph, image = at.graph, picture(at.graph)
    encoder = graph.add("CLIPVisionLoader", ENCODER)[0]
    adapter = graph.add("IPAdapterModelLoader", PLUS)[0]
    second = graph.add("EmptyImage", 320, 256, 1, 0x806040)[0]
    four = {f"image_{n}": (image, second)[n % 2] for n in range(1, 5)}
    inputs = {"clip_vision": encoder}
    later = "IPAdapterEncoder@2023-10-12"
    encoded = graph.add(later, True, 0.2, 1, 0.8, 0.5, 1, **four, **inputs)[0]
    two = graph.add(later, True, 0, 1, 1, 1, 1, image_1=image, **inputs)[0]
    links = {"model": at.model, "ipadapter": adapter}
    first = "IPAdapterApplyEncoded@2023-09-29"
    at.show(graph.add(first, 0.7, embeds=two, **links)[0])
    for kind in TYPES:
        at.show(graph.add("IPAdapterApplyEncoded", 0.7, kind, embeds=encoded, **links)[0])
    mask = graph.add("SolidMask", 0.5, 64, 64)[0]
    row = (0.7, TYPES[0], 0, 0.9)
    links["attn_mask"] = mask
    at.show(graph.add("IPAdapterApplyEncoded", *row, embeds=two, **links)[0])
    pair = graph.add("IPAdapterBatchEmbeds", embed1=encoded, embed2=two)[0]
    row = (0.7, TYPES[0], 0, 1, True)
    del links["attn_mask"]
    at.show(graph.add("IPAdapterApplyEncoded", *row, embeds=pair, **links)[0], 2)
    graph.add("IPAdapterSaveEmbeds", "embeds/IPAdapter", embeds=two)
    links["ipadapter"] = graph.add("IPAdapterModelLoader", BASE)[0]
    base = graph.add(later, False, 0, 1, 1, 1, 1, image_1=image, **inputs)[0]
    at.show(graph.add("IPAdapterApplyEncoded", 0.7, embeds=base, **links)[0])
    loaded = graph.add("IPAdapterLoadEmbeds", "stack.ipadpt")[0]
    at.show(
        graph.add("IPAdapterApplyEncoded", 0.7, TYPES[0], 0, 1, False, embeds=loaded, **links)[0]
    )
    return graph


def encoded_first() -> Graph:
    at = scene("the first IPAdapter Encoder, with one picture")
    graph = at.graph
    inputs = {"clip_vision": graph.add("CLIPVisionLoader", ENCODER)[0], "image": picture(graph)}
    links = {"model": at.model, "ipadapter": graph.add("IPAdapterModelLoader", PLUS)[0]}
    for noise in (0.0, 0.4):
        result = graph.add("IPAdapterEncoder@2023-09-29", True, noise, **inputs)
        at.show(graph.add("IPAdapterApplyEncoded@2023-09-29", 0.7, embeds=result[0], **links)[0])
    return graph


def prepared() -> Graph:
    at = scene("Prep Image For ClipVision as it was until 2023-10-12: other filters, add_weight")
    graph, image = at.graph, picture(at.graph)
    links = {"model": at.model, **loaders(graph)}
    filters = ("lanczos", "nearest", "bilinear", "bicubic", "area", "nearest-exact")
    places = ("top", "bottom", "left", "right", "center", "center")
    for number, (way, place) in enumerate(zip(filters, places, strict=True)):
        row = (way, place, 0.1, number == 3)
        result = graph.add("PrepImageForClipVision", *row, image=image)
        at.show(graph.add("IPAdapterApply@2023-09-15", 0.7, 0, image=result[0], **links)[0])
    return graph


def tiles() -> Graph:
    at = scene("IPAdapter Masked Tiles without, with few and with many tiles")
    graph = at.graph
    links = {"model": at.model, "image": picture(graph), **loaders(graph)}
    for tiles, kind, noise in ((0, TYPES[0], 0), (1, TYPES[1], 0.3), (2, TYPES[2], 0)):
        row = (0.7, noise, kind, 0, 1, tiles, 0.6)
        at.show(graph.add("IPAdapterTilesMasked", *row, **links)[0])
    return graph


def laksjdjf() -> Graph:
    at = scene("laksjdjf's IPAdapter, chained, masked")
    graph, image = at.graph, pictures(at.graph)
    inputs = {"image": image, "clip_vision": graph.add("CLIPVisionLoader", ENCODER)[0]}
    row = (0.5, "ip-adapter-plus_sd15.bin", "fp32")
    first = graph.add("IPAdapter@laksjdjf", *row, model=at.model, **inputs)
    at.show(first[0])
    mask = graph.add("SolidMask", 0.5, 64, 64)[0]
    row = (0.5, "ip-adapter_sd15.bin", "fp16")
    at.show(graph.add("IPAdapter@laksjdjf", *row, model=first[0], mask=mask, **inputs)[0])
    return graph


def laksjdjf_first() -> Graph:
    at = scene("laksjdjf's IPAdapter until 2023-08-27, which took what the encoder saw")
    graph = at.graph
    inputs = {"image": picture(graph), "clip_vision": graph.add("CLIPVisionLoader", ENCODER)[0]}
    recorded: Output = graph.add("CLIPVisionEncode", "center", **inputs)[0]
    kind = "IPAdapter@laksjdjf-2023-08-17"
    links = {"model": at.model, "clip_vision_output": recorded}
    at.show(graph.add(kind, 0.5, "ip-adapter_sd15.bin", **links)[0])
    at.show(graph.add(kind, 0.5, "ip-adapter_sd15.bin", "fp16", **links)[0])
    return graph


GRAPHS: dict[str, Callable[[], Graph]] = {
    "v1_apply": apply,
    "v1_apply_sdxl": apply_sdxl,
    "v1_apply_first": apply_first,
    "v1_faceid": faceid,
    "v1_encoded": encoded,
    "v1_encoded_first": encoded_first,
    "v1_prepared": prepared,
    "v1_tiles": tiles,
    "laksjdjf": laksjdjf,
    "laksjdjf_first": laksjdjf_first,
}
