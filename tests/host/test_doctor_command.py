"""The doctor's routes in a running server, and its command, which needs none."""

import json
import os
import subprocess
import urllib.error
import urllib.request

import comfy_host
import pytest
from support.hub import Hub

pytestmark = pytest.mark.http

DOCTOR = comfy_host.PACK / "scripts" / "doctor"


def test_the_server_has_the_routes_and_refuses_other_sites(server):
    text = server.get("/ipadapternodes/doctor")["text"]
    assert "sub folder/b.bin (outside the models folder): SD1.5 plus" in text
    auto = server.get("/api/ipadapternodes/stamps")["auto"]
    assert auto["d.bin"] == {"name": "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors", "here": True}
    ours = server.get("/ipadapternodes/stamps")["nodes"]
    assert {"IPAdapterDoctor", "IPAdapterModelLoader"} <= set(ours)
    assert "KSampler" not in ours
    assert server.post("/ipadapternodes/download", {"name": "x"})[0] == 400
    headers = {"Content-Type": "application/json", "Origin": "http://evil.example"}
    request = urllib.request.Request(
        f"{server.base}/ipadapternodes/download", b'{"name": "x"}', headers
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=20)


@pytest.fixture
def command(host_tree, model_folder, tmp_path):
    """Runs scripts/doctor with the test models beside an empty models folder, and a hub to download
    from.
    """
    for folder in ("models", "input", "output"):
        (tmp_path / "base" / folder).mkdir(parents=True)
    config = tmp_path / "paths.yaml"
    paths = {"ipadapter": str(model_folder / "ipadapter")}
    paths["clip_vision"] = str(model_folder / "clip_vision")
    config.write_text(json.dumps({"tests": paths}))
    flags = ["--base-directory", str(tmp_path / "base")]

    def run(*arguments, **environment):
        python = comfy_host.prepare().python
        ours = {"COMFYUI_PATH": str(host_tree), "HF_HOME": str(tmp_path / "home"), **environment}
        config_flags = [] if "--get" in arguments else ["--extra-model-paths-config", str(config)]
        line = [str(python), str(DOCTOR), *flags, *config_flags, *arguments]
        return subprocess.run(line, env={**os.environ, **ours}, capture_output=True, text=True)

    return run


def test_the_command_reports_without_a_server(command):
    finished = command("--base", "SDXL", "--purpose", "look")
    assert finished.returncode == 0, finished.stderr
    assert "ipadapter/sub folder/b.bin (outside the models folder): SD1.5 plus" in finished.stdout
    assert (
        "For SDXL, to follow the look of an image: ready\n  d.bin with some/model"
        in finished.stdout
    )
    assert finished.stdout.count("\nFor ") == 1


def test_the_command_downloads_from_the_named_endpoint_and_checks(command, tmp_path):
    name = "ip-adapter-full-face_sd15.safetensors"
    with Hub(bytes(43592352)) as hub:
        finished = command("--get", name, HF_ENDPOINT=hub.base)
    assert finished.returncode == 1
    assert f"downloading {name}" in finished.stdout
    assert f"What was downloaded as '{name}' is not the published file" in finished.stderr
    assert list((tmp_path / "base" / "models" / "ipadapter").iterdir()) == []
    first = next(path for _, path, _ in hub.asked if "/resolve/" in path)
    assert first.startswith("/h94/IP-Adapter/resolve/018e402774aeeddd60609b4ecdb7e298259dc729/")
