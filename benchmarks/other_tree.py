"""Compiled models with another release of this pack, in a process of its own.

In the same process both would share graphs: the host drops the guards by which they could differ.
"""

import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

import compiled
import inside


def with_adapter(our_nodes: Any, model: Any, kind: str) -> Any:
    """The adapter as that release applies it, from a file that it opens itself."""
    import adapter_layouts
    import make_models
    import variants

    import folder_paths

    with tempfile.TemporaryDirectory() as models:
        folder_paths.add_model_folder_path("ipadapter", models)
        tensors = variants.tensors(adapter_layouts.layout(compiled.ADAPTERS[kind]))
        make_models.save(Path(models, "adapter.safetensors"), tensors)
        (adapter,) = our_nodes["LoadIPAdapter"].execute("adapter.safetensors").args
    return variants.ours(our_nodes, model, [adapter], variants.features(1), None)


def serve(connection: Any, host_tree: Path, folder: Path, kind: str, backend: str) -> None:
    """Answer each number of steps with the time of one; the first answer says what was compiled."""
    inside.start(host_tree)
    import nodes

    inside.load(folder)
    model = with_adapter(nodes.NODE_CLASS_MAPPINGS, compiled.whole_model(kind), kind)
    model = compiled.compiled_by_host(model, backend)
    connection.send(compiled.first_step(model, kind, compiled.LATENT))
    while steps := connection.recv():
        connection.send(compiled.step_time(model, kind, compiled.LATENT, steps))


class OtherTree:
    """The process; `first_step`: what it said of its first step."""

    def __init__(self, host_tree: Path, folder: Path, kind: str, backend: str):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, host_tree, folder, kind, backend)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self.first_step: str = self._connection.recv()

    def step_time(self, steps: int) -> float:
        """Median ms of a step there, while nothing runs here."""
        self._connection.send(steps)
        return self._connection.recv()

    def close(self) -> None:
        self._connection.send(0)
        self._process.join()
