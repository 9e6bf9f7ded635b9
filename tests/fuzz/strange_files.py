"""Well-formed files with what no adapter, encoder or embeds file has: each kind from one seed.

Every kind is a function of a random generator that returns an ending and the file's bytes.
"""

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import safetensors.torch
import torch
from torch import Tensor
from whole_files import EMBEDS, base, embeds, encoder, nested, plus, saved

BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8}
HUGE = (2**20, 2**31 - 1, 2**31, 2**40, 2**53, 2**62)
LONG = 100_000  # characters of a name
File = tuple[str, bytes]
Kind = Callable[[Random], File]


def in_torch_file(random: Random, change: Callable[[Tensor], Any]) -> File:
    """An adapter's `.bin` one of whose tensors was changed, or an `.ipadpt` that holds it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if random.random() < 0.4:
            strange = change(torch.randn(2, 6))
            return ".ipadpt", saved(random.choice((strange, [strange], (strange,))))
        weights: dict[str, Any] = random.choice((base, plus))()
        name = random.choice([name for name, tensor in weights.items() if tensor.ndim == 2])
        weights[name] = change(weights[name])
        return random.choice((".bin", ".pt", ".ckpt")), saved(
            nested(weights) if random.random() < 0.7 else weights
        )


def sparse(random: Random) -> File:
    return in_torch_file(random, lambda tensor: tensor.to_sparse())


def sparse_rows(random: Random) -> File:
    layout = random.choice((torch.sparse_csr, torch.sparse_csc))
    return in_torch_file(random, lambda tensor: tensor.to_sparse(layout=layout))


def nested_tensor(random: Random) -> File:
    layout = random.choice((torch.strided, torch.jagged))
    return in_torch_file(
        random, lambda tensor: torch.nested.nested_tensor([tensor, tensor[:1]], layout=layout)
    )


def without_data(random: Random) -> File:
    return in_torch_file(random, lambda tensor: tensor.to("meta"))


def quantised(random: Random) -> File:
    types = random.choice((torch.qint8, torch.quint8, torch.qint32))
    if random.random() < 0.5:
        return in_torch_file(random, lambda t: torch.quantize_per_tensor(t, 0.1, 0, types))

    def by_channel(tensor: Tensor) -> Tensor:
        scales = torch.ones(len(tensor), dtype=torch.float64)
        return torch.quantize_per_channel(tensor, scales, torch.zeros(len(tensor)), 0, types)

    return in_torch_file(random, by_channel)


def stride_zero(random: Random) -> File:
    rows = random.choice(HUGE[:-2])
    return in_torch_file(random, lambda t: torch.zeros(1).as_strided((rows, t.shape[1]), (0, 0)))


def overlapping(random: Random) -> File:
    rows, stride = random.choice((8, 3000, 8000)), random.choice((0, 1))
    return in_torch_file(
        random, lambda _: torch.zeros(8192).as_strided((rows, 8192 - rows), (stride, 1))
    )


def huge_sizes(random: Random) -> File:
    """A shape that the file cannot hold, in either container."""
    size = random.choice(HUGE)
    if random.random() < 0.5:
        shape = random.choice(([size], [size, 6], [size, size], [2, size, size]))
        key = random.choice(("ip_adapter.1.to_k_ip.weight", "image_proj.proj.weight"))
        entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 24]}
        return ".safetensors", safetensors_file({key: entry}, b"\0" * 24)
    return in_torch_file(random, lambda _: Claimed((size, 6)))


class Claimed:
    """Pickled as a tensor of a shape for which its storage has not the numbers."""

    def __init__(self, shape: tuple[int, ...], stored: int = 12):
        self.shape, self.stored = shape, stored

    def __reduce__(self) -> Any:
        strides = (*self.shape[1:], 1)
        storage = torch.zeros(self.stored)._typed_storage()
        arguments = (storage, 0, self.shape, strides, False, {})
        return torch._utils._rebuild_tensor_v2, arguments


def small_storage(random: Random) -> File:
    """A torch archive whose data are shorter than its tensors."""
    content = saved(nested(random.choice((base, plus))()))
    cut = random.choice((0, 1, 4))

    def shorten(name: str, data: bytes) -> bytes:
        return data[:cut] if "/data/" in name else data

    return random.choice((".bin", ".pt", ".safetensors")), rebuilt(content, shorten)


def byte_order(random: Random) -> File:
    """A torch archive whose record of the order of bytes says something else than `little`."""
    order = random.choice((b"big", b"BIG", b"", b"little\n", b"\xff\xfe", b"x" * 100, b"big" * 50))
    name = random.choice(("byteorder", "byteorder", "ByteOrder", "BYTEORDER"))
    order = b"big" if name != "byteorder" else order
    weights = random.choice((base, plus, encoder))()
    return random.choice((".bin", ".pt")), rebuilt(
        saved(weights), lambda path, data: order if path.endswith("byteorder") else data, name
    )


def compressed(random: Random) -> File:
    """A torch archive, compressed, some of whose compressed bytes are others."""
    weights = random.choice((base, plus, encoder))()
    method = random.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    content = bytearray(rebuilt(saved(weights), lambda _, data: data, method=method))
    for _ in range(random.choice((0, 1, 8, 40))):
        content[random.randrange(60, len(content) * 2 // 3)] ^= random.randrange(1, 256)
    return random.choice((".bin", ".pt", ".safetensors")), bytes(content)


def rebuilt(
    content: bytes,
    change: Callable[[str, bytes], bytes],
    order_name: str = "byteorder",
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    """A torch archive whose entries were changed by their names."""
    result = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(result, "w", method) as archive,
    ):
        for entry in source.infolist():
            name = entry.filename.replace("byteorder", order_name)
            archive.writestr(name, change(entry.filename, source.read(entry)))
    return result.getvalue()


def safetensors_file(table: dict[str, Any], data: bytes) -> bytes:
    header = json.dumps(table).encode()
    return len(header).to_bytes(8, "little") + header + data


def unknown_types(random: Random) -> File:
    """Numbers of a type that torch does not know, or cannot compute with."""
    name = random.choice(list(BITS))
    note = EMBEDS if random.random() < 0.5 else {}
    tensors = {"positive": torch.zeros(2, 8), "negative": torch.zeros(1, 8)} if note else base(8)
    table: dict[str, Any] = {"__metadata__": note} if note else {}
    data = b""
    for key, tensor in tensors.items():
        size = tensor.numel() * BITS[name] // 8
        offsets = [len(data), len(data) + size]
        table[key] = {"dtype": name, "shape": list(tensor.shape), "data_offsets": offsets}
        data += random.randbytes(size)
    return ".safetensors", safetensors_file(table, data)


def thumbnail(random: Random) -> File:
    """Embeds whose preview has no pixels, or absurdly many in one row."""
    side, second = random.choice((0, 1, 2**20, 2**21)), random.choice((0, 1, 2))
    sides = random.choice(((side, second), (second, side)))
    picture = torch.zeros(*sides, 3, dtype=torch.uint8)
    return ".safetensors", safetensors.torch.save({**embeds(), "thumbnail": picture}, EMBEDS)


def not_finite(random: Random) -> File:
    """Embeds with NaN or an infinity somewhere."""
    features = torch.randn(2, 5, dtype=random.choice((torch.float32, torch.float16)))
    features[random.randrange(2), random.randrange(5)] = float(
        random.choice(("nan", "inf", "-inf"))
    )
    if random.random() < 0.5:
        return ".ipadpt", saved(random.choice((features, [features])))
    side = random.choice(("positive", "negative"))
    return ".safetensors", safetensors.torch.save({**embeds(), side: features}, EMBEDS)


def integers(random: Random) -> File:
    """Whole numbers where floating-point ones belong."""
    kind = random.choice((torch.int64, torch.int8, torch.uint8, torch.bool, torch.uint16))
    if random.random() < 0.5:
        return in_torch_file(random, lambda tensor: tensor.to(kind))
    file = {key: tensor.to(kind) for key, tensor in random.choice((base, plus, embeds))().items()}
    return ".safetensors", safetensors.torch.save(file, EMBEDS)


def names(random: Random) -> File:
    """Names with control characters, of great length, or with numbers of thousands of digits."""
    digits = "9" * random.choice((19, 400, 5000))
    name = random.choice(
        (
            "ip_adapter.\x00\x1b[31m\r\n\u202e\u2028.weight",
            "ip_adapter." + "x" * LONG,
            "ip_adapter." + "." * LONG,
            f"ip_adapter.{digits}.to_k_ip.weight",
            f"unet.down_blocks.{digits}.attn2.processor.to_k_ip.weight",
            "down_blocks." * (LONG // 12) + "x",
            "down_blocks." * (LONG // 12) + "attn2.to_k_ip.weigh",
            "module." * (LONG // 7) + "x",
            f"vision_model.encoder.layers.{digits}.weight",
            "\x07" * LONG,
        )
    )
    weights: dict[str, Any] = random.choice((base, plus, encoder))()
    if random.random() < 0.5:
        replaced = random.choice(list(weights))
        weights[name] = weights.pop(replaced)
    else:
        weights[name] = torch.zeros(2)
    if random.random() < 0.5:
        return ".safetensors", safetensors.torch.save(weights, {"encoder": name, "format": name})
    return ".bin", saved(nested(weights) if random.random() < 0.3 else weights)


def notes(random: Random) -> File:
    """Embeds whose metadata have control characters, great length, or other types than texts."""
    note = dict(EMBEDS, encoder="CLIP ViT-H/14")
    text = random.choice(("\x00\x1b[31m\r\n\u202e", "x" * LONG, "\x07" * LONG, "\n" * 50))
    note[random.choice(list(note))] = text
    return ".safetensors", safetensors.torch.save(embeds(), note)


def deep(random: Random) -> File:
    """Containers in one another, many thousands deep."""
    depth = random.choice((100, 1_000, 20_000))
    match random.randrange(3):
        case 0:  # lists in lists, without recursion in the pickle
            return ".ipadpt", pickle_file(b"]" * depth + b"a" * (depth - 1))
        case 1:  # mappings in mappings, below the name of a projection
            key = b"X\x0a\x00\x00\x00image_proj"
            return ".bin", pickle_file((b"}" + key) * depth + b"}" + b"s" * depth)
        case _:
            header = b'{"image_proj.proj.weight":' + b"[" * depth + b"]" * depth + b"}"
            return ".safetensors", len(header).to_bytes(8, "little") + header


def pickle_file(body: bytes) -> bytes:
    """A torch archive whose pickle has these opcodes."""
    result = pickle.PROTO + b"\x02" + body + pickle.STOP
    return rebuilt(saved({}), lambda name, data: result if name.endswith("data.pkl") else data)


MUST_BE_REFUSED: tuple[Kind, ...] = (
    sparse,
    sparse_rows,
    nested_tensor,
    without_data,
    quantised,
    stride_zero,
    overlapping,
    huge_sizes,
    small_storage,
    byte_order,
    compressed,
    unknown_types,
    not_finite,
    integers,
    deep,
)
OTHERS: tuple[Kind, ...] = (thumbnail, names, notes)
KINDS: dict[str, Kind] = {kind.__name__: kind for kind in (*MUST_BE_REFUSED, *OTHERS)}
