"""Tests of the page again where a busy page missed a frame: three failures are a failure.

The summary names every test that needed more than one attempt, with the first failure.
"""

import pytest
from _pytest.runner import runtestprotocol

ATTEMPTS = 3
FILES = ("test_browser.py",)  # keys and drags, which the page takes up frame by frame
FAILED_ATTEMPT = "failed attempt"


class RetryOfPages:
    """A pytest plugin. Reports carry what earlier attempts said, also between processes."""

    def __init__(self) -> None:
        self.repeated: dict[str, list[str]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        if item.path.name not in FILES:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports, messages = [], []
        for attempt in range(ATTEMPTS):
            if attempt:
                item._initrequest()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            failed = [report.longreprtext for report in reports if report.failed]
            if not failed:
                break
            messages += failed
        for report in reports:
            report.user_properties += [(FAILED_ATTEMPT, message) for message in messages]
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_runtest_logreport(self, report):
        messages = [text for name, text in report.user_properties if name == FAILED_ATTEMPT]
        if messages:
            self.repeated[report.nodeid] = messages

    def pytest_terminal_summary(self, terminalreporter):
        for test, messages in self.repeated.items():
            terminalreporter.write_sep("-", f"{len(messages)} failed attempts: {test}")
            terminalreporter.write_line(messages[0])
