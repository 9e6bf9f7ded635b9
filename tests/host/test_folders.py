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
    assert "is a link to a missing file" in sentence and "nearest" not in sentence


def test_a_folder_that_leads_back_shows_no_file_twice(folder, folders):
    listing = folders.names("ipadapter")
    assert {"ip-adapter_sd15.safetensors", "deep/other_sd15.safetensors"} <= set(listing)


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


def many_loops(root):
    """Six folders with a file each, every one of which links to all the others."""
    places = [root / f"folder{number}" for number in range(6)]
    for place in places:
        place.mkdir(parents=True)
        (place / "a.ipadpt").write_bytes(b"x")
        (place / "a.safetensors").write_bytes(b"x")
    for place in places:
        for second in places:
            if second != place:
                (place / f"to_{second.name}").symlink_to(second)


def test_folders_that_lead_to_each_other_are_listed_to_an_end(folder, folders, pack):
    many_loops(folder)
    listing = folders.names("ipadapter")
    assert {f"folder{number}/a.safetensors" for number in range(6)} < set(listing)
    assert len(listing) < 40
    paths = [path for path, _ in pack.nodes.files.installed.files_below(str(folder), set())]
    assert len(paths) == 6 * 2 + 4  # each file once


def test_loops_in_the_input_folder_end(folders, pack, tmp_path, monkeypatch):
    import folder_paths

    many_loops(tmp_path / "loops")
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path / "loops"))
    names = pack.nodes.references.embeds.embeds_file_names()
    assert {f"folder{number}/a.ipadpt" for number in range(6)} <= set(names) and len(names) < 100


def test_folders_of_packs_for_flux_are_searched_where_they_exist(
    folder, folders, tmp_path, monkeypatch
):
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    (tmp_path / "ipadapter-flux").mkdir()
    (tmp_path / "ipadapter-flux" / "ip-adapter.bin").touch()
    folders.register()
    searched = folder_paths.get_folder_paths("ipadapter")
    assert searched == [str(folder), str(tmp_path / "ipadapter-flux")]
    assert "ip-adapter.bin" in folders.names("ipadapter")
