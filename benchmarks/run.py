"""The cost of the adapter and its alternatives, in the host's real classes at real sizes.

Called by scripts/bench with the host's folder; README.md beside this file says what each figure
means.
"""

import argparse
import platform
import random
from dataclasses import dataclass
from pathlib import Path

import inside

KINDS = ("sd15", "sdxl")
BASE = {"sd15": "ip-adapter_sd15", "sdxl": "ip-adapter_sdxl_vit-h"}
PLUS = {"sd15": "ip-adapter-plus_sd15", "sdxl": "ip-adapter-plus_sdxl_vit-h"}
FULL = "ip-adapter-full-face_sd15"
FACEID = {kind: f"ip-adapter-faceid-plusv2_{kind}" for kind in KINDS}
SHORT_NAMES = {"faceid": "FaceID plus v2", "plus": "plus", "full": "full-face"}


@dataclass(frozen=True)
class Case:
    kind: str
    adapters: tuple[str, ...]
    references: int = 1
    mask: bool = False
    batch: int = 1
    latent: int = 32

    @property
    def is_face(self) -> bool:
        return self.adapters[0] in FACEID.values()

    def __str__(self) -> str:
        marks = [mark for mark in SHORT_NAMES if mark in self.adapters[0]]
        short = SHORT_NAMES[marks[0]] if marks else "base"
        parts = [f"{self.kind} {self.latent}x{self.latent}", short]
        parts += [f"x{len(self.adapters)}"] * (len(self.adapters) > 1)
        parts += [f"{self.references} references"] * (self.references > 1)
        return " ".join(parts + ["mask"] * self.mask + [f"batch {self.batch}"] * (self.batch > 1))


def chosen(quick: bool, part_of_name: str) -> list[Case]:
    """The cases with that in their name, those of one kind of model together."""
    matching = [case for case in cases(quick) if part_of_name in str(case)]
    return sorted(matching, key=lambda case: KINDS.index(case.kind))


def cases(quick: bool) -> list[Case]:
    chosen_cases = [Case(kind, (name[kind],)) for kind in KINDS for name in (BASE, PLUS)]
    chosen_cases += [Case("sd15", (PLUS["sd15"],), mask=True), Case("sd15", (BASE["sd15"],) * 3)]
    chosen_cases += [Case("sd15", (FACEID["sd15"],))]
    if quick:
        return chosen_cases
    chosen_cases += [Case("sdxl", (FACEID["sdxl"],))]
    chosen_cases += [Case("sdxl", (PLUS["sdxl"],), mask=True), Case("sd15", (FULL,))]
    for kind in KINDS:
        chosen_cases += [Case(kind, (BASE[kind],) * 2), Case(kind, (PLUS[kind],), batch=4)]
        chosen_cases += [Case(kind, (PLUS[kind],), batch=4, mask=True)]
    chosen_cases += [Case("sdxl", (BASE["sdxl"],) * 3)]
    chosen_cases += [Case("sd15", (PLUS["sd15"],), count) for count in (4, 16)]
    chosen_cases += [Case("sdxl", (PLUS["sdxl"],), 4), Case("sdxl", (BASE["sdxl"],), 16)]
    return [*chosen_cases, *(Case("sd15", (name["sd15"],), latent=64) for name in (BASE, PLUS))]


def command_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--quick", action="store_true", help="the main cases, in under 3 minutes")
    parser.add_argument(
        "--peer", type=Path, help="a folder with IPAdapter_plus, to run beside ours"
    )
    parser.add_argument(
        "--whole", action="store_true", help="also time whole steps (8 GB of memory)"
    )
    parser.add_argument("--case", default="", help="only the cases with this in their name")
    parser.add_argument("--rounds", type=int, help="how often each variant is timed")
    options = parser.parse_args()
    options.rounds = options.rounds or (4 if options.quick else 12)
    return options


def main() -> None:
    options = command_options()
    inside.pin()
    pack = inside.start(options.tree)
    import face_nodes
    import report
    import torch
    import variants

    print(f"{platform.processor() or platform.machine()}, one thread, torch {torch.__version__}")
    peer = variants.Peer(options.peer) if options.peer else None
    bench = report.Bench(pack, peer, rounds=options.rounds)
    random.seed(0)
    report.head(peer is not None)
    chosen_cases = chosen(options.quick, options.case)
    for case in chosen_cases:
        bench.case(case)
    report.nodes(pack, () if options.case else KINDS)
    if any(case.is_face for case in chosen_cases):
        face_nodes.measure(pack, "sd15", FACEID["sd15"])
    for kind in KINDS if options.whole else ():
        report.report_whole_step(bench, Case(kind, (PLUS[kind],)))


if __name__ == "__main__":
    main()
