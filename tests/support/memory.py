"""The most memory that any process of a test run has had, servers and commands included, and a
limit to it.

Three processes of theirs, and what these start, share a machine that need not be a large one.
"""

import ctypes
import resource
import sys
from typing import Any

import pytest

LIMIT = 4.0  # GB for one process
WORTH_NAMING = 0.3  # GB by which one test raises the peak of its process
UNIT = 2**30 if sys.platform == "darwin" else 2**20  # GB as systems count memory: of bytes, of KiB


def peak(whose: int) -> float:
    """The peak in GB of this process, or of the largest one that it started and that has ended."""
    return resource.getrusage(whose).ru_maxrss / UNIT


def glibc() -> Any:
    """The C library where it is glibc, else None."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None


class MemoryLimit:
    """A pytest plugin: the run fails when a process went above the limit, and says by which
    tests.
    """

    def __init__(self) -> None:
        self.rises: list[str] = []
        self.peaks: dict[str, tuple[float, float]] = {}
        self.reported: list[str] = []
        self.glibc = glibc()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        before = [peak(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        result = yield
        after = [peak(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        for process, low, high in zip(("tests", "children"), before, after, strict=True):
            if high - low > WORTH_NAMING:
                self.rises.append(f"{process} {low:.1f} -> {high:.1f} GB: {item.nodeid}")
        if self.glibc is not None and (nextitem is None or nextitem.path != item.path):
            self.glibc.malloc_trim(0)
        return result

    def pytest_sessionfinish(self, session):
        ours, children = peak(resource.RUSAGE_SELF), peak(resource.RUSAGE_CHILDREN)
        worker = getattr(session.config, "workeroutput", None)
        if worker is not None:
            worker["memory"] = (ours, children, self.rises)
            return
        self.peaks["this process"] = (ours, children)
        self.reported += self.rises
        if any(max(pair) > LIMIT for pair in self.peaks.values()) and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        ours, children, rises = getattr(node, "workeroutput", {}).get("memory", (0.0, 0.0, []))
        self.peaks[node.gateway.id] = (ours, children)
        self.reported += [f"{node.gateway.id} {rise}" for rise in rises]

    def pytest_terminal_summary(self, terminalreporter):
        if not self.peaks:  # a process of xdist
            return
        terminalreporter.section(f"peak memory (limit {LIMIT:.0f} GB a process)")
        for name, (ours, children) in self.peaks.items():
            words = " ABOVE THE LIMIT" if max(ours, children) > LIMIT else ""
            line = f"{name}: {ours:.1f} GB, the largest that it started: {children:.1f} GB{words}"
            terminalreporter.write_line(line)
        for rise in self.reported:
            terminalreporter.write_line(f"  {rise}")
