"""Model folders of the host, for tests of the loaders."""

import pytest


@pytest.fixture
def folders(host, tmp_path, monkeypatch):
    """Empty model folders of the host: two for adapters, one for encoders."""
    import folder_paths

    result = {name: tmp_path / name for name in ("ipadapter", "more", "clip_vision")}
    for folder in result.values():
        folder.mkdir()
    installed = folder_paths.folder_names_and_paths
    extensions = folder_paths.supported_pt_extensions
    for kind, names in {
        "ipadapter": ("ipadapter", "more"),
        "clip_vision": ("clip_vision",),
    }.items():
        paths = [str(result[name]) for name in names]
        monkeypatch.setitem(installed, kind, (paths, extensions))
        monkeypatch.delitem(folder_paths.filename_list_cache, kind, raising=False)
    return result


@pytest.fixture
def load(nodes_by_id):
    return lambda name: nodes_by_id["LoadIPAdapter"].execute(name).args[0]
