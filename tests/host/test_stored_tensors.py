"""Files whose tensors torch would die of, or compute with for ever, are refused in one sentence."""

import json
import struct
import subprocess
import sys
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


def big_endian(path):
    """An encoder's file of three kilobytes whose record says that its bytes are the other way
    round.
    """
    plain = path.with_suffix(".plain")
    torch.save({"vision_model.embeddings.patch_embedding.weight": torch.zeros(8, 3, 2, 2)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            is_order = entry.filename.endswith("/byteorder")
            target.writestr(entry, b"big" if is_order else source.read(entry))
    plain.unlink()


def test_a_file_of_the_other_byte_order_does_not_end_the_process(host_tree, tmp_path):
    path = tmp_path / "model.bin"
    big_endian(path)
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
