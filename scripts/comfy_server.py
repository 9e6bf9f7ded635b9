"""A ComfyUI that runs beside us: started on a free local port, asked over HTTP, stopped."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from comfy_host import Host

# a prompt that costs nothing
EMPTY_PROMPT = {
    "empty": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "show": {"class_type": "PreviewImage", "inputs": {"images": ["empty", 0]}},
}


class Server:
    """A running ComfyUI on a free local port, with folders of its own for what it reads and
    writes.
    """

    def __init__(self, host: Host, work: Path, *flags: str, port: int = 0, cpu: bool = True):
        self.work = work
        for name in ("input", "output", "temp", "user"):
            (work / name).mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.log = work / "comfyui.log"
        folder_flags = [
            part
            for name in ("input", "output", "temp", "user")
            for part in (f"--{name}-directory", str(work / name))
        ]
        command = [str(host.python), "main.py", "--listen", "127.0.0.1", "--port", str(self.port)]
        command += [
            "--disable-api-nodes",
            "--disable-auto-launch",
            "--database-url",
            "sqlite:///:memory:",
            *folder_flags,
            *flags,
        ]
        if cpu:
            command.append("--cpu")
        self._log_file = self.log.open("w")
        self.process = subprocess.Popen(
            command,
            cwd=host.tree,
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    def wait(self, seconds: float = 300) -> "Server":
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                self.get("/system_stats")
                return self
            except OSError:
                time.sleep(0.2)
        self.stop()
        raise RuntimeError(
            f"ComfyUI did not start; its log {self.log} ends:\n{self.log.read_text()[-4000:]}"
        )

    def get(self, path: str):
        with urllib.request.urlopen(self.base + path, timeout=60) as reply:
            return json.loads(reply.read())

    def read(self, path: str) -> bytes:
        with urllib.request.urlopen(self.base + path, timeout=60) as reply:
            return reply.read()

    def post(self, path: str, body: dict) -> tuple[int, dict]:
        request = urllib.request.Request(
            self.base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                text = reply.read()
                return reply.status, json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def queue(self, prompt: dict, **extra) -> str:
        status, reply = self.post("/prompt", {"prompt": prompt, **extra})
        if status != 200:
            raise RuntimeError(f"ComfyUI refused the prompt: {json.dumps(reply)}")
        return reply["prompt_id"]

    def free(self) -> None:
        """Have it drop models and cached results, and wait until it has.

        It does so before it takes the next prompt off its queue or after that one, and says nothing
        of it: so when a second one has run, it is done.
        """
        status, _ = self.post("/free", {"unload_models": True, "free_memory": True})
        if status != 200:
            raise RuntimeError(f"ComfyUI refused to free its memory: {status}")
        for _ in range(2):
            self.run(EMPTY_PROMPT)

    def run(self, prompt: dict, seconds: float = 600, **extra) -> dict:
        """Queue an API prompt and return its entry in the history, whether it succeeded or not."""
        prompt_id = self.queue(prompt, **extra)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"ComfyUI died; its log {self.log} ends:\n{self.log.read_text()[-4000:]}"
                )
            time.sleep(0.1)
        raise TimeoutError(f"The prompt did not end within {seconds} s.")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log_file.close()

    def __enter__(self) -> "Server":
        return self.wait()

    def __exit__(self, *_) -> None:
        self.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
