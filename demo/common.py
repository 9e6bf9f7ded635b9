"""Shared by the scripts of the demo: their command line, the host, files, a progress bar."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent


def parser(about: str | None) -> argparse.ArgumentParser:
    command_line = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command_line.add_argument("--host", type=Path, required=True, help="the ComfyUI folder")
    command_line.add_argument(
        "--work", type=Path, required=True, help="where unfinished work is kept"
    )
    return command_line


def use_host(tree: Path) -> None:
    """Make `comfy` importable, on the CPU."""
    sys.path.insert(0, str(tree))
    import comfy.options  # noqa: F401 - without it the host would parse this command line
    from comfy.cli_args import args

    args.cpu = True


def save(path: Path, tensors: Mapping[str, Tensor], **about: object) -> None:
    """Write a .safetensors, whole or not at all."""
    import safetensors.torch

    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(f"{path.name}.{os.getpid()}.part")  # another may be making it too
    separate_tensors = {key: value.detach().clone().contiguous() for key, value in tensors.items()}
    safetensors.torch.save_file(
        separate_tensors, partial_path, {key: str(value) for key, value in about.items()}
    )
    os.replace(partial_path, path)


def load(path: Path) -> dict[str, Tensor]:
    import safetensors.torch

    return safetensors.torch.load_file(path)


def part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors below `name.`, in float32."""
    start = name + "."
    return {k.removeprefix(start): v.float() for k, v in tensors.items() if k.startswith(start)}


def progress(name: str, share: float, text: str) -> None:
    bar = "#" * int(30 * share)
    end = "\r" if sys.stdout.isatty() else "\n"
    print(f"{name} [{bar:<30}] {100 * share:5.1f} %  {text}", end=end, flush=True)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
