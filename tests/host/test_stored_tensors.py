"""Files whose tensors torch would die of, or compute with for ever, are refused in one sentence."""

import json
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.host

PACK = Path(__file__).parent.parent.parent
FUZZ = PACK / "tests" / "fuzz" / "open_all.py"
READ = """
import sys
from pathlib import Path
sys.path.insert(0, {fuzz!r})
import open_all
pack = open_all.load_pack({host!r}, {pack!r})
print("outcome", open_all.opened(pack, Path({file!r})))
"""


def big_endian(path, record="byteorder"):
    """An encoder's file of three kilobytes whose record says that its bytes are the other way
    round.
    """
    plain = path.with_suffix(".plain")
    torch.save({"vision_model.embeddings.patch_embedding.weight": torch.zeros(8, 3, 2, 2)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            is_order = entry.filename.endswith("/byteorder")
            name = entry.filename.replace("byteorder", record)
            target.writestr(name, b"big" if is_order else source.read(entry))
    plain.unlink()


@pytest.mark.parametrize("record", ["byteorder", "ByteOrder"])  # torch takes both for the same
def test_a_file_of_the_other_byte_order_does_not_end_the_process(host_tree, tmp_path, record):
    path = tmp_path / "model.bin"
    big_endian(path, record)
    code = READ.format(fuzz=str(FUZZ.parent), host=str(host_tree), pack=str(PACK), file=str(path))
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.splitlines()[-1] == "outcome refused"


def nested_tensor():
    return torch.nested.nested_tensor([torch.zeros(2, 3), torch.zeros(3, 3)])


TENSORS = {
    "sparse rows": (lambda: torch.eye(3).to_sparse_csr(), "sparse, nested"),
    "sparse": (lambda: torch.eye(3).to_sparse(), "sparse, nested"),
    "nested": (nested_tensor, "sparse, nested"),
    "quantized": (
        lambda: torch.quantize_per_tensor(torch.zeros(2, 3), 0.1, 0, torch.qint8),
        "sparse, nested",
    ),
    "without data": (lambda: torch.empty(2, 1024, device="meta"), "without data"),
    "stride 0": (lambda: torch.zeros(1).as_strided((2**40, 1024), (0, 0)), "claims"),
    "windows": (lambda: torch.zeros(4096).as_strided((3000, 1024), (1, 1)), "claims"),
}


@pytest.mark.parametrize(
    "shape", [lambda tensor: tensor, lambda tensor: [tensor]], ids=["", "list"]
)
@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_no_embeds_file_has_are_refused(pack, tmp_path, name, shape):
    make, sentence = TENSORS[name]
    files = pack.nodes.files.open_files
    path = tmp_path / "embeds.ipadpt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(shape(make()), path)
        with pytest.raises(files.Predicate, match=sentence):
            files.read_embeds(str(path))


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_no_adapter_has_are_refused(pack, tmp_path, name):
    make, _ = TENSORS[name]
    files = pack.nodes.files.open_files
    path = tmp_path / "adapter.bin"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"image_proj": {"proj.weight": make()}, "ip_adapter": {}}, path)
        with pytest.raises(files.Predicate):
            files.read_weights(str(path))
        if name != "without data":
            with pytest.raises(files.Predicate):
                files.read_shapes(str(path))


def save_raw(path, dtype, bits, metadata):
    """A safetensors file of embeds [2, 1024] whose numbers have a type that torch's writer has
    not.
    """
    size = 2 * 1024 * bits // 8
    tensor = {"dtype": dtype, "shape": [2, 1024], "data_offsets": [0, size]}
    header = json.dumps({"positive": tensor, "__metadata__": metadata}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * size)


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [("F6_E2M3", 6), ("F6_E3M2", 6), ("F4", 4), ("F8_E4M3FNUZ", 8), ("F8_E4M3", 8), ("F8_E8M0", 8)],
)
def test_numbers_that_cannot_be_computed_with_are_told(pack, tmp_path, dtype, bits):
    nodes, path = pack.nodes.references.embeds, tmp_path / "embeds.safetensors"
    metadata = {"format": "ip-adapter-embeds", "feature": "image_embeds", "weights": "[1, 1]"}
    save_raw(path, dtype, bits, metadata)
    with pytest.raises(nodes.Predicate, match="cannot compute with"):
        nodes.from_file(*nodes.read_embeds(str(path)))


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3)])
def test_a_thumbnail_without_pixels_is_not_shown(pack, shape):
    nodes = pack.nodes.references.embeds
    content = {"thumbnail": torch.zeros(shape, dtype=torch.uint8)}
    assert "images" not in nodes._display(content, {"encoder": "x", "feature": "y"})


def test_a_large_thumbnail_is_not_shown(pack):
    nodes = pack.nodes.references.embeds
    content = {"thumbnail": torch.zeros(2, 2000, 3, dtype=torch.uint8)}
    assert "images" not in nodes._display(content, {"encoder": "x", "feature": "y"})


def test_what_metadata_say_is_shown_short_and_without_control_characters(pack):
    nodes = pack.nodes.references.embeds
    (text,) = nodes._display({}, {"encoder": "\n\x1b[31m" + "x" * 100_000, "feature": "y"})["text"]
    assert text.isprintable() and len(text) < 400


def rewritten(source, target, method=zipfile.ZIP_STORED, kept_entries=None):
    """A torch archive of the other compression, its tensors cut to so many bytes."""
    with zipfile.ZipFile(source) as complete, zipfile.ZipFile(target, "w", method) as archive:
        for entry in complete.infolist():
            end = kept_entries if "/data/" in entry.filename else None
            archive.writestr(entry.filename, complete.read(entry)[:end])


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_tensors_without_all_their_bytes_are_not_filled_up_with_others(pack, tmp_path, device):
    files = pack.nodes.files.open_files
    torch.save({"a": torch.ones(64), "b": torch.ones(64)}, tmp_path / "whole.bin")
    rewritten(tmp_path / "whole.bin", tmp_path / "cut.bin", kept_entries=4)
    with pytest.raises(files.Predicate, match="claim 512 bytes, but the file has"):
        files._torch_content(str(tmp_path / "cut.bin"), device)


def test_tensors_that_share_their_bytes_are_whole(pack, tmp_path):
    shared = torch.ones(64)
    torch.save({"a": shared, "b": shared[8:].view(7, 8)}, tmp_path / "shared.bin")
    assert len(pack.nodes.files.open_files.read_weights(str(tmp_path / "shared.bin"))) == 2


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_the_doctor_passes_over_a_damaged_compressed_file(pack, tmp_path, method):
    path = tmp_path / "model.bin"
    torch.save({"image_proj": torch.ones(64)}, tmp_path / "whole.bin")
    rewritten(tmp_path / "whole.bin", path, method)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = next(each for each in archive.infolist() if each.filename.endswith("data.pkl"))
    start = entry.header_offset + 30 + len(entry.filename)
    content[start + 10 : start + 30] = b"\xff" * 20
    path.write_bytes(content)
    installed = pack.nodes.files.installed
    assert installed.content(str(path), path.name, len(content), 0, False) == (None, "", "")


@pytest.mark.parametrize(
    "name",
    [
        "down_blocks." * 8000 + "x",
        f"ip_adapter.{'9' * 5000}.to_k_ip.weight",
        f"down_blocks.{'9' * 990}.attn2.to_k_ip.weight",
    ],
    ids=["long", "digits", "digits of a processor"],
)
def test_names_of_great_length_are_neither_slow_nor_an_error_of_python(pack, name):
    core, start = pack.ipadapter_core.adapter, time.process_time()
    with pytest.raises(pack.nodes.files.open_files.Predicate):
        core.checkpoint.read_spec({name: torch.zeros(2), "image_proj.x": torch.zeros(2)})
    layer = f"vision_model.encoder.layers.{'9' * 5000}.x"
    assert core.encoders.read_encoder({layer: torch.zeros(2)}) is None
    assert time.process_time() - start < 1
