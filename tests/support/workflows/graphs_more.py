"""More graphs of IPAdapter_plus since March 2024: its special nodes, presets, and names of files
from elsewhere.
"""

from collections.abc import Callable

from support.workflows.graphs_v2 import LAST, UNIFIED, advanced
from support.workflows.litegraph import Graph, Output
from support.workflows.scenes import (
    ENCODER,
    PLUS,
    PLUS_XL,
    SDXL,
    Scene,
    loaders,
    picture,
    pictures,
    scene,
)


def style_and_composition() -> Graph:
    at = scene("IPAdapter Style & Composition SDXL and its batch", SDXL)
    graph, image = at.graph, picture(at.graph)
    second = graph.add("EmptyImage", 256, 256, 1, 0x804020)[0]
    links = {"model": at.model, "image_style": image, **loaders(graph, PLUS_XL)}
    for expand in (False, True):
        row = (1, 0.8, expand, "average", 0, 1, LAST)
        node = graph.add("IPAdapterStyleComposition", *row, image_composition=second, **links)
        at.show(node[0])
        row = (1, 0.8, expand, 0, 1, "K+V")
        node = graph.add("IPAdapterStyleCompositionBatch", *row, image_composition=second, **links)
        at.show(node[0], 2)
    return graph


def _precise(checkpoint: str, adapter: str) -> Callable[[], Graph]:
    def made() -> Graph:
        at = scene(f"the four precise nodes on {checkpoint}", checkpoint)
        links = {"model": at.model, "image": pictures(at.graph), **loaders(at.graph, adapter)}
        for kind, boost in (("StyleTransfer", 2), ("Composition", 0.35)):
            row = (0.8, boost, "average", 0, 1, LAST)
            at.show(at.graph.add(f"IPAdapterPrecise{kind}", *row, **links)[0])
            row = (0.8, boost, "concat", 0, 1, "K+V")
            at.show(at.graph.add(f"IPAdapterPrecise{kind}Batch", *row, **links)[0], 2)
        return at.graph

    return made


def mad_scientist() -> Graph:
    at = scene(
        "layer weights, in lines and with a comma at the end, with and without a precise type"
    )
    graph = at.graph
    links = {"model": at.model, "image": picture(graph), **loaders(graph)}
    texts = ("3:1.0, 6:0.5,", "4:2.0,\n5:1,\n9:0.5", "", "4:1, 40:3")
    kinds = ("linear", "style transfer precise", "composition", "composition precise")
    for text, kind in zip(texts, kinds, strict=True):
        row = (0.8, 1, kind, "concat", 0, 1, LAST, text)
        at.show(graph.add("IPAdapterMS", *row, **links)[0])
    return graph


def enhancer() -> Graph:
    at = scene("IPAdapter ClipVision Enhancer, its tiles from a primitive, and its batch")
    graph = at.graph
    links = {"model": at.model, "image": picture(graph), **loaders(graph)}
    tiles = graph.add("PrimitiveNode", 3, "fixed")
    tiles.outputs[0] |= {"type": "INT", "widget": {"name": "enhance_tiles"}}
    row = (0.8, "linear", "average", 0, 1, LAST, 3, 0.8)
    node = graph.add("IPAdapterClipVisionEnhancer", *row, enhance_tiles=tiles[0], **links)
    at.show(node[0])
    row = (0.8, "linear", "concat", 0, 1, LAST, 1, 0.5)
    at.show(graph.add("IPAdapterClipVisionEnhancer", *row, **links)[0])
    row = (0.8, "composition", 0, 1, LAST, 2, 0.5, 2)
    at.show(graph.add("IPAdapterClipVisionEnhancerBatch", *row, **links)[0], 2)
    return graph


def regional() -> Graph:
    at = scene("three regions with texts of their own in one IPAdapter from Params")
    graph, image = at.graph, picture(at.graph)
    params, positives, negatives = [], [at.positive], [at.negative]
    for number, kind in enumerate(("linear", "style transfer", "ease in-out")):
        mask = graph.add("SolidMask", 0.3 + 0.3 * number, 64, 64)[0]
        texts = {"positive": at.positive, "negative": at.negative} if number else {}
        row = (0.8, 1.2, kind, 0, 1)
        result = list(
            graph.add("IPAdapterRegionalConditioning", *row, image=image, mask=mask, **texts)
        )
        params.append(result[0])
        if texts:
            positives.append(result[1])
            negatives.append(result[2])
    by_name = {f"params_{number + 1}": each for number, each in enumerate(params)}
    pair = graph.add("IPAdapterCombineParams", **by_name)
    links = {"model": at.model, "ipadapter_params": pair[0], **loaders(graph)}
    node = graph.add("IPAdapterFromParams", "concat", LAST, **links)
    at.show(node[0], positive=_joined(graph, positives), negative=_joined(graph, negatives))
    return graph


def _joined(graph: Graph, texts: list[Output]) -> Output:
    result = texts[0]
    for text in texts[1:]:
        result = graph.add("ConditioningCombine", conditioning_1=result, conditioning_2=text)[0]
    return result


def _presets(checkpoint: str, presets: list[str]) -> Callable[[], Graph]:
    def made() -> Graph:
        at = scene(f"presets of the unified loaders, chained, on {checkpoint}", checkpoint)
        graph, image = at.graph, picture(at.graph)
        before: dict[str, Output] = {}
        for preset in presets:
            loader = f"IPAdapterUnifiedLoader{'Community' if preset == 'Composition' else ''}"
            model, adapter = graph.add(loader, preset, model=at.model, **before)
            before = {"ipadapter": adapter}
            advanced(
                Scene(graph, model, at.vae, at.positive, at.negative, at.latent),
                image,
                [(0.8, "linear", "concat", 0, 1, LAST)],
                **before,
            )
        return graph

    return made


def kolors() -> Graph:
    fails = ("IPAdapterUnifiedLoaderCommunity", "it is for Kolors, and the model is SDXL")
    at = scene("the Kolors preset on a model that is not Kolors", SDXL, fails)
    model, adapter = at.graph.add("IPAdapterUnifiedLoaderCommunity", "Kolors", model=at.model)
    links = {"model": model, "ipadapter": adapter, "image": picture(at.graph)}
    row = (1, "style transfer precise", "concat", 0, 1, LAST)
    at.show(at.graph.add("IPAdapterAdvanced", *row, **links)[0])
    return at.graph


ENCODERS = [  # as other machines call ViT-H, then ViT-bigG
    ENCODER,
    "model.safetensors",
    "SD1.5\\model.safetensors",
    "SD1.5/pytorch_model.bin",
    "image_encoder.safetensors",
    "IPAdapter_image_encoder_sd15.safetensors",
    "clip_vision_h.safetensors",
    "CLIP-ViT-H-14.safetensors",
    "CLIP-ViT-H-14-laion2B-s32B-b79K (1).safetensors",
    "sd1.5_clip_vision.bin",
    "model.fp16.safetensors",
]
BIG_ENCODERS = [
    "CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors",
    "IPAdapter_image_encoder_sdxl.safetensors",
    "SDXL\\model.safetensors",
    "clip_vision_g.safetensors",
]
ADAPTERS = [  # as other machines call them; here they have another extension, folder or case
    "ip-adapter_sd15.bin",
    "ip-adapter_sd15.safetensors",
    "ipadapter\\ip-adapter-plus_sd15.safetensors",
    "IP-Adapter Plus SD15.bin",
    "SD1.5/ip-adapter-plus-face_sd15.safetensors",
    "ip-adapter-full-face_sd15.bin",
    "ip-adapter_sd15_light.bin",
    "ip_plus_composition_sd15.safetensors",
]


def names_from_elsewhere() -> Graph:
    at = scene("encoders and adapters under the names of other machines, SD1.5")
    graph, image = at.graph, picture(at.graph)
    row = [(0.8, "linear", "concat", 0, 1, LAST)]
    for number, encoder in enumerate(ENCODERS):
        advanced(at, image, row, **loaders(graph, ADAPTERS[number % len(ADAPTERS)], encoder))
    for encoder in BIG_ENCODERS:
        advanced(at, image, row, **loaders(graph, "ip-adapter_sd15_vit-G.bin", encoder))
    advanced(at, image, row, **loaders(graph, "ip-adapter_sd15_vit-G.bin", "pytorch_model.bin"))
    return graph


def options() -> Graph:
    at = scene("weight types on the other nodes, one each, and the switch to the paper's behaviour")
    graph = at.graph
    links = {"model": at.model, "image": picture(graph), **loaders(graph)}
    kinds = ("strong style transfer", "style and composition", "composition precise")
    for kind in kinds:
        at.show(graph.add("IPAdapterFaceID", 0.8, 1, kind, "add", 0, 1, LAST, **links)[0])
        at.show(graph.add("IPAdapterTiled", 0.8, kind, "add", 0, 1, 0, LAST, **links)[0])
        at.show(graph.add("IPAdapterBatch", 0.8, kind, 0, 1, LAST, 0, **links)[0])
    for behaviour in ("as IPAdapter_plus", "paper"):
        links["model"] = graph.add("IPAdapterOldGraphs", behaviour, model=at.model)[0]
        row = (0.8, "linear", "concat", 0, 1, LAST)
        at.show(graph.add("IPAdapterAdvanced", *row, **links)[0])
    return graph


def other_nodes_between() -> Graph:
    at = scene("reroutes, a note, a bypassed and a muted apply node")
    graph, image = at.graph, picture(at.graph)
    graph.add("Note", "made in 2024")
    rotated = graph.add("Reroute", **{"in": at.model})
    rotated.outputs[0]["type"] = rotated.inputs[0]["type"] = "MODEL"
    links = {"image": image, **loaders(graph)}
    row = (0.8, "linear", "concat", 0, 1, LAST)
    first = graph.add("IPAdapterAdvanced", *row, model=rotated[0], **links)
    passed = graph.add("IPAdapterAdvanced", *row, mode=4, model=first[0], **links)
    at.show(passed[0])
    graph.add("IPAdapterAdvanced", *row, mode=2, model=at.model, **links)
    return graph


GRAPHS: dict[str, Callable[[], Graph]] = {
    "v2_style_and_composition": style_and_composition,
    "v2_precise": _precise("sd15.safetensors", PLUS),
    "v2_precise_sdxl": _precise(SDXL, PLUS_XL),
    "v2_mad_scientist": mad_scientist,
    "v2_enhancer": enhancer,
    "v2_regional": regional,
    "v2_presets": _presets("sd15.safetensors", [*UNIFIED, "Composition"]),
    "v2_presets_sdxl": _presets(SDXL, [*UNIFIED[1:5], "Composition"]),
    "v2_kolors": kolors,
    "v2_names": names_from_elsewhere,
    "v2_options": options,
    "v2_nodes_between": other_nodes_between,
}
