"""Tests of the page again where a busy page missed a frame: three failures are a failure."""

import pytest
from _pytest.runner import runtestprotocol

ATTEMPTS = 3
FILES = ("test_browser.py",)  # keys and drags, which the page takes up frame by frame


class RetryOfPages:
    """A pytest plugin. The attempts before the last are named in the report's sections."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        if item.path.name not in FILES:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = []
        for attempt in range(ATTEMPTS):
            if attempt:
                item._initrequest()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            if not any(report.failed for report in reports):
                break
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
