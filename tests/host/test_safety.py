"""What a name in a prompt can reach: files in the host's model folders, and nothing else."""

import ast
from pathlib import Path

import make_models
import pytest
import torch
from adapter_layouts import Base

pytestmark = pytest.mark.host

PACK = Path(__file__).parent.parent.parent
NAMES = [
    "../secret.safetensors",
    "..\\secret.safetensors",
    "sub/../../secret.safetensors",
    "%2e%2e/secret.safetensors",
    "\uff0e\uff0e/secret.safetensors",
    "ok.safetensors\0",
    "ok.safetensors\0.txt",
    "\ud800.safetensors",
    "\u202esrotensefas.ko",
    "o\u0301k.safetensors",
    "C:\\Windows\\win.ini",
    "\\\\server\\share\\a.safetensors",
    "/etc/passwd",
    "~/secret.safetensors",
    "file:///etc/passwd",
    "a" * 5000,
    "\n",
    ".",
    "",
]


@pytest.fixture
def folder(host, tmp_path, monkeypatch):
    """An adapter folder with one good file, a folder named like a file and a link to nothing; a
    secret beside it.
    """
    import folder_paths

    result = tmp_path / "ipadapter"
    weights = make_models.adapter_tensors("ip-adapter_sd15", Base(768, (8,) * 16))
    make_models.save(result / "ok.safetensors", weights)
    make_models.save(tmp_path / "secret.safetensors", weights)
    (result / "folder.safetensors").mkdir()
    (result / "sub").mkdir()
    (result / "nowhere.safetensors").symlink_to(tmp_path / "gone")
    (result / "round.safetensors").symlink_to(result / "round.safetensors")
    for kind in ("ipadapter", "clip_vision"):
        installed = ([str(result)], folder_paths.supported_pt_extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, kind, installed)
        monkeypatch.delitem(folder_paths.filename_list_cache, kind, raising=False)
    return result


@pytest.mark.parametrize(
    "name", [*NAMES, "folder.safetensors", "nowhere.safetensors", "round.safetensors"], ids=ascii
)
def test_a_name_reaches_no_file_outside_its_folder(folder, nodes_by_id, name):
    load, encode = nodes_by_id["LoadIPAdapter"], nodes_by_id["LoadCLIPVision"]
    for node in (load, encode):
        node.fingerprint_inputs(name)
        assert isinstance(node.validate_inputs(name), str)
        with pytest.raises(ValueError, match="No file"):
            node.execute(name)


@pytest.mark.parametrize(
    "name", [*NAMES, "out.safetensors", "secret.safetensors [temp]"], ids=ascii
)
def test_embeds_are_opened_below_input_and_output_alone(nodes_by_id, tmp_path, monkeypatch, name):
    import folder_paths

    for kind in ("input", "output"):
        (tmp_path / kind).mkdir()
        monkeypatch.setattr(folder_paths, f"{kind}_directory", str(tmp_path / kind))
    secret = make_models.save(tmp_path / "secret.safetensors", {"positive": torch.zeros(1, 5)})
    (tmp_path / "input" / "out.safetensors").symlink_to(secret)
    node = nodes_by_id["LoadIPAdapterEmbeds"]
    assert isinstance(node.validate_inputs(name), str)
    with pytest.raises(ValueError, match="no embeds file"):
        node.execute(name)


def test_an_absolute_path_means_a_file_below_the_folder(folder, nodes_by_id, tmp_path):
    load = nodes_by_id["LoadIPAdapter"]
    assert isinstance(load.validate_inputs(str(tmp_path / "secret.safetensors")), str)
    assert isinstance(load.validate_inputs(str(folder / "ok.safetensors")), str)
    assert load.validate_inputs("ok.safetensors") is True


FORBIDDEN = {"requests", "urllib", "http", "socket", "subprocess", "aiohttp", "server", "ctypes"}
FORBIDDEN |= {"huggingface_hub", "httpx", "urllib3", "asyncio", "threading"}
ALLOWED = {
    "__init__.py": {"server"},  # which gets the routes
    "nodes/legacy/__init__.py": {"aiohttp", "asyncio"},  # old graphs turned into new ones
    "nodes/request_body.py": {"aiohttp", "asyncio"},  # what these and the doctor are asked
    # downloads on request: the connection, the thread it runs in, and the routes that ask for it
    "nodes/doctor/fetch.py": {"huggingface_hub"},
    "nodes/doctor/jobs.py": {"threading"},
    "nodes/sampling/compiled.py": {"threading"},  # each thread has a model call of its own
    "nodes/doctor/routes.py": {"aiohttp", "asyncio", "urllib"},
}


def sources():
    folders = ("nodes", "ipadapter_core")
    return [
        PACK / "__init__.py",
        *(each for f in folders for each in sorted((PACK / f).rglob("*.py"))),
    ]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACK)))
def test_only_the_doctor_opens_a_connection_or_thread_and_nothing_a_process(path):
    tree = ast.parse(path.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else names(node))
        if not getattr(node, "level", 0)
    }
    assert imported & FORBIDDEN <= ALLOWED.get(path.relative_to(PACK).as_posix(), set())
    called = {node.func.id for node in ast.walk(tree) if is_call(node)}
    assert not called & {"eval", "exec", "compile", "__import__"}


def names(node):
    return [alias.name for alias in node.names]


def is_call(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def test_loading_an_adapter_logs_nothing(folder, nodes_by_id, caplog):
    nodes_by_id["LoadIPAdapter"].execute("ok.safetensors")
    assert not [record for record in caplog.records if record.name == "ipadapter"]
