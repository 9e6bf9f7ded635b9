"""Files that nobody should open: adapters and encoders, damaged or made with intent, all from one
seed.
"""

import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import safetensors.torch
import strange_files
import torch
from whole_files import EMBEDS, base, embeds, encoder, ipadpt, nested, plus, saved

EVIL = ("os.mkdir", "builtins.eval", "posix.system", "torch.load", "pickle.loads")
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "X9", "")
SIZES = (-1, 0, 1, 2, 3, 7, 255, 2**16, 2**31 - 1, 2**32, 2**53, 2**63 - 1, 2**64, 10**30)


class Runs:
    """Makes a folder if it is ever unpickled by something that runs what a pickle says."""

    def __init__(self, marker: str):
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.mkdir, (self.marker,))


class Entry(NamedTuple):
    """One file of a torch archive."""

    name: str
    content: bytes
    method: int = zipfile.ZIP_STORED

    @property
    def is_pickle(self) -> bool:
        return self.name.endswith("data.pkl")


class Damage:
    """Files by number, the kinds in turn."""

    def __init__(self, seed: int, marker: str):
        self.seed, self.random, self.marker = seed, random.Random(), marker
        torch.manual_seed(seed)
        self.whole = [base(), plus(), encoder(), embeds()]
        notes = [None, None, None, EMBEDS]
        self.safe = [
            safetensors.torch.save(each, note) for each, note in zip(self.whole, notes, strict=True)
        ]
        self.torch = [saved(nested(each)) for each in self.whole]
        self.old = [saved(nested(each), zipped=False) for each in self.whole]
        self.torch += [saved(each) for each in ipadpt()]

    @property
    def kinds(self) -> dict[str, Callable[[], tuple[str, bytes]]]:
        """Every kind of damage by name, each of which makes an ending and bytes."""
        ours = (self.cut, self.flipped, self.header, self.tensors, self.pickles, self.archives)
        kinds = {kind.__name__: partial(self.with_any_ending, kind) for kind in (*ours, self.sides)}
        return kinds | {
            name: partial(kind, self.random) for name, kind in strange_files.KINDS.items()
        }

    def file(self, number: int) -> tuple[str, str, bytes]:
        """(kind, the file's ending, its bytes) of one number, the same whatever came before."""
        self.random.seed(f"{self.seed} {number}")
        torch.manual_seed(self.random.getrandbits(32))
        kinds = self.kinds
        name = list(kinds)[number % len(kinds)]
        return name, *kinds[name]()

    def with_any_ending(self, kind: Callable[[], bytes]) -> tuple[str, bytes]:
        ending = self.random.choice((".safetensors", ".bin", ".ipadpt", ".pt"))
        return ending, kind()

    def cut(self) -> bytes:
        """A file that ends too early, most often within the header."""
        content = self.random.choice(self.safe + self.torch + self.old)
        end = 8 + int.from_bytes(content[:8], "little") if content[8:9] == b"{" else len(content)
        return content[: self.random.randrange(end)]

    def flipped(self) -> bytes:
        """A few bits turned over, in the header more often than in the data."""
        content = bytearray(self.random.choice(self.safe + self.torch + self.old))
        end = len(content) if self.random.random() < 0.3 else min(len(content), 900)
        for _ in range(self.random.choice((1, 1, 2, 8))):
            content[self.random.randrange(end)] ^= 1 << self.random.randrange(8)
        return bytes(content)

    def header(self) -> bytes:
        """A safetensors header that says something else than the data."""
        content = self.random.choice(self.safe)
        length = int.from_bytes(content[:8], "little")
        table, data = json.loads(content[8 : 8 + length]), content[8 + length :]
        name = self.random.choice([key for key in table if key != "__metadata__"])
        size = self.random.choice(SIZES)
        change = self.random.randrange(7)
        if change == 0:
            table[name]["dtype"] = self.random.choice(DTYPES)
        elif change == 1:
            table[name]["shape"] = [size] * self.random.randrange(5)
        elif change == 2:
            table[name]["data_offsets"] = [self.random.choice(SIZES), size]
        elif change == 3:  # an empty tensor with a huge side
            table[name] |= {"shape": [0, size, size], "data_offsets": [0, 0]}
        elif change == 4:
            table["__metadata__"] = self.random.choice(({"a": 1}, {"a": "b" * 50_000}, [], None))
        elif change == 5:
            table[name] = self.random.choice(({}, [], None, 3, {"dtype": "F32"}))
        else:
            table["[" * 3000] = table[name]
        text = json.dumps(table).encode()
        declared = len(text) if self.random.random() < 0.9 else self.random.choice(SIZES) % 2**64
        return declared.to_bytes(8, "little") + text + data

    def tensors(self) -> bytes:
        """A well-formed file whose tensors are wrong."""
        weights = dict(self.random.choice(self.whole))
        for _ in range(self.random.choice((1, 1, 2, 3))):
            self.spoil(weights)
        if self.random.random() < 0.5:
            plain = {k: v for k, v in weights.items() if isinstance(v, torch.Tensor)}
            return safetensors.torch.save({k: v.contiguous().clone() for k, v in plain.items()})
        return saved(nested(weights) if self.random.random() < 0.7 else weights)

    def spoil(self, weights: dict[str, Any]) -> None:
        name = self.random.choice(list(weights))
        value = weights[name]
        if not isinstance(value, torch.Tensor):
            return
        second = self.random.choice((0, 1, 2, 3, 5, 6, 64))
        weights[name] = self.random.choice(
            (
                lambda: value.to(self.random.choice((torch.int64, torch.bool, torch.float64))),
                lambda: value.to(self.random.choice((torch.complex64, torch.float8_e4m3fn))),
                lambda: torch.full(value.shape, self.random.choice((float("nan"), float("inf")))),
                lambda: torch.zeros(second, *value.shape[1:]),
                lambda: torch.zeros(*value.shape[:-1], second),
                lambda: torch.zeros([second] * self.random.randrange(5)),
                lambda: value.flatten(),
                lambda: self.random.choice((None, 3, "text", [value], {"a": value})),
            )
        )()
        if self.random.random() < 0.3:
            shifted = self.random.choice(
                ("", ".", "ip_adapter.x", "ip_adapter.1.to_k_ip.weight", "\u00e9")
            )
            weights[shifted] = weights.pop(name)

    def sides(self) -> bytes:
        """Embeds with other shapes, types and metadata than any node writes."""
        change, side = self.random.randrange(3), lambda: self.random.choice((0, 1, 2, 5, 64, 65))
        strange = torch.randn([side() for _ in range(self.random.randrange(5))])
        if change == 0:
            return saved(self.random.choice(([strange], strange, (strange, 1), [], [[]], None, 7)))
        note = dict(EMBEDS)
        key = self.random.choice(list(note))
        text = (
            "",
            "[]",
            "null",
            "NaN",
            "[1e999, 2]",
            "x" * 10_000,
            "[" * 5_000,
            '{"a": 1}',
            "\u00e9",
            "none",
        )
        note[key] = self.random.choice(text)
        tensors = embeds()
        if change == 1:
            tensors[self.random.choice(list(tensors))] = strange
        return safetensors.torch.save(tensors, note)

    def pickles(self) -> bytes:
        """Pickles with code, bare or where a tensor should be; nothing of it may ever run."""
        evil: Any = Runs(self.marker)
        for _ in range(self.random.randrange(4)):
            evil = self.random.choice(([evil], {"image_proj": evil}, (evil, evil), {1: evil}))
        match self.random.randrange(4):
            case 0:
                return pickle.dumps(evil, protocol=self.random.randrange(2, 6))
            case 1:
                return saved({"image_proj": evil, "ip_adapter": {}}, self.random.random() < 0.7)
            case 2:
                return self.global_opcode()
            case _:
                content = pickle.dumps({"image_proj": {}, "ip_adapter": {}}, protocol=2)
                return content[:-1] + bytes(self.random.randrange(256) for _ in range(20)) + b"."

    def global_opcode(self) -> bytes:
        module, name = self.random.choice(EVIL).rsplit(".", 1)
        argument = f"(V{self.marker}\n" if name == "mkdir" else "(V__import__('os')\n"
        return f"\x80\x02c{module}\n{name}\n{argument}tR.".encode("latin-1")

    def archives(self) -> bytes:
        """Torch archives rebuilt with other entries: compressed, doubled, missing, of other names
        or sizes.
        """
        source = zipfile.ZipFile(io.BytesIO(self.random.choice(self.torch)))
        buffer = io.BytesIO()
        change = self.random.choice(
            (
                self.compress_entry,
                self.drop_entry,
                self.cut_entry,
                self.enlarge_entry,
                self.move_entry,
                self.infect_entry,
            )
        )
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for entry in source.infolist():
                damaged = change(Entry(entry.filename, source.read(entry)))
                if damaged is not None:
                    archive.writestr(*damaged)
        return buffer.getvalue()

    def compress_entry(self, entry: Entry) -> Entry:
        return entry._replace(method=self.random.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))

    def drop_entry(self, entry: Entry) -> Entry | None:
        return None if self.random.random() < 0.3 else entry

    def cut_entry(self, entry: Entry) -> Entry:
        if self.random.random() >= 0.3:
            return entry
        return entry._replace(
            content=entry.content[: self.random.randrange(len(entry.content) + 1)]
        )

    def enlarge_entry(self, entry: Entry) -> Entry:
        return entry._replace(content=self.bigger(entry.content)) if entry.is_pickle else entry

    def move_entry(self, entry: Entry) -> Entry:
        folder = self.random.choice(("..", "/etc", "", "\u00e9"))
        return entry._replace(name=entry.name.replace("archive", folder))

    def infect_entry(self, entry: Entry) -> Entry:
        return entry._replace(content=self.pickles()) if entry.is_pickle else entry

    def bigger(self, pickled: bytes) -> bytes:
        """Small numbers of a pickle turned into large ones: shapes, strides, offsets, lengths."""
        content = bytearray(pickled)
        places = [place for place, byte in enumerate(content[:-1]) if byte == ord("K")]
        for place in self.random.sample(places, min(2, len(places))):
            content[place : place + 2] = b"J" + self.random.choice(
                (b"\xff\xff\xff\x7f", b"\xff" * 4)
            )
        return bytes(content)
