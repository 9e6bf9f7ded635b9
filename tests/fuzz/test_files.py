"""Damaged, malicious and strange files, every kind as often: no crash, no code run, bounded memory
and time, one sentence each.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COUNT, SEED = 1_000, 0
sys.path.insert(0, str(HERE))

import strange_files  # noqa: E402


@pytest.mark.host
def test_damaged_files_are_opened_or_refused_in_one_sentence(host_tree, tmp_path):
    script = HERE / "open_all.py"
    arguments = [script, host_tree, HERE.parent.parent, tmp_path, COUNT, SEED]
    command = [sys.executable, *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert finished.returncode == 0, finished.stderr[-3000:]
    report = json.loads(finished.stdout.splitlines()[-1])
    assert not report["faults"], "\n".join(map(str, report["faults"][:20]))
    check_kinds(report["outcomes"])
    assert not (tmp_path / "executed").exists()


def check_kinds(outcomes: dict[str, int]) -> None:
    """Every kind was made equally often, and refused where it must be."""
    counts: dict[str, dict[str, int]] = {}
    for place, count in outcomes.items():
        kind, _, outcome = place.partition(": ")
        counts.setdefault(kind, {})[outcome] = count
    totals = {kind: sum(of_kind.values()) for kind, of_kind in counts.items()}
    assert sum(totals.values()) == COUNT and set(strange_files.KINDS) < set(totals)
    assert max(totals.values()) - min(totals.values()) <= 1, totals
    for kind in strange_files.MUST_BE_REFUSED:
        assert set(counts[kind.__name__]) == {"refused"}, (kind.__name__, counts[kind.__name__])
    opened = {outcome for of_kind in counts.values() for outcome in of_kind}
    assert opened == {"adapter", "encoder", "embeds", "refused"}, opened
