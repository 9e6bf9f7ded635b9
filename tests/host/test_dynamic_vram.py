"""Dynamic VRAM, which hosts with an NVIDIA GPU have on: their layers have no weights before they
are loaded.

Here without a GPU, so the layers alone; scripts/gpu-check runs a server with it.
"""

import make_models
import pytest
import torch
from support.compare import NAMES
from support.tolerance import ENCODING

pytestmark = pytest.mark.host


@pytest.fixture
def dynamic(host, monkeypatch):
    import comfy.memory_management
    import comfy.model_management

    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", True)
    # the oldest host does so on Windows alone
    monkeypatch.setattr(comfy.model_management, "WINDOWS", True)


@pytest.mark.parametrize("name", ["ip-adapter_sd15", "ip-adapter-full-face_sd15", *NAMES.values()])
def test_an_adapter_opens_with_layers_that_have_no_weights_yet(dynamic, pack, tiny, name):
    import comfy.ops

    assert comfy.ops.manual_cast.Linear(3, 5).weight is None
    base = tiny.SMALL["sdxl" if "sdxl" in name else "sd15"]
    tensors = make_models.adapter_tensors(name, base, 0, torch.float32)
    adapter = pack.nodes.files.load.loaded_adapter(name, tensors).patcher.model
    result = adapter.state_dict()
    assert result.keys() == tensors.keys()
    assert all(torch.equal(result[key], tensors[key]) for key in tensors)
    plain = pack.nodes.files.load.build(tensors, torch.nn)
    recorded = tiny.features(3)[adapter.spec.clip_input.name]
    with torch.inference_mode():
        assert torch.allclose(adapter.project(recorded), plain.project(recorded), atol=ENCODING)
