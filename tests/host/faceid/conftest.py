"""A models folder with a recogniser of random weights, and nodes that take faces."""

import pytest
import torch
from adapter_layouts import layout
from safetensors.torch import save_file
from support import arcface
from support.faceid import FACEID


@pytest.fixture(scope="package")
def trained_net():
    return arcface.random_net(arcface.R50)


@pytest.fixture(scope="package")
def recogniser_path(trained_net, tmp_path_factory):
    path = tmp_path_factory.mktemp("recogniser") / "any name.safetensors"
    save_file(trained_net.state_dict(), path)
    return path


@pytest.fixture
def models_folder(host, own_folders, monkeypatch):
    """A models folder of the test's own, without a recogniser."""
    import folder_paths

    folder = own_folders / "models"
    (folder / "insightface").mkdir(parents=True)
    monkeypatch.setattr(folder_paths, "models_dir", str(folder))
    paths = {**folder_paths.folder_names_and_paths, "ipadapter": ([str(folder)], {".bin"})}
    paths.pop("insightface", None)
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", paths)
    return folder


@pytest.fixture
def installed(models_folder, recogniser_path):
    """With the recogniser in a folder that extra_model_paths.yaml adds."""
    import folder_paths

    folder_paths.folder_names_and_paths["insightface"] = ([str(recogniser_path.parent)], set())


@pytest.fixture
def apply_faces(nodes_by_id, adapters, models):
    """(name, settings) -> the output of Apply IPAdapter with that adapter."""

    def run(name=FACEID, **settings):
        adapter, _ = adapters(name)
        model = models("sdxl" if "sdxl" in name else "sd15")
        return nodes_by_id["ApplyIPAdapter"].execute(model, adapter, **settings)

    return run


@pytest.fixture
def encode_identity(nodes_by_id):
    outputs = ("embeds", "embeds_negative", "similarity", "faces")

    def run(image, weight=1.0, **inputs):
        output = nodes_by_id["EncodeFaceIdentity"].execute(image, weight, **inputs)
        return {**dict(zip(outputs, output.args, strict=True)), "ui": output.ui}

    return run


@pytest.fixture
def landmarks_of(nodes_by_id):
    """(picture [1, H, W, 3]) -> the landmarks [5, 2] that Face Crop reads."""

    def run(picture):
        found = nodes_by_id["FaceCrop"].execute(
            picture, x=0, y=0, width=0, height=0, padding=0.08, size=64, border="black",
            on_none="error",
        )  # fmt: skip
        return found.args[3]["frames"][0][0]["landmarks_xy"]

    return run


@pytest.fixture
def hollow_adapter(pack, host):
    """(name) -> an adapter of that kind without weights."""
    from comfy.model_patcher import CoreModelPatcher

    def run(name):
        with torch.device("meta"):
            shapes = {key: torch.empty(shape) for key, shape in layout(name).items()}
        spec = pack.nodes.files.folders.read_spec(shapes)
        patcher = CoreModelPatcher(torch.nn.Linear(1, 1), torch.device("cpu"), torch.device("cpu"))
        return pack.nodes.sockets.LoadedAdapter(name, spec, patcher)

    return run
