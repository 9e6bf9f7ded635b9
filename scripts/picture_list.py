"""Which script makes each picture of the documentation, and with which model: docs/pictures.json.

A picture that shows a generated image shows one of the demo's model, never noise of random weights.
"""

import json
from pathlib import Path

import comfy_host

FILE = comfy_host.PACK / "docs" / "pictures.json"


def record(picture: Path, script: str, model: str | None) -> None:
    """model: whose generated images the picture shows, None if it shows none."""
    pictures = json.loads(FILE.read_text()) if FILE.exists() else {}
    entry = {"script": Path(script).resolve().relative_to(comfy_host.PACK).as_posix()}
    name = picture.resolve().relative_to(comfy_host.PACK).as_posix()
    pictures[name] = {**entry, "model": model}
    FILE.write_text(json.dumps(dict(sorted(pictures.items())), indent=1) + "\n")
