"""Downloads from a local hub: success, drops, wrong contents, full disks, cancelling, the cache,
offline.
"""

import dataclasses
import hashlib
import os
import resource
import shutil
import threading

import pytest
from support.hub import Hub

pytestmark = pytest.mark.host

CONTENT = bytes(range(256)) * 1024 * 3  # 768 KiB
OTHER = b"x" * len(CONTENT)


@pytest.fixture
def fetch(pack):
    return pack.nodes.doctor.fetch


@pytest.fixture
def row(pack):
    """A row like the published one, of another size and content."""
    table = pack.nodes.doctor.routes.load()
    (real,) = (row for row in table if row.name == "ip-adapter_sd15.safetensors")
    digest = hashlib.sha256(CONTENT).hexdigest()
    return dataclasses.replace(real, size=len(CONTENT), sha256=digest)


@pytest.fixture
def hub(monkeypatch, tmp_path, fetch):
    constants = fetch.hub.library("constants")
    with Hub(CONTENT) as hub:
        template = hub.base + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)  # as small as the file
        monkeypatch.setattr(constants, "ENDPOINT", hub.base)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(fetch, "PAUSE", 0.0)
        yield hub


@pytest.fixture
def folder(host, tmp_path, monkeypatch):
    """The host's folders for adapters: one that cannot be made, and a good one that is not there
    yet.
    """
    import folder_paths

    (tmp_path / "file").touch()
    good = tmp_path / "models" / "ipadapter"
    known = ([str(tmp_path / "file" / "below"), str(good)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "ipadapter", known)
    return good


def quiet(doing, done, total):
    pass


def ranges(hub):
    return [wanted for method, path, wanted in hub.asked if method == "GET" and "/cdn/" in path]


def file_names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_recogniser_lands_where_the_host_knows_no_folder(
    fetch, row, hub, tmp_path, monkeypatch
):
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.delitem(folder_paths.folder_names_and_paths, "insightface", raising=False)
    recogniser = dataclasses.replace(row, name="w600k_r50.onnx", folder="insightface")
    path = fetch.fetch(recogniser, quiet)
    assert path == str(tmp_path / "models" / "insightface" / "w600k_r50.onnx")


def test_a_file_for_other_packs_lands_in_the_sub_folder_of_its_kind(
    fetch, row, hub, tmp_path, monkeypatch
):
    import folder_paths

    known = ([str(tmp_path / "loras")], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", known)
    lora = dataclasses.replace(row, folder="loras/ipadapter", kind="FaceID LoRA")
    path = fetch.fetch(lora, quiet)
    assert path == str(tmp_path / "loras" / "ipadapter" / row.name)
    part = tmp_path / "loras" / "ipadapter" / f".{row.name}.part"
    part.touch()
    fetch.forget(lora)
    assert file_names(part.parent) == [row.name]


def test_the_file_lands_whole_under_its_name_and_tells_how_far_it_is(fetch, row, hub, folder):
    steps = []
    path = fetch.fetch(row, lambda *step: steps.append(step))
    assert path == str(folder / row.name)
    assert (folder / row.name).read_bytes() == CONTENT
    assert file_names(folder) == [row.name]
    assert [steps[0][0], steps[-1][0]] == ["connecting", "checking"]
    done = [done for doing, done, _ in steps if doing == "downloading"]
    assert done == sorted(done)
    assert {total for _, _, total in steps} == {len(CONTENT)}
    assert all(row.revision in path for _, path, _ in hub.asked if "/resolve/" in path)


def test_a_connection_that_drops_in_the_middle_goes_on_from_there(fetch, row, hub, folder):
    hub.drops = [300_000, 100_000]
    fetch.fetch(row, quiet)
    assert (folder / row.name).read_bytes() == CONTENT
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for wanted in ranges(hub)[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]


def test_a_server_that_goes_away_leaves_what_came_and_the_next_time_goes_on(
    fetch, row, hub, folder
):
    def gone(doing, done, total):
        if done > 300_000:
            hub.status = 503

    hub.drops = [500_000]
    with pytest.raises(ValueError, match=r"are kept, and a new try continues from there"):
        fetch.fetch(row, gone)
    assert file_names(folder) == [f".{row.name}.part"]
    have = (folder / f".{row.name}.part").stat().st_size
    assert 300_000 < have < len(CONTENT)
    hub.status, hub.asked = 200, []
    fetch.fetch(row, quiet)
    assert ranges(hub) == [f"bytes={have}-"]
    assert file_names(folder) == [row.name]


def test_a_server_that_ignores_ranges_starts_again(fetch, row, hub, folder):
    hub.drops, hub.deaf = [300_000], True
    fetch.fetch(row, quiet)
    assert (folder / row.name).read_bytes() == CONTENT


def test_other_contents_of_the_same_size_are_deleted(fetch, row, hub, folder):
    hub.content = OTHER
    with pytest.raises(ValueError, match=r"is not the published file \(SHA-256"):
        fetch.fetch(row, quiet)
    assert file_names(folder) == []


def test_without_a_published_sha256_the_servers_counts(fetch, row, hub, folder):
    unpublished = dataclasses.replace(row, sha256="")
    folder.mkdir(parents=True)
    (folder / f".{row.name}.part").write_bytes(OTHER[:1000])
    with pytest.raises(ValueError, match="is not the published file"):
        fetch.fetch(unpublished, quiet)
    assert file_names(folder) == []
    fetch.fetch(unpublished, quiet)
    assert (folder / row.name).read_bytes() == CONTENT
    assert fetch.fetch(unpublished, quiet) == str(folder / row.name)
    (folder / row.name).write_bytes(b"another size")
    with pytest.raises(ValueError, match="exists, but it is not the published file"):
        fetch.fetch(unpublished, quiet)


def test_part_of_something_else_is_never_put_in_place(fetch, row, hub, folder):
    folder.mkdir(parents=True)
    (folder / f".{row.name}.part").write_bytes(OTHER[:1000])
    with pytest.raises(ValueError, match="is not the published file"):
        fetch.fetch(row, quiet)
    assert file_names(folder) == []
    fetch.fetch(row, quiet)
    assert file_names(folder) == [row.name]


def test_another_size_is_refused_before_a_byte_comes(fetch, row, hub, folder):
    hub.said = 5
    with pytest.raises(ValueError, match="offers 5 bytes"):
        fetch.fetch(row, quiet)
    assert ranges(hub) == file_names(folder) == []


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_is_said_and_not_repeated(fetch, row, hub, folder, status):
    hub.status = status
    with pytest.raises(ValueError, match="did not send"):
        fetch.fetch(row, quiet)
    assert len(ranges(hub)) == 1
    assert file_names(folder) == []


def test_a_disk_without_room_is_said_before_anything_is_written(
    fetch, row, hub, folder, monkeypatch
):
    usage = shutil.disk_usage(folder.parent.parent)._replace(free=70_000_00)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match=r"has 7\.0 MB free: make room"):
        fetch.fetch(row, quiet)
    assert file_names(folder) == ranges(hub) == []


def test_a_disk_that_fills_up_leaves_nothing(fetch, row, hub, folder):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
    try:
        with pytest.raises(ValueError, match="could not be written to models/ipadapter"):
            fetch.fetch(row, quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file_names(folder) == []


@pytest.mark.parametrize("doing", ["connecting", "downloading", "checking"])
def test_cancelling_leaves_nothing(fetch, row, hub, folder, doing):
    def stop(now, done, total):
        if now == doing and (done > 200_000 or doing != "downloading"):
            raise fetch.Cancelled

    with pytest.raises(fetch.Cancelled):
        fetch.fetch(row, stop)
    assert file_names(folder) == []


def test_a_file_that_is_there_is_kept_and_another_of_its_name_never_replaced(
    fetch, row, hub, folder
):
    folder.mkdir(parents=True)
    (folder / row.name).write_bytes(CONTENT)
    fetch.fetch(row, quiet)
    (folder / row.name).write_bytes(b"mine")
    with pytest.raises(ValueError, match="rename or delete it"):
        fetch.fetch(row, quiet)
    assert (folder / row.name).read_bytes() == b"mine"
    assert hub.asked == []


@pytest.mark.parametrize("offline", [True, False])
def test_a_file_in_the_cache_is_copied_without_a_connection(
    fetch, row, hub, folder, tmp_path, monkeypatch, offline
):
    monkeypatch.setattr(fetch.hub.library("constants"), "HF_HUB_OFFLINE", offline)
    repository = tmp_path / "cache" / ("models--" + row.repository.replace("/", "--"))
    cached = repository / "snapshots" / row.revision / row.path
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    fetch.fetch(row, quiet)
    assert file_names(folder) == [row.name]
    assert hub.asked == []
    assert cached.exists()


def test_offline_is_said_and_nothing_is_asked(fetch, row, hub, folder, monkeypatch):
    monkeypatch.setattr(fetch.hub.library("constants"), "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set"):
        fetch.fetch(row, quiet)
    assert hub.asked == file_names(folder) == []


def test_no_folder_that_can_be_written_is_said(fetch, row, hub, folder):
    import folder_paths

    folder_paths.folder_names_and_paths["ipadapter"][0].pop()
    with pytest.raises(ValueError, match="No folder for 'ipadapter' is writable"):
        fetch.fetch(row, quiet)


def test_downloads_run_one_at_a_time_and_can_be_cancelled(pack, row, hub, folder):
    jobs = pack.nodes.doctor.jobs
    hub.slow = threading.Event()
    downloads = jobs.Downloads([row])
    with pytest.raises(ValueError, match="has no file"):
        downloads.start("../" + row.name)
    downloads.start(row.name)
    with pytest.raises(ValueError, match="is being downloaded"):
        downloads.start(row.name)
    downloads.cancel()
    hub.slow.set()
    assert ended(downloads).status == jobs.CANCELLED
    assert file_names(folder) == []
    downloads.start(row.name)
    assert ended(downloads).status == jobs.DONE
    assert (folder / row.name).read_bytes() == CONTENT
    hub.content = OTHER
    os.remove(folder / row.name)
    downloads.start(row.name)
    assert "is not the published file" in ended(downloads).message


def ended(downloads):
    for thread in threading.enumerate():
        if thread.name == "ipadapter":
            thread.join(20)
    return downloads.state
