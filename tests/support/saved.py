"""Saved graphs for tests, written as the page writes them."""

MISSING, INSTALLED = "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors", "another name.safetensors"


def node(node_id, kind, inputs=(), values=()):
    """A saved node; inputs: (name, link)."""
    sockets = [{"name": name, "type": "*", "link": link} for name, link in inputs]
    return {"id": node_id, "type": kind, "inputs": sockets, "widgets_values": list(values)}


def graph(*nodes, links=(), **more):
    return {"nodes": list(nodes), "links": [list(link) for link in links], **more}


def encoder_of(nodes):
    (loader,) = (saved for saved in nodes if saved["type"] == "CLIPVisionLoader")
    return loader["widgets_values"][0]


def install_encoder(pack, monkeypatch, tmp_path):
    """One image encoder, whatever is asked for, under another name; no adapter."""
    import folder_paths

    for name in ("ipadapter", "clip_vision"):
        where = ([str(tmp_path)], folder_paths.supported_pt_extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, where)
    files = pack.nodes.legacy.ids.installed_files
    monkeypatch.setattr(files, "installed_encoders", lambda encoder: [INSTALLED])


def known_nodes(pack, nodes_by_id):
    """Old nodes, all of ours, and those of other packs, as reading takes them."""
    old_nodes = pack.nodes.legacy.BY_ID
    ours = {id: node for id, node in nodes_by_id.items() if "IPAdapter" in id}
    return old_nodes, {**ours, **old_nodes}, {}


LOADER = node(1, "CLIPVisionLoader", values=[MISSING])
