"""`scripts/demo` as a command."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

import comfy_host
import pytest

RUNS_AT = re.compile(r"ComfyUI runs at (\S+)")


@pytest.mark.skipif(os.name != "posix", reason="the signal exists on POSIX alone")
def test_a_terminated_demo_takes_its_comfyui_with_it():
    command = [sys.executable, str(comfy_host.PACK / "scripts" / "demo"), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = iter(process.stdout.readline, "")
        address = next(match[1] for line in lines if (match := RUNS_AT.search(line)))
        urllib.request.urlopen(f"{address}/system_stats", timeout=60).close()
        process.terminate()
        assert process.wait(60) == 128 + 15
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}/system_stats", timeout=10)
