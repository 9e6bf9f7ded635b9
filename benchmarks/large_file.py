"""The memory needed to open the largest adapter, InstantX's for FLUX.1, and to make its keys.

Called by scripts/bench with the host's folder. The file has the published layout and size, and
zeros in place of weights, which take no room on the disk.
"""

import argparse
import resource
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import inside

GB, KIB_PER_GB = 1e9, 1e9 / 1024
DOUBLE, SINGLE = 19, 38  # blocks of the whole model


def save_without_bytes(path: Path) -> None:
    import adapter_layouts
    import make_models
    import torch

    shapes = adapter_layouts.flux_instantx()
    tensors = {key: torch.empty(shape, dtype=torch.bfloat16) for key, shape in shapes.items()}
    with torch.serialization.skip_data():
        torch.save(make_models.nested(tensors), path)


class OwnMemory(threading.Thread):
    """The most memory in GB that this process had of its own while it was watched: files that are
    mapped are not counted, since the system takes their memory back whenever it needs it.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self._ended = own_memory(), threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, own_memory())

    def __enter__(self) -> "OwnMemory":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()
        self.most = max(self.most, own_memory())


def own_memory() -> float:
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["RssAnon"].split()[0]) / KIB_PER_GB


def measure(pack: Any, path: Path) -> None:
    import flux_sd3_models
    from flux_sd3_models import INSTANTX, REAL

    size = path.stat()
    print(f"a file of {size.st_size / GB:.2f} GB, {size.st_blocks * 512 / GB:.2f} GB on the disk")
    model = flux_sd3_models.host_model("flux", sizes := REAL._replace(double=DOUBLE, single=SINGLE))
    before, start = own_memory(), time.perf_counter()
    with OwnMemory() as memory:
        weights = pack.nodes.files.open_files.read_weights(str(path))
        adapter = pack.nodes.files.load.loaded_adapter(path.name, weights)
    seconds = time.perf_counter() - start
    print(f"opened in {seconds:.1f} s: {memory.most - before:.2f} GB of its own at most")
    start = time.perf_counter()
    with OwnMemory() as memory:
        patched = flux_sd3_models.Case(pack, INSTANTX, model, adapter, sizes).apply()
    seconds = time.perf_counter() - start
    print(f"keys and values in {seconds:.1f} s: {memory.most - before:.2f} GB of its own at most")
    (prompt,) = patched.model_options["transformer_options"]["ipadapter"]
    print(f"keys and values: {prompt.keys.values.bytes / GB:.2f} GB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_GB
    print(f"this process at most {peak:.2f} GB, the mapped file included")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    options = parser.parse_args()
    pack = inside.start(options.tree)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ip-adapter.bin"
        save_without_bytes(path)
        measure(pack, path)


if __name__ == "__main__":
    main()
