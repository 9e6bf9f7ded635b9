"""Checks made by others: the registry's packing and validation, comfy-test's lint,
comfy-import-guard.

Works on what would be published, unpacked into a folder of its own; nothing here uses the network
once the environment is made. Called by scripts/test.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import comfy_host

PICTURES = ".png", ".jpg", ".webp"
LARGEST = 3_000_000  # bytes of a release besides pictures; half a million of them help
PUBLISHED = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "__init__.py",
    "docs",
    "example_workflows",
    "ipadapter_core",
    "locales",
    "nodes",
    "pyproject.toml",
    "requirements.txt",
    "scripts/doctor",
    "scripts/own_host.py",
    "scripts/upgrade",
    "subgraphs",
    "web",
}


def tool(name: str) -> Path:
    requirements = (comfy_host.PACK / "tests" / "outside-requirements.txt").read_text()
    environment_name = f"env-outside-{comfy_host.fingerprint(requirements)}"
    python = comfy_host.make_venv(
        environment_name, lambda environment: comfy_host.install_text(environment, requirements)
    )
    return python.with_name(name + python.suffix)


def run(folder: Path, home: Path, name: str, *arguments: str) -> str:
    """The output of a tool that must succeed, with a home of its own for what it likes to write."""
    command = [str(tool(name)), *arguments]
    print(f"[outside] {name} {' '.join(arguments)}", flush=True)
    environment = {**os.environ, "HOME": str(home), "USERPROFILE": str(home)}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def tracked() -> list[str]:
    list_files = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(
        list_files, cwd=comfy_host.PACK, check=True, capture_output=True, text=True
    )
    return sorted(
        {name for name in output.stdout.splitlines() if (comfy_host.PACK / name).is_file()}
    )


def packed(work: Path) -> Path:
    """The folder that the registry's archive unpacks to; its listing must be what we publish."""
    source, home, unpacked = (
        work / "source",
        work / "home",
        work / "custom_nodes" / "ip-adapter-nodes",
    )
    home.mkdir()
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(comfy_host.PACK / name, source / name)
    quiet = ("--skip-prompt", "--no-enable-telemetry")
    output = run(source, home, "comfy", *quiet, "node", "validate")
    if "passed" not in output:  # it says what it found and succeeds
        sys.exit(output)
    run(source, home, "comfy", *quiet, "node", "pack")
    with zipfile.ZipFile(source / "node.zip") as archive:
        archive_names = sorted(archive.namelist())
        byte_counts = {entry.filename: entry.file_size for entry in archive.infolist()}
        archive.extractall(unpacked)
    published_names = [name for name in tracked() if {name, name.split("/")[0]} & PUBLISHED]
    if archive_names != published_names:
        sys.exit(
            "The archive differs from what we publish: "
            f"{sorted({*archive_names} ^ {*published_names})}"
        )
    total_bytes = sum(
        total_bytes for name, total_bytes in byte_counts.items() if not name.endswith(PICTURES)
    )
    if total_bytes > LARGEST:
        sys.exit(f"The archive holds {total_bytes} bytes without pictures, more than {LARGEST}.")
    return unpacked


def guard(version: str, work: Path) -> None:
    """Every import of the host's, every argument and patch, against the tree of a version."""
    repository = work / f"guard-{version}" / "ComfyUI"
    ignore_patterns = shutil.ignore_patterns(
        "custom_nodes", "models", "output", "input", "__pycache__", ".git"
    )
    shutil.copytree(comfy_host.fetch_tree(version), repository, ignore=ignore_patterns)
    identity = ("-c", "user.name=check", "-c", "user.email=check@localhost", "-c", "gc.auto=0")
    for git in (("init", "-q"), ("add", "-Af"), ("commit", "-qm", version), ("tag", f"v{version}")):
        subprocess.run(["git", *identity, *git], cwd=repository, check=True)
    cache_flags = ("--offline", "--quiet", "--cache-dir", str(repository.parent), "check")
    target_flags = ("--comfy-dir", str(work), "--target", f"v{version}", "--no-update", "--strict")
    output = run(work, work / "home", "comfy-import-guard", *cache_flags, *target_flags)
    if "1 pack(s)" not in output:
        sys.exit(f"comfy-import-guard did not see the pack:\n{output}")


def main(*versions: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        published_pack = packed(work)
        run(published_pack, work / "home", "comfy-test", "lint")
        for version in versions:
            guard(version, work)


if __name__ == "__main__":
    main(*(sys.argv[1:] or [comfy_host.DEFAULT_HOST]))
