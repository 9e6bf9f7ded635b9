"""What is said of a file that is not there: dangling links, folders that lead back, nearest
matches.
"""

import make_models
import pytest
from adapter_layouts import Base

pytestmark = pytest.mark.host

SMALL = Base(768, (8,) * 16)


@pytest.fixture
def folder(host, tmp_path, monkeypatch):
    """models/ipadapter with an adapter, a web page, a link to nothing and a folder that leads
    back.
    """
    import folder_paths

    path = tmp_path / "ipadapter"
    weights = make_models.adapter_tensors("ip-adapter_sd15", SMALL)
    make_models.save(path / "ip-adapter_sd15.safetensors", weights)
    make_models.save(path / "deep" / "other_sd15.safetensors", weights)
    (path / "ip-adapter_sd15_v2.safetensors").write_bytes(b"<html>" + b" " * 500)
    (path / "ip-adapter_gone.safetensors").symlink_to(tmp_path / "gone")
    (path / "deep" / "back").symlink_to(path)
    registered = ([str(path)], folder_paths.supported_pt_extensions)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "ipadapter", registered)
    monkeypatch.delitem(folder_paths.filename_list_cache, "ipadapter", raising=False)
    return path


@pytest.fixture
def folders(pack):
    return pack.nodes.files.folders


def test_a_link_to_nothing_is_told_as_such(folder, folders):
    sentence = folders.missing("ipadapter", "ip-adapter_gone.safetensors")
    assert "is a link to a file that is not there" in sentence and "nearest" not in sentence


def test_a_folder_that_leads_back_shows_no_file_twice(folder, folders):
    listed = folders.names("ipadapter")
    assert {"ip-adapter_sd15.safetensors", "deep/other_sd15.safetensors"} <= set(listed)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ip-adapter_sd15_v3.safetensors", "ip-adapter_sd15.safetensors"),  # not the web page
        ("ip_adapter_sd15.bin", "ip-adapter_sd15.safetensors"),
        ("ip-adapter-plus_sd15.safetensors", None),  # another family
        ("ip-adapter-faceid_sd15.bin", None),
        ("ip-adapter_sdxl.safetensors", None),  # another base model
        ("ip-adapter_sd15_light.safetensors", None),
    ],
)
def test_the_nearest_match_is_of_the_same_kind_and_whole(folder, folders, name, nearest):
    sentence = folders.missing("ipadapter", name)
    assert ("the nearest match is" in sentence) == (nearest is not None)
    assert nearest is None or f"the nearest match is '{nearest}'" in sentence
