"""The adapter in a server on a GPU, as its memory options go, against a server on the CPU. Called
by scripts/gpu-check.

The demo's model, over HTTP: pictures with the adapter and without it, in a window, in a mask; then
everything is freed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

PACK = Path(__file__).resolve().parent.parent
sys.path.append(str(PACK / "scripts"))
import comfy_host  # noqa: E402
import comfy_server  # noqa: E402
import served_models  # noqa: E402
import sheet  # noqa: E402
from PIL import Image, ImageChops, ImageStat  # noqa: E402

OPTIONS = ((), ("--disable-dynamic-vram",), ("--disable-dynamic-vram", "--lowvram"), ("--novram",))
SETTINGS = {
    "no adapter": {"weight": 0.0},
    "adapter": {},
    "window": {"start_at": 0.2, "end_at": 0.7},
    "mask": {"attn_mask": "left.png"},
}
CLOSE = 6.0  # levels of 255: half precision against single over a whole sampling
GROWTH = 1e6  # bytes that may stay on the device when everything is freed


def prompt(reference: str, seed: int = sheet.SEED) -> tuple[dict, list[str]]:
    graph = sheet.Graph(seed)
    graph.begin()
    picture, shows = graph.load(reference), []
    for settings in SETTINGS.values():
        inputs = dict(settings)
        if "attn_mask" in inputs:
            inputs["attn_mask"] = graph.mask(inputs["attn_mask"])
        shows.append(graph.picture(graph.apply(graph.model, picture, **inputs)))
    return graph.nodes, shows


def mean_difference(picture: Image.Image, expected: Image.Image) -> float:
    """Mean difference in levels of 255."""
    return sum(ImageStat.Stat(ImageChops.difference(picture, expected)).mean) / 3


def memory_in_use(server: comfy_server.Server) -> int:
    """Bytes that torch holds on the device once everything is freed."""
    server.free()
    device = server.get("/system_stats")["devices"][0]
    return device["torch_vram_total"] - device["torch_vram_free"]


def run(
    host: comfy_host.Host, models: Path, work: Path, flags: tuple[str, ...], cpu: bool
) -> tuple[list[Image.Image], int]:
    """The pictures of a server with these options, and by how many bytes it grows from one round to
    the next.
    """
    (work / "input").mkdir(parents=True)
    names = sheet.references(work / "input")
    sheet.half_masks(work / "input")
    flags = (*served_models.flags(models, work), *flags)
    with comfy_server.Server(host, work, *flags, cpu=cpu) as server:
        nodes, shows = prompt(names[0])
        entry = server.run(nodes, seconds=1800)
        pictures = [sheet.shown_image(server, entry, node_key) for node_key in shows]
        before = memory_in_use(server)
        for number in range(1 if cpu else 4):
            nodes, shows = prompt(names[number % 3], seed=number)
            sheet.shown_image(server, server.run(nodes, seconds=1800), shows[0])
        return pictures, memory_in_use(server) - before


def check(
    host: comfy_host.Host, models: Path, options: tuple[tuple[str, ...], ...], cpu: bool
) -> bool:
    good = True
    with tempfile.TemporaryDirectory() as folder:
        expected, _ = run(host, models, Path(folder) / "cpu", (), cpu=True)
        effect = mean_difference(expected[0], expected[1])
        print(f"the adapter moves the demo's picture by {effect:.1f} levels of 255", flush=True)
        for number, flags in enumerate(options):
            work, name = Path(folder) / str(number), " ".join(flags) or "no options"
            try:
                results, growth = run(host, models, work, flags, cpu)
            except (SystemExit, RuntimeError) as error:
                good = False
                print(f"server with {name}: {error}; its log ends:")
                print((work / "comfyui.log").read_text()[-3000:], flush=True)
                continue
            errors = [
                mean_difference(result, expected_result)
                for result, expected_result in zip(results, expected, strict=True)
            ]
            parts = zip(SETTINGS, errors, strict=True)
            error_list = ", ".join(f"{name} {error:.2f}" for name, error in parts)
            growth_note = "" if cpu else f"; {growth / 1e6:+.1f} MB kept on the device"
            print(
                f"server with {name}: off the CPU's by levels: {error_list}{growth_note}",
                flush=True,
            )
            good = good and max(errors) <= CLOSE < effect and (cpu or growth <= GROWTH)
    return good


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpu", action="store_true")
    arguments = parser.parse_args()
    host = comfy_host.prepare()
    options = ((),) if arguments.cpu else OPTIONS
    models = served_models.demo_models(host)
    if not check(host, models, options, arguments.cpu):
        sys.exit("The server's pictures differ, or it kept memory.")


if __name__ == "__main__":
    main()
