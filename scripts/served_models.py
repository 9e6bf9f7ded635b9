"""Which model files a server gets: the demo's own, or a folder of somebody's."""

import json
import subprocess
from pathlib import Path

import comfy_host

KINDS = ("checkpoints", "clip_vision", "ipadapter", "vae", "loras", "controlnet")


def demo_models(host: comfy_host.Host) -> Path:
    """The demo's own models, made once from what is shipped and from seeds."""
    folder = comfy_host.CACHE / "demo-models"
    script = comfy_host.PACK / "demo" / "assemble.py"
    command = [str(host.python), str(script), "--host", str(host.tree), "--work", str(folder)]
    subprocess.run(command, check=True)
    return folder


def flags(models: Path, work: Path, custom_nodes: Path | None = None) -> tuple[str, ...]:
    """The arguments that make a server read a models folder, laid out as ComfyUI's, and a folder of
    custom nodes; `work` gets the file that says so.
    """
    config = work / "models.yaml"  # JSON is YAML
    folders = {"own": {"base_path": str(models.resolve()), **{kind: kind for kind in KINDS}}}
    if custom_nodes is not None:
        folders["packs"] = {"custom_nodes": str(custom_nodes.resolve())}
    config.write_text(json.dumps(folders))
    return ("--extra-model-paths-config", str(config))
