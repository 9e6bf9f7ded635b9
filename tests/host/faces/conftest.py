"""Face Crop in the host, on photographs of people."""

import pytest
import torch
from support.faces import FIRST
from support.pictures import face_photograph

OUTPUTS = ("image", "mask", "bboxes", "face_landmarks", "preview", "picture")


@pytest.fixture(autouse=True)
def previews_in_a_folder_of_their_own(nodes_by_id, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))


@pytest.fixture
def crop(nodes_by_id):
    """Runs the node: image -> its outputs by name."""

    def run(image, **inputs):
        output = nodes_by_id["FaceCrop"].execute(image, **(FIRST | inputs))
        return dict(zip(OUTPUTS, output.args, strict=True))

    return run


@pytest.fixture(scope="module")
def people():
    return face_photograph("three_people")


@pytest.fixture(scope="module")
def portrait():
    return face_photograph("one_portrait")


@pytest.fixture(scope="module")
def nobody():
    return torch.rand(1, 640, 512, 3, generator=torch.Generator().manual_seed(1))
