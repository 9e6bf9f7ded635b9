"""Ten thousand damaged and malicious files: no crash, no code run, bounded memory, one sentence
each.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COUNT, SEED = 10_000, 0


@pytest.mark.host
def test_damaged_files_are_opened_or_refused_in_one_sentence(host_tree, tmp_path):
    script = HERE / "open_all.py"
    arguments = [script, host_tree, HERE.parent.parent, tmp_path, COUNT, SEED]
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert sum(outcomes.values()) == COUNT
    assert len(outcomes) > 10  # every kind of damage, and files that were still good
    assert not (tmp_path / "executed").exists()
