"""Downloads in the background: one at a time, watched and cancelled from outside."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...ipadapter_core.doctor.model_table import ModelFile
from ...ipadapter_core.messages import Message, message_of
from .fetch import Cancelled, Progress, fetch

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
log = logging.getLogger("ipadapter")


@dataclass(frozen=True)
class State:
    """Where a download is. `doing`: connecting, downloading, copying, checking; `message`: why it
    failed.
    """

    name: str
    status: str
    doing: str = "connecting"
    done: int = 0
    total: int = 0
    message: str = ""


class Downloads:
    """The download that runs, or the last one."""

    def __init__(
        self, table: Sequence[ModelFile], fetch: Callable[[ModelFile, Progress], str] = fetch
    ):
        self.rows = {row.name: row for row in table}
        self.state: State | None = None
        self._fetch = fetch
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def start(self, name: str) -> State:
        """Begin to fetch a row of the table. Raises ValueError for another name, or while one
        runs.
        """
        if name not in self.rows:
            raise ValueError(Message("The model table has no file of that name."))
        with self._lock:
            if self.state is not None and self.state.status == RUNNING:
                raise ValueError(
                    Message(
                        "'<1>' is being downloaded: wait for it or cancel it first.",
                        self.state.name,
                    )
                )
            self._stop.clear()
            self.state = State(name, RUNNING, total=self.rows[name].size)
        threading.Thread(target=self._run, args=(name,), daemon=True, name="ipadapter").start()
        return self.state

    def cancel(self) -> None:
        self._stop.set()

    def _run(self, name: str) -> None:
        state = State(name, RUNNING)
        try:
            self._fetch(self.rows[name], self._progress)
            state = replace(self.state or state, status=DONE)
        except Cancelled:
            state = replace(self.state or state, status=CANCELLED)
        except ValueError as error:
            state = replace(self.state or state, status=FAILED, message=message_of(error))
        except Exception as error:
            log.exception("Downloading '%s' failed.", name)
            text = Message(
                "Downloading '<1>' failed (<2>): see ComfyUI's log.", name, type(error).__name__
            )
            state = replace(self.state or state, status=FAILED, message=text)
        self.state = state

    def _progress(self, doing: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Cancelled
        if self.state is not None:
            self.state = replace(self.state, doing=doing, done=done, total=total)
