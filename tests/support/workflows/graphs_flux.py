"""Graphs of XLabs' pack for FLUX.1 and of Shakker-Labs', with the host's sampler."""

from support.workflows.litegraph import Graph
from support.workflows.scenes import FLUX, picture, pictures, scene

XLABS_FILES = ("flux-ip-adapter.safetensors", "model.safetensors", "CPU")
SIGLIP = "google/siglip-so400m-patch14-384"
CURVES = "Linear", "First half", "Second half", "Sigmoid"


def xlabs() -> Graph:
    at = scene("XLabs' adapter: once, twice, and with each curve of strengths", FLUX)
    graph, image = at.graph, picture(at.graph)
    links = {"ip_adapter_flux": graph.add("LoadFluxIPAdapter", *XLABS_FILES)[0], "image": image}
    first = graph.add("ApplyFluxIPAdapter", 0.92, model=at.model, **links)
    at.show(first[0])
    at.show(graph.add("ApplyFluxIPAdapter", 0.5, model=first[0], **links)[0])
    links["image"] = pictures(graph)
    for number, curve in enumerate(CURVES):
        row = (0.2 * number, 1.1, curve)
        at.show(graph.add("ApplyAdvancedFluxIPAdapter", *row, model=at.model, **links)[0])
    return graph


def instantx() -> Graph:
    refusal = "IPAdapterFluxLoader", "needs SigLIP so400m/14-384"
    at = scene("InstantX's adapter, whose encoder is not here", FLUX, refusal)
    graph = at.graph
    adapter = graph.add("IPAdapterFluxLoader", "ip-adapter.bin", SIGLIP, "cuda")[0]
    links = {"model": at.model, "ipadapter_flux": adapter, "image": picture(graph)}
    at.show(graph.add("ApplyIPAdapterFlux", 0.7, 0.1, 0.9, **links)[0])
    return graph


GRAPHS = {"flux_xlabs": xlabs, "flux_instantx": instantx}
