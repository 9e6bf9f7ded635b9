"""Opens damaged files one after another, in a process of its own with a limit on memory.

    python open_all.py HOST PACK FOLDER COUNT SEED

Prints what came out, as JSON; a file that ends otherwise than opened or refused in one sentence
ends it.
"""

import asyncio
import json
import resource
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path

ROOM = 2 << 30  # bytes that opening a file of some kilobytes may take beyond what is there already


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
    """What the loaders make of a file: `adapter`, `encoder`, `nothing`, or `refused`."""
    outcome = "nothing"
    for kind, read in (("adapter", adapter), ("encoder", encoder), ("embeds", embeds)):
        try:
            if read(pack, path):
                outcome = kind
        except ValueError as error:
            sentence = f"The file {error}."
            # One sentence that says what is wrong and what to do, without a line break or a stack.
            assert "\n" not in sentence and 20 < len(sentence) < 700, sentence
            assert "Traceback" not in sentence and "PyTorch 2.6" not in sentence, sentence
            outcome = "refused" if outcome == "nothing" else outcome
    return outcome


def encoder(pack, path: Path):
    return pack.nodes.files.load._read_encoder(str(path))


def embeds(pack, path: Path):
    """As Load IPAdapter Embeds opens it, and shows it."""
    nodes = pack.nodes.references.embeds
    content, metadata = nodes.read_embeds(str(path))
    sides = nodes.from_ipadpt(content) if metadata is None else nodes.from_file(content, metadata)
    assert nodes._shown(content, metadata)
    return sides


def adapter(pack, path: Path):
    """As Load IPAdapter and then Apply IPAdapter take it."""
    import torch

    import comfy.ops

    load = pack.nodes.files.load
    module = load.build(load.read_weights(str(path)), comfy.ops.manual_cast)
    wide = (2, module.spec.clip_input.width)
    feature = module.spec.clip_input.name
    features = torch.randn(wide if feature == "image_embeds" else (1, *wide))
    seen = pack.nodes.references.pair.References.of(features, feature)
    pack.nodes.apply.keys.image_keys(module, seen, seen, torch.float32, torch.device("cpu"))
    return module


def main(host: str, folder: str, work: str, count: str, seed: str) -> None:
    warnings.simplefilter("ignore")
    pack = load_pack(host, folder)
    import damage
    import torch

    torch.set_num_threads(1)
    limit_memory()
    outcomes: Counter = Counter()
    supply = damage.Damage(int(seed), str(Path(work) / "executed"))
    with torch.no_grad():
        for number, (what, ending, content) in zip(range(int(count)), supply, strict=False):
            path = Path(work) / f"file{ending}"
            path.write_bytes(content)
            try:
                outcomes[f"{what}: {opened(pack, path)}"] += 1
            except BaseException as error:
                traceback.print_exc()
                sys.exit(
                    f"file {number} of seed {seed} ({what}, {path}): {type(error).__name__}: "
                    f"{error}"
                )
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
