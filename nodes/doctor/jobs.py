"""Downloads in the background: one at a time, watched and cancelled from outside."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...ipadapter_core.doctor.model_table import ModelFile
from ...ipadapter_core.messages import Message, message_of
from .fetch import Cancelled, Progress, fetch

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
UNKNOWN_FILE = Message("The model table has no file with that name.")
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
        self.published_files = {file.name: file for file in table}
        self.state: State | None = None
        self._fetch = fetch
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def start(self, file_name: str) -> State:
        """Begin to fetch a file of the table. Raises ValueError for another name, or while one
        runs.
        """
        if file_name not in self.published_files:
            raise ValueError(UNKNOWN_FILE)
        with self._lock:
            if self.state is not None and self.state.status == RUNNING:
                raise ValueError(
                    Message(
                        "'<1>' is being downloaded: wait for it or cancel it first.",
                        self.state.name,
                    )
                )
            self._stop.clear()
            self.state = State(file_name, RUNNING, total=self.published_files[file_name].size)
        threading.Thread(target=self._run, args=(file_name,), daemon=True, name="ipadapter").start()
        return self.state

    def cancel(self) -> None:
        self._stop.set()

    def _run(self, file_name: str) -> None:
        last_state = State(file_name, RUNNING)
        try:
            self._fetch(self.published_files[file_name], self._progress)
            last_state = replace(self.state or last_state, status=DONE)
        except Cancelled:
            last_state = replace(self.state or last_state, status=CANCELLED)
        except ValueError as error:
            last_state = replace(self.state or last_state, status=FAILED, message=message_of(error))
        except Exception as error:
            log.exception("Downloading '%s' failed.", file_name)
            failure = Message(
                "Downloading '<1>' failed (<2>): see ComfyUI's log.",
                file_name,
                type(error).__name__,
            )
            last_state = replace(self.state or last_state, status=FAILED, message=failure)
        self.state = last_state

    def _progress(self, activity: str, done_bytes: int, total_bytes: int) -> None:
        if self._stop.is_set():
            raise Cancelled
        if self.state is not None:
            self.state = replace(self.state, doing=activity, done=done_bytes, total=total_bytes)
