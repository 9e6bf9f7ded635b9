"""Recognisers are found by content, in every folder where they lie; everything else is not one."""

import hashlib
import importlib
import os

import pytest
import torch
from support import arcface
from support.tolerance import IDENTITY

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def trained_net():
    return arcface.random_net(arcface.R50)


@pytest.fixture(scope="module")
def files(pack):
    return importlib.import_module(f"{pack.__name__}.nodes.face.recogniser_files")


@pytest.fixture
def models(host, tmp_path, monkeypatch):
    """A models folder of its own, and one that extra_model_paths.yaml adds."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    folders = {
        "ipadapter": ([str(tmp_path / "models" / "ipadapter")], {".safetensors"}),
        "insightface": ([str(tmp_path / "extra")], set()),
    }
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", folders)
    for name in ("models/insightface/models/buffalo_l", "models/ipadapter/faces", "extra/deep"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_recognisers_are_found_in_all_folders_and_other_files_are_not(files, models, trained_net):
    arcface.save_shapes(trained_net, models / "models/ipadapter/faces/any.safetensors")
    torch.save(trained_net.state_dict(), models / "extra/deep/backbone.pth")
    torch.save({"other": torch.ones(1)}, models / "extra/other.bin")
    (models / "models/insightface/models/buffalo_l/det_10g.onnx").write_bytes(b"no ONNX file")
    (models / "models/insightface/empty.onnx").write_bytes(b"")
    (models / "models/insightface/readme.txt").write_text("w600k_r50.onnx")
    assert {file.path: file.spec.net for file in files.find_recognisers()} == {
        str(models / "models/ipadapter/faces/any.safetensors"): "IResNet50",
        str(models / "extra/deep/backbone.pth"): "IResNet50",
    }


def test_no_folder_is_no_error(files, models, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(models / "nowhere"))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", {})
    assert files.find_recognisers() == []


def test_onnx_file_is_found_opened_and_told_apart_by_its_digest(
    pack, files, models, trained_net, monkeypatch
):
    pytest.importorskip("onnx", reason="onnx is not installed")
    core = pack.ipadapter_core.faces.identity.recognisers
    data = arcface.onnx_file(trained_net)
    path = models / "models/insightface/models/buffalo_l/renamed.onnx"
    path.write_bytes(data)
    (file,) = files.find_recognisers()
    assert (file.spec.net, file.spec.space) == ("IResNet50", None)

    digest = hashlib.sha256(data).hexdigest()
    monkeypatch.setattr(core, "PUBLISHED_RECOGNISERS", {len(data): (digest, core.AURAFACE)})
    os.utime(path, (1, 1))  # else it is not read again
    (file,) = files.find_recognisers()
    assert file.spec.space == core.AURAFACE

    crops = arcface.crops(1)
    embeddings = core.embed(files.open_recogniser(file.path), crops)
    expected = trained_net(arcface.as_input(crops))
    assert (embeddings - expected).abs().max() < IDENTITY * expected.abs().max()
    path.unlink()  # nothing keeps it open


def test_another_export_of_auraface_is_known_by_its_folder(pack, files, models, trained_net):
    folder = models / "models/insightface/models/auraface"
    folder.mkdir()
    arcface.save_shapes(trained_net, folder / "net.safetensors")
    (file,) = files.find_recognisers()
    assert file.spec.space == pack.ipadapter_core.faces.identity.recognisers.AURAFACE


def test_file_that_is_linked_twice_is_listed_once(files, models, trained_net):
    path = models / "extra/net.safetensors"
    arcface.save_shapes(trained_net, path)
    try:
        (models / "models/ipadapter/link.safetensors").symlink_to(path)
    except OSError:
        pytest.skip("this system makes no links")
    assert len(files.find_recognisers()) == 1
