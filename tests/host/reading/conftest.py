"""Old prompts and saved graphs as the pack reads them."""

import pytest
from support.saved import INSTALLED


@pytest.fixture
def installed_encoder(pack, monkeypatch, tmp_path):
    """One image encoder, whatever is asked for, under another name; no adapter."""
    import folder_paths

    for name in ("ipadapter", "clip_vision"):
        where = ([str(tmp_path)], folder_paths.supported_pt_extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, where)
    files = pack.nodes.legacy.ids.installed_files
    monkeypatch.setattr(files, "installed_encoders", lambda encoder: [INSTALLED])


@pytest.fixture
def known_nodes(pack, nodes_by_id):
    """Old nodes, all of ours, and those of other packs, as reading takes them."""
    old_nodes = pack.nodes.legacy.BY_ID
    ours = {id: node for id, node in nodes_by_id.items() if "IPAdapter" in id}
    return old_nodes, {**ours, **old_nodes}, {}


@pytest.fixture
def read_prompt(pack, known_nodes):
    return lambda prompt: pack.nodes.legacy.reading.prompts.read_prompt(prompt, *known_nodes)


@pytest.fixture
def opened_graph(pack, known_nodes):
    return lambda graph: pack.nodes.legacy.reading.open_graph.open_graph(graph, *known_nodes)
