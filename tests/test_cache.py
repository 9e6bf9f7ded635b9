"""What lies in `.cache/` appears whole, also where several processes make it at once."""

import subprocess
import sys
import time
from pathlib import Path

import comfy_host
import pytest

PUBLISHING = """
import pathlib, sys, time
import comfy_host
made_folder, folder, start = sys.argv[1:]
while time.time() < float(start):
    pass
comfy_host.publish(pathlib.Path(made_folder), pathlib.Path(folder))
"""


def folder_with_a_file(path: Path) -> Path:
    path.mkdir()
    (path / "content").write_text("whole")
    return path


def test_processes_that_make_the_same_folder_all_succeed(tmp_path):
    folder, start = tmp_path / "folder", str(time.time() + 1)
    publishers = []
    for number in range(3):
        made_folder = folder_with_a_file(tmp_path / f"made-{number}")
        command = [sys.executable, "-c", PUBLISHING, str(made_folder), str(folder), start]
        environment = {"PYTHONPATH": str(comfy_host.PACK / "scripts")}
        publishers.append(subprocess.Popen(command, env=environment))
    assert [publisher.wait() for publisher in publishers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert (folder / "content").read_text() == "whole"


def test_a_disk_that_is_too_small_is_said_before_anything_is_made(tmp_path):
    comfy_host.require_space(tmp_path, 0)
    with pytest.raises(SystemExit) as refusal:
        comfy_host.require_space(tmp_path, 1e6)
    assert f"needs 1000000 GB on the disk of {tmp_path}, where" in str(refusal.value)


def test_a_folder_that_cannot_be_placed_is_an_error(tmp_path):
    made_folder = folder_with_a_file(tmp_path / "made")
    with pytest.raises(OSError):
        comfy_host.publish(made_folder, tmp_path / "missing" / "folder")
    assert (made_folder / "content").exists()
