"""A models folder for the doctor to look at."""

import make_models
import pytest
from support.model_files import SMALL


@pytest.fixture
def models(host, own_folders, tmp_path, monkeypatch):
    """A models folder as people have them."""
    import folder_paths

    folder = tmp_path / "home of somebody" / "models"
    kinds = ("ipadapter", "clip_vision", "loras", "checkpoints", "controlnet", "diffusers")
    monkeypatch.setattr(folder_paths, "models_dir", str(folder))
    installed = {
        kind: ([str(folder / kind)], set(folder_paths.supported_pt_extensions)) for kind in kinds
    }
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
    installed["custom_nodes"] = ([str(tmp_path)], set())
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", installed)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return folder


@pytest.fixture
def adapter_file(models):
    def make(name, kind="ip-adapter_sd15"):
        return make_models.save(models / name, make_models.adapter_tensors(kind, SMALL))

    return make
