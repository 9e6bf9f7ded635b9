"""The check for machines with a GPU ends well on one without."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "scripts" / "gpu-check"


def test_without_a_gpu_it_says_so_and_succeeds():
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    finished = subprocess.run([sys.executable, SCRIPT], env=hidden, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("No CUDA GPU is here")
