"""Damaged, foreign and malicious adapter files: one sentence says what is wrong."""

import os
import pickle
import zipfile

import make_models
import pytest
import torch
from support.model_files import adapter

pytestmark = pytest.mark.host


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def write(path, content):
    path.write_bytes(content)


def half(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def compressed(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"0" * 10_000_000)


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("a.safetensors", lambda path: write(path, b""), "is empty"),
        ("a.bin", lambda path: write(path, b""), "is empty"),
        ("a.safetensors", half, "cut off"),
        ("a.bin", half, "cut off"),
        ("a.safetensors", lambda path: write(path, path.read_bytes()[:60]), "cut off"),
        ("a.safetensors", lambda path: write(path, b"\xff" * 100), "something else"),
        ("a.safetensors", lambda path: write(path, b"<!DOCTYPE html><html>"), "web page"),
        (
            "a.bin",
            lambda path: write(path, b"version https://git-lfs.github.com/spec/v1\n"),
            "Git LFS",
        ),
        ("a.bin", lambda path: write(path, pickle.dumps(Malicious())), "never run"),
        ("a.bin", lambda path: torch.save({"image_proj": Malicious()}, path), "never run"),
        ("a.bin", compressed, "compressed archive"),
        ("a.bin", lambda path: torch.save([1, 2], path), "no named tensors"),
        ("a.bin", lambda path: torch.save({"x": torch.zeros(2)}, path), "not an IP-Adapter"),
        (
            "a.bin",
            lambda path: torch.save({"image_proj": {"latents": 3}, "ip_adapter": {1: None}}, path),
            "no",
        ),
    ],
)
def test_damaged_foreign_and_malicious_files_give_one_sentence(
    folders, load, monkeypatch, tmp_path, name, damage, words
):
    monkeypatch.chdir(tmp_path)
    path = make_models.save(folders["ipadapter"] / name, adapter())
    damage(path)
    with pytest.raises(ValueError, match=words) as error:
        load(name)
    sentence = str(error.value)
    assert sentence.startswith(f"The adapter file '{name}' ")
    assert "\n" not in sentence
    assert not (tmp_path / "executed").exists()
