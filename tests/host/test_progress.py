"""Progress bars on what takes long at first: files that are read in, as the page hears of it and in
small.
"""

import asyncio

import aiohttp
import pytest
import torch
from support.graphs import graph


async def heard(server, prompt):
    """node -> (done, of how many) of every progress message that the page gets while a prompt
    runs.
    """
    address = f"{server.base}/ws?clientId=listener".replace("http", "ws", 1)
    events = {}
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        await asyncio.to_thread(server.queue, prompt, client_id="listener")
        async for message in socket:
            content = message.json() if message.type == aiohttp.WSMsgType.TEXT else {}
            data = content.get("data", {})
            if content.get("type") == "progress":
                events.setdefault(data["node"], []).append((data["value"], data["max"]))
            if content.get("type") in ("execution_success", "execution_error"):
                assert content["type"] == "execution_success", data
                return events


@pytest.mark.http
def test_the_first_load_of_adapter_and_encoder_is_seen_in_the_page(server):
    prompt = graph("sub folder/b.bin")
    server.free()
    first = asyncio.run(asyncio.wait_for(heard(server, prompt), 300))
    for name, count in (("adapter", 1), ("encoder", 2)):
        reports = first[name]
        assert len(reports) >= count
        assert reports == sorted(reports)
        assert reports[-1][0] == reports[-1][1] > 10e6  # bytes
    again = asyncio.run(asyncio.wait_for(heard(server, prompt), 300))
    assert not {"adapter", "encoder"} & set(again)


@pytest.mark.host
def test_reading_in_goes_by_bytes_in_steps_and_touches_every_tensor(pack, steps, tmp_path):
    import safetensors.torch

    path = tmp_path / "some.safetensors"
    tensors = {f"{n}": torch.full((257, 33), n, dtype=torch.float16) for n in range(500)}
    safetensors.torch.save_file(tensors | {"one": torch.ones(())}, path)
    weights = pack.nodes.files.open_files.read_weights(str(path))
    pack.nodes.files.load.read_in(weights.values())
    total = 500 * 257 * 33 * 2 + 4
    assert 80 <= len(steps) <= 101
    assert steps == sorted(steps)
    assert steps[-1] == (total, total)
    assert all(torch.equal(weights[name], tensors[name]) for name in tensors)


@pytest.mark.host
def test_what_cannot_be_read_in_by_pages_is_left_as_it_is(pack, steps):
    odd = [
        torch.ones(40, 40, device="meta"),
        torch.ones(90, 90).t(),
        torch.ones(3, 3),
        torch.ones(()),
    ]
    pack.nodes.files.load.read_in(odd)
    pack.nodes.files.load.read_in([])
    assert [finished == total for finished, total in steps][-1]


@pytest.mark.host
def test_reading_in_can_be_interrupted(pack, steps):
    import comfy.model_management

    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        pack.nodes.files.load.read_in([torch.ones(5000) for _ in range(50)])
    assert len(steps) <= 1
