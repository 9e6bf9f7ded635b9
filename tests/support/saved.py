"""Saved graphs for tests, written as the page writes them."""

MISSING, INSTALLED = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors", "another name.safetensors"


def node(node_id, kind, inputs=(), values=()):
    """A saved node; inputs: (name, link)."""
    sockets = [{"name": name, "type": "*", "link": link} for name, link in inputs]
    return {"id": node_id, "type": kind, "inputs": sockets, "widgets_values": list(values)}


def graph(*nodes, links=(), **fields):
    return {"nodes": list(nodes), "links": [list(link) for link in links], **fields}


def encoder_of(nodes):
    (loader,) = (saved for saved in nodes if saved["type"] == "CLIPVisionLoader")
    return loader["widgets_values"][0]


LOADER = node(1, "CLIPVisionLoader", values=[MISSING])
