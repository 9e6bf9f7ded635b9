"""Opens damaged files one after another, in child processes with a limit on memory and time.

    python open_all.py HOST PACK FOLDER COUNT SEED

Prints what came out, as JSON: how often each kind ended how, and every file that ended otherwise
than opened or refused in one sentence, with its number. A file that ends its process is one of
these; the next process goes on behind it.
"""

import asyncio
import json
import os
import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path

ROOM = 2 << 30  # bytes that opening a file of some kilobytes may take beyond what is there already
SECONDS = 2  # of the processor, that opening a file may take
WAIT = 60  # seconds by the clock until a file that only waits is given up
WORKERS = 4


def load_pack(host: str, folder: str):
    sys.path[:0] = [host]
    import comfy.options  # noqa: F401 - without it the host would parse our command line
    from comfy.cli_args import args

    args.cpu = True
    import nodes

    assert asyncio.run(nodes.load_custom_node(folder))
    return sys.modules[folder.replace(".", "_x_")]


def limit_memory() -> None:
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, now + ROOM))


def opened(pack, path: Path) -> str:
    """What the loaders make of a file: `adapter`, `encoder`, `embeds`, `nothing`, or `refused`."""
    outcome = "nothing"
    doctor(pack, path)
    for kind, read in (("adapter", adapter), ("encoder", encoder), ("embeds", embeds)):
        try:
            if read(pack, path):
                outcome = kind
        except pack.ipadapter_core.messages.Predicate as error:
            check_sentence(f"The file {error}.")
            outcome = "refused" if outcome == "nothing" else outcome
    return outcome


def check_sentence(sentence: str) -> None:
    """One sentence that says what is wrong and what to do, without a line break or a stack."""
    assert sentence.isprintable() and 20 < len(sentence) < 700, sentence
    assert "Traceback" not in sentence and "PyTorch 2.6" not in sentence, sentence
    assert "memory" not in sentence, sentence  # refused only for want of memory


def doctor(pack, path: Path) -> None:
    """As IPAdapter Doctor looks at a file, in a folder for adapters and elsewhere."""
    installed, size = pack.nodes.files.installed, path.stat().st_size
    for is_in_its_folder in (True, False):
        installed.content.__wrapped__(str(path), path.name, size, 0, is_in_its_folder)
    pack.nodes.doctor.scan._describe_embeds("input", str(path), path.name)


def encoder(pack, path: Path):
    load = pack.nodes.files.load
    return load.read_encoder(load.read_shapes(str(path)))


def embeds(pack, path: Path):
    """As Load IPAdapter Embeds opens it, and shows it."""
    nodes = pack.nodes.references.embeds
    content, metadata = nodes.read_embeds(str(path))
    sides = nodes.from_ipadpt(content) if metadata is None else nodes.from_file(content, metadata)
    displayed = nodes._display(content, metadata)
    assert all(len(text) < 700 and text.isprintable() for text in displayed["text"]), displayed[
        "text"
    ]
    return sides


def adapter(pack, path: Path):
    """As Load IPAdapter and then Apply IPAdapter take it."""
    import torch

    import comfy.ops

    load = pack.nodes.files.load
    module = load.build(load.read_weights(str(path)), comfy.ops.manual_cast)
    load.read_in(module.state_dict().values())
    features = {
        feature.name: torch.randn(*[2] * (feature.source.axes - 1), feature.width)
        for feature in module.spec.inputs
    }
    references = pack.nodes.references.pair.References(features, (1.0, 1.0))
    device = torch.device("cpu")
    pack.nodes.apply.keys.image_keys(module, references, references, torch.float32, device)
    return module


def open_files(pack, supply, numbers: range, work: Path, report) -> None:
    """Open files and write a line about each: before it is opened, and of what came out."""
    limit_memory()
    for number in numbers:
        kind, ending, content = supply.file(number)
        path = work / f"file{ending}"
        path.write_bytes(content)
        report.write(json.dumps([number, kind, None]) + "\n")
        report.flush()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends the process
        signal.setitimer(signal.ITIMER_REAL, WAIT)
        try:
            outcome = opened(pack, path)
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error} {traceback.format_exc()[-1500:]}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        report.write(json.dumps([number, kind, outcome]) + "\n")
        report.flush()


def in_children(pack, supply, numbers: range, work: Path) -> list[tuple[int, str, str]]:
    """(number, kind, what came out) of each file; a child that dies is followed by another."""
    entries: list[tuple[int, str, str]] = []
    while numbers:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            with os.fdopen(writing, "w") as report:
                open_files(pack, supply, numbers, work, report)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as report:
            lines = [json.loads(line) for line in report]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        entries += [tuple(line) for line in lines if line[2] is not None]
        if not lines:
            sys.exit(f"the process ended with {status} before its first file")
        number, kind, outcome = lines[-1]
        if outcome is None:
            name = signal.Signals(-status).name if status < 0 else f"status {status}"
            entries.append((number, kind, f"ended by {name}"))
        numbers = range(number + 1, numbers.stop)
    return entries


def main(host: str, folder: str, work: str, count: str, seed: str) -> None:
    warnings.simplefilter("ignore")
    pack = load_pack(host, folder)
    import damage
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    supply = damage.Damage(int(seed), str(Path(work) / "executed"))
    outcomes, faults = Counter(), []
    share = -(-int(count) // WORKERS)
    for first in range(0, int(count), share):
        numbers = range(first, min(first + share, int(count)))
        for number, kind, outcome in in_children(pack, supply, numbers, Path(work)):
            is_known = outcome in ("adapter", "encoder", "embeds", "nothing", "refused")
            outcomes[f"{kind}: {outcome if is_known else 'fault'}"] += 1
            if not is_known:
                faults.append([number, kind, outcome])
    sys.stdout.write(json.dumps({"outcomes": outcomes, "faults": faults}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
