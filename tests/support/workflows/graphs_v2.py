"""Graphs of IPAdapter_plus since March 2024: each of its 37 ids, each option, each layout of the
widgets.
"""

from collections.abc import Callable

from support.workflows.litegraph import Graph, Output
from support.workflows.scenes import PLUS_XL, SDXL, Scene, loaders, picture, pictures, scene

TYPES = ["linear", "ease in", "ease out", "ease in-out", "reverse in-out"]
TYPES += ["weak input", "weak output", "weak middle", "strong middle", "style transfer"]
TYPES += ["composition", "strong style transfer", "style and composition"]
TYPES += ["style transfer precise", "composition precise"]
COMBINE = ["concat", "add", "subtract", "average", "norm average"]
SCALINGS = ["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"]
LAST = "V only"
UNIFIED = [
    "LIGHT - SD1.5 only (low strength)",
    "STANDARD (medium strength)",
    "VIT-G (medium strength)",
    "PLUS (high strength)",
    "PLUS FACE (portraits)",
    "FULL FACE - SD1.5 only (portraits stronger)",
]
FACEID = [
    "FACEID",
    "FACEID PLUS - SD1.5 only",
    "FACEID PLUS V2",
    "FACEID PORTRAIT (style transfer)",
    "FACEID PORTRAIT UNNORM - SDXL only (strong)",
]


def simple() -> Graph:
    at = scene("IPAdapter in its three kinds behind the unified loader")
    graph = at.graph
    model, adapter = graph.add("IPAdapterUnifiedLoader", UNIFIED[3], model=at.model)
    image = picture(graph)
    for kind in ("standard", "prompt is more important", "style transfer"):
        links = {"model": model, "ipadapter": adapter, "image": image}
        at.show(graph.add("IPAdapter", 0.8, 0, 1, kind, **links)[0])
    links["attn_mask"] = graph.add("SolidMask", 0.5, 64, 64)[0]
    at.show(graph.add("IPAdapter", 0.8, 0, 1, "standard", **links)[0])
    return graph


def simple_of_march_2024() -> Graph:
    at = scene("IPAdapter before it had weight_type, and with the first name of its style")
    graph = at.graph
    model, adapter = graph.add("IPAdapterUnifiedLoader", UNIFIED[3], model=at.model)
    links = {"model": model, "ipadapter": adapter, "image": picture(graph)}
    at.show(graph.add("IPAdapter", 0.8, 0, 1, **links)[0])
    at.show(graph.add("IPAdapter", 0.8, 0, 1, "style transfer (SDXL only)", **links)[0])
    return graph


def advanced(at: Scene, image: Output, rows: list[tuple], **links: Output) -> None:
    links = {"model": at.model, "image": image, **links}
    for row in rows:
        at.show(at.graph.add("IPAdapterAdvanced", *row, **links)[0])


def weight_types() -> Graph:
    at = scene("IPAdapter Advanced in every weight type, SD1.5")
    rows = [(0.8, kind, "concat", 0, 1, LAST) for kind in TYPES]
    advanced(at, picture(at.graph), rows, **loaders(at.graph))
    return at.graph


def weight_types_sdxl() -> Graph:
    at = scene("IPAdapter Advanced in every weight type, SDXL", SDXL)
    rows = [(0.8, kind, "concat", 0, 1, LAST) for kind in TYPES]
    advanced(at, picture(at.graph), rows, **loaders(at.graph, PLUS_XL))
    return at.graph


def combine_embeds() -> Graph:
    at = scene("IPAdapter Advanced with every way to combine, scaling, and windows")
    rows = [(0.7, "linear", way, 0, 1, LAST) for way in COMBINE]
    rows += [(0.7, "linear", "concat", 0, 0.9, way) for way in SCALINGS[1:]]
    rows += [(-0.5, "linear", "concat", 0, 0.5, LAST), (3, "ease in", "concat", 0, 1, LAST)]
    advanced(at, pictures(at.graph, 3), rows, **loaders(at.graph))
    return at.graph


def old_values() -> Graph:
    at = scene("names of weight types and timings that later releases changed", SDXL)
    names = ["original", "channel penalty", "style transfer (SDXL)", "composition (SDXL)"]
    names += ["style transfer and composition"]
    rows = [(0.8, name, "concat", 0, 1, LAST) for name in names]
    advanced(at, picture(at.graph), rows, **loaders(at.graph, PLUS_XL))
    return at.graph


def without_scaling() -> Graph:
    at = scene("nodes saved before 2024-03-25, when they got embeds_scaling")
    graph = at.graph
    links = {"model": at.model, "image": pictures(graph), **loaders(graph)}
    at.show(graph.add("IPAdapterAdvanced", 0.8, "linear", "average", 0, 1, **links)[0])
    face = graph.add("IPAdapterFaceID@2024-04-22", 0.8, 1, "linear", "concat", 0, 1, **links)
    at.show(face[0])
    at.show(graph.add("IPAdapterTiled", 0.8, "linear", "concat", 0, 1, 0, **links)[0])
    at.show(graph.add("IPAdapterTiledBatch", 0.8, "linear", 0, 1, 0, **links)[0], 2)
    at.show(graph.add("IPAdapterBatch", 0.8, "ease in", 0, 1, **links)[0], 2)
    inputs = {key: links[key] for key in ("ipadapter", "image", "clip_vision")}
    positive, negative = graph.add("IPAdapterEncoder", 1, **inputs)
    del links["image"]
    pair = {"pos_embed": positive, "neg_embed": negative}
    at.show(graph.add("IPAdapterEmbeds", 0.8, "linear", 0, 1, **pair, **links)[0])
    return graph


def shorter_and_longer() -> Graph:
    at = scene("other layouts: without encode_batch_size, with a layer_weights that was taken back")
    graph = at.graph
    links = {"model": at.model, "image": picture(graph), **loaders(graph)}
    at.show(graph.add("IPAdapterBatch", 0.8, "linear", 0, 1, LAST, **links)[0])
    at.show(graph.add("IPAdapterTiledBatch", 0.8, "linear", 0, 1, 0.2, LAST, **links)[0])
    values = (0.8, 1, "linear", "concat", 0, 1, LAST, "")
    at.show(graph.add("IPAdapterFaceID@2024-04-22", *values, **links)[0])
    links["insightface"] = graph.add("IPAdapterInsightFaceLoader", "CPU")[0]
    at.show(graph.add("IPAdapterFaceID", 0.8, 2, *values[2:7], **links)[0])
    return graph


def noise() -> Graph:
    at = scene("negative pictures: every kind of IPAdapter Noise")
    graph, image = at.graph, picture(at.graph)
    links = loaders(graph)
    row = [(0.8, "linear", "concat", 0, 1, LAST)]
    for number, kind in enumerate(("fade", "dissolve", "gaussian", "shuffle")):
        inputs = {} if number == 2 else {"image_optional": image}
        result = graph.add("IPAdapterNoise", kind, 0.5 + 0.1 * number, 4 * number, **inputs)
        advanced(at, image, row, image_negative=result[0], **links)
    advanced(at, image, row, image_negative=image, **links)
    return graph


def prepared() -> Graph:
    at = scene("Prep Image For ClipVision with every filter and place")
    graph, image = at.graph, picture(at.graph)
    links = loaders(graph)
    row = [(0.8, "linear", "concat", 0, 1, LAST)]
    filters = ("LANCZOS", "BICUBIC", "HAMMING", "BILINEAR", "BOX", "NEAREST")
    places = ("top", "bottom", "left", "right", "center", "pad")
    for number, (way, place) in enumerate(zip(filters, places, strict=True)):
        result = graph.add("PrepImageForClipVision", way, place, 0.15 * number, image=image)
        advanced(at, result[0], row, **links)
    return graph


def batch() -> Graph:
    at = scene("IPAdapter Batch with a list of weights in its socket, and weights in every timing")
    graph, images = at.graph, pictures(at.graph, 2)
    links = {"model": at.model, **loaders(graph)}
    timings = ("custom", "linear", "ease_in_out", "ease_in", "ease_out", "random")
    methods = ("full batch", "shift batches", "alternate batches")
    for number, timing in enumerate(timings):
        texts, method = ("0.2, 1.0", "1.0\n0.3"), methods[number % 3]
        values = (texts[number % 2], timing, 3, 0, 9999, number % 2, 1, method)
        result = list(graph.add("IPAdapterWeights", *values, image=images))
        inputs = {**links, "image": result[3], "weight": result[0]}
        node = graph.add("IPAdapterBatch", 1, TYPES[number], 0, 1, LAST, number, **inputs)
        at.show(node[0], 4)
    return graph


def weights() -> Graph:
    at = scene("the other weights nodes: from a strategy, combined, as a schedule of prompts")
    graph, images = at.graph, pictures(at.graph, 2)
    links = {"model": at.model, **loaders(graph)}
    result = list(
        graph.add(
            "IPAdapterWeights", "0.0, 1.0", "linear", 3, 0, 9999, 0, 0, "full batch", image=images
        )
    )
    again = list(
        graph.add("IPAdapterWeightsFromStrategy", weights_strategy=result[5], image=images)
    )
    graph.add(
        "IPAdapterPromptScheduleFromWeightsStrategy", "a cat\na dog", weights_strategy=again[5]
    )
    inputs = {**links, "image": again[3], "weight": again[1]}
    at.show(graph.add("IPAdapterBatch", 1, "linear", 0, 1, LAST, 0, **inputs)[0], 4)
    pair = graph.add("IPAdapterCombineWeights", 0, 0, weights_1=result[0], weights_2=again[0])
    inputs = {**links, "image": again[3], "weight": pair[0]}
    at.show(graph.add("IPAdapterBatch", 1, "linear", 0, 1, LAST, 0, **inputs)[0], 4)
    first_list = graph.add("IPAdapterCombineWeights", 0.3, 0.9)
    inputs = {**links, "image": images, "weight": first_list[0]}
    at.show(graph.add("IPAdapterBatch", 1, "linear", 0, 1, LAST, 0, **inputs)[0], 2)
    return graph


def weights_of_april_2024() -> Graph:
    at = scene("IPAdapter Weights with one output and five widgets, and before it had strategies")
    graph, images = at.graph, pictures(at.graph, 2)
    links = {"model": at.model, "image": images, **loaders(graph)}
    for timing in ("linear", "reverse_in_out"):
        first = graph.add("IPAdapterWeights@2024-04-12", "0.2, 1.0", timing, 2, 0, 9999)
        node = graph.add("IPAdapterBatch", 1, "linear", 0, 1, LAST, weight=first[0], **links)
        at.show(node[0], 2)
    values = ("1.0, 0.2", "linear", 2, 0, 9999, 0, 0, "full batch")
    later = graph.add("IPAdapterWeights@2024-04-27", *values, image=images)
    node = graph.add("IPAdapterBatch", 1, "linear", 0, 1, LAST, weight=later[0], **links)
    at.show(node[0], 2)
    return graph


def faceid_nodes_with_other_adapters() -> Graph:
    at = scene("the FaceID nodes with a plus adapter, for which they need no face")
    graph = at.graph
    links = {"model": at.model, "image": pictures(graph), **loaders(graph)}
    for provider, name in (("CPU", "buffalo_l"), ("CUDA", "antelopev2"), ("ROCM", "buffalo_l")):
        links["insightface"] = graph.add("IPAdapterInsightFaceLoader", provider, name)[0]
    at.show(graph.add("IPAdapterFaceID", 0.8, 2, "linear", "average", 0, 1, LAST, **links)[0])
    values = (0.8, 1, 1, "ease out", "concat", 0, 1, "K+V")
    at.show(graph.add("IPAdapterFaceIDKolors", *values, **links)[0])
    values = (0.8, 1, "weak input", "concat", 0, 1, LAST)
    at.show(graph.add("IPAAdapterFaceIDBatch", *values, **links)[0], 2)
    return graph


def _faceid(number: int) -> Callable[[], Graph]:
    def made() -> Graph:
        words = "no such adapter for SD1.5" if "SDXL only" in FACEID[number] else "of the same kind"
        fails = ("IPAdapterUnifiedLoaderFaceID", words)
        at = scene(f"the FaceID preset '{FACEID[number]}'", fails=fails)
        provider = ("CPU", "CUDA", "ROCM", "DirectML", "OpenVINO")[number]
        values = (FACEID[number], 0.6, provider)
        model, adapter = at.graph.add("IPAdapterUnifiedLoaderFaceID", *values, model=at.model)
        links = {"model": model, "ipadapter": adapter, "image": picture(at.graph)}
        node = at.graph.add("IPAdapterFaceID", 0.8, 2, "linear", "concat", 0, 1, LAST, **links)
        at.show(node[0])
        return at.graph

    return made


def tiled() -> Graph:
    at = scene("IPAdapter Tiled and its batch, with what they show")
    graph, image = at.graph, picture(at.graph)
    links = {"model": at.model, "image": image, **loaders(graph)}
    mask = graph.add("SolidMask", 0.8, 64, 80)[0]
    values = (0.7, "ease in", "concat", 0, 1, 0.1, LAST)
    model, tiles, masks = graph.add("IPAdapterTiled", *values, attn_mask=mask, **links)
    at.show(model)
    graph.add("PreviewImage", images=tiles)
    graph.add("PreviewImage", images=graph.add("MaskToImage", mask=masks)[0])
    values = (0.7, "weak output", 0, 1, 0, "K+V w/ C penalty", 2)
    at.show(graph.add("IPAdapterTiledBatch", *values, **links)[0], 2)
    return graph


def embeds() -> Graph:
    at = scene("encoded, combined in every way, applied, saved and loaded")
    graph = at.graph
    pair = loaders(graph)
    inputs = {**pair, "image": picture(graph)}
    mask = graph.add("SolidMask", 0.5, 256, 320)[0]
    first = graph.add("IPAdapterEncoder", 1.5, **inputs)
    second = graph.add("IPAdapterEncoder", 0.6, mask=mask, **inputs)
    links = {"model": at.model, **pair}
    for number, way in enumerate([*COMBINE, "max", "min"]):
        result = graph.add("IPAdapterCombineEmbeds", way, embed1=first[0], embed2=second[0])
        row = (0.8, TYPES[number], 0, 1, SCALINGS[number % 4])
        at.show(graph.add("IPAdapterEmbeds", *row, pos_embed=result[0], **links)[0])
    numbers = {f"embed{n}": first[0] for n in range(1, 6)}
    many = graph.add("IPAdapterCombineEmbeds", "concat", **numbers)
    row = (0.8, "strong middle", 0, 1, LAST)
    embeds = {"pos_embed": many[0], "neg_embed": second[1]}
    at.show(graph.add("IPAdapterEmbedsBatch", *row, **embeds, **links)[0], 2)
    graph.add("IPAdapterSaveEmbeds", "IP_embeds", embeds=first[0])
    loaded = graph.add("IPAdapterLoadEmbeds", "one.ipadpt")
    base = graph.add("IPAdapterModelLoader", "ip-adapter_sd15.bin")[0]
    row = (0.8, "linear", 0, 1, LAST)
    links = {"model": at.model, "ipadapter": base}
    at.show(graph.add("IPAdapterEmbeds", *row, pos_embed=loaded[0], **links)[0])
    return graph


GRAPHS: dict[str, Callable[[], Graph]] = {
    "v2_simple": simple,
    "v2_simple_2024_03": simple_of_march_2024,
    "v2_weight_types": weight_types,
    "v2_weight_types_sdxl": weight_types_sdxl,
    "v2_combine_embeds": combine_embeds,
    "v2_old_values": old_values,
    "v2_without_scaling": without_scaling,
    "v2_other_layouts": shorter_and_longer,
    "v2_noise": noise,
    "v2_prepared": prepared,
    "v2_batch": batch,
    "v2_weights": weights,
    "v2_weights_2024_04": weights_of_april_2024,
    "v2_faceid_nodes": faceid_nodes_with_other_adapters,
    **{f"v2_faceid_preset_{number + 1}": _faceid(number) for number in range(len(FACEID))},
    "v2_tiled": tiled,
    "v2_embeds": embeds,
}
