"""Compare Image Prompts: its grid is that of single graphs, over HTTP; what is typed has limits."""

import asyncio
import importlib
import os

import aiohttp
import numpy
import pytest
from support.graphs import failure, graph, node, pictures

pytestmark = pytest.mark.host
PLUS, FULL_FACE = "sub folder/b.bin", "c.safetensors"
SIZE = {"width": 64, "height": 96}
SAMPLING = {"seed": 1, "steps": 2, "cfg": 5.0, "denoise": 1.0}
SAMPLING |= {"sampler_name": "euler", "scheduler": "normal"}


def comparison(**settings):
    """The graph of single images with one node for all of them."""
    prompt = graph(PLUS)
    for name in ("adapter", "encoder", "apply", "latent", "sample"):
        del prompt[name]
    links = {"model": ["ckpt", 0], "image": ["picture", 0], "vae": ["ckpt", 2]}
    links |= {"positive": ["positive", 0], "negative": ["negative", 0]}
    texts = {"weights": "0.5, 1", "columns": "tasks", "tasks": "style, whole image", "adapters": ""}
    inputs = links | texts | SIZE | SAMPLING | settings
    prompt["decode"] = node("CompareImagePrompts", **inputs)
    return prompt


def image_prompt(weight, task):
    prompt = graph(PLUS)
    del prompt["adapter"], prompt["encoder"]
    links = {"model": ["ckpt", 0], "image": ["picture", 0]}
    prompt["apply"] = node("ImagePrompt", **links, task=task, strength="custom", weight=weight)
    return prompt


def grid_of(server, prompts, labels, columns):
    """The grid of several graphs in one, by the host's own nodes and Label Image Grid."""
    together = {}
    for number, prompt in enumerate(prompts):
        for name, each in prompt.items():
            inputs = {
                key: [f"{number} {value[0]}", value[1]] if isinstance(value, list) else value
                for key, value in each["inputs"].items()
            }
            together[f"{number} {name}"] = {**each, "inputs": inputs}
        del together[f"{number} show"]
    images = {f"images.image{number}": [f"{number} decode", 0] for number in range(len(prompts))}
    text = "\n".join(labels)
    together["grid"] = node("LabelImageGrid", labels=text, columns=columns, **images)
    together["show"] = node("PreviewImage", images=["grid", 0])
    (grid,) = pictures(server, server.run(together))
    return grid


@pytest.mark.http
def test_the_grid_is_that_of_single_graphs_by_task(server):
    (result,) = pictures(server, server.run(comparison()))
    cells = [(0.5, "style"), (0.5, "whole image"), (1.0, "style"), (1.0, "whole image")]
    labels = [f"{task}, {weight:g}" for weight, task in cells]
    expected = grid_of(server, [image_prompt(*cell) for cell in cells], labels, 2)
    assert (result == expected).all()
    left, right = numpy.split(result, 2, axis=1)
    assert (left != right).mean() > 0.15 and len(result) == 2 * (96 + 22)


@pytest.mark.http
def test_the_grid_is_that_of_single_graphs_by_adapter(server):
    names = [PLUS.replace("/", os.sep), FULL_FACE]
    settings = {"columns": "adapters", "weights": "0.7", "adapters": "\n".join(names)}
    (result,) = pictures(server, server.run(comparison(**settings)))
    singles = [graph(PLUS, weight=0.7), graph(FULL_FACE, weight=0.7)]
    assert (result == grid_of(server, singles, ["b, 0.7", "c, 0.7"], 2)).all()


@pytest.mark.http
def test_a_latent_is_where_every_image_starts(server):
    prompt = comparison(weights="0", tasks="style", latent_image=["start", 0], denoise=0.4)
    prompt["start"] = node("EmptyLatentImage", width=32, height=64, batch_size=3)
    (result,) = pictures(server, server.run(prompt))
    assert len(result) == 64 + 22


@pytest.mark.http
def test_typed_prompts_are_those_of_clip_text_encode(server):
    texts = {"prompt": "a lighthouse", "negative_prompt": "fog"}
    typed = comparison(clip=["ckpt", 1], **texts)
    for name in ("positive", "negative"):
        del typed[name], typed["decode"]["inputs"][name]
    linked = comparison()
    for name, text in zip(("positive", "negative"), texts.values(), strict=True):
        linked[name] = node("CLIPTextEncode", clip=["ckpt", 1], text=text)
    (result,), (expected,) = (pictures(server, server.run(prompt)) for prompt in (typed, linked))
    assert (result == expected).all()
    both = comparison(clip=["ckpt", 1], prompt="not used", negative_prompt="not used")
    (ignored,), (plain,) = (pictures(server, server.run(each)) for each in (both, comparison()))
    assert (ignored == plain).all() and (plain != result).any()


@pytest.mark.http
@pytest.mark.parametrize("side", ["positive", "negative"])
def test_a_comparison_without_a_prompt_says_what_to_connect(server, side):
    prompt = comparison()
    del prompt[side], prompt["decode"]["inputs"][side]
    sentence = f"Compare Image Prompts has no {side} prompt: connect 'clip' and type the prompt on"
    node_type, message = failure(server.run(prompt))
    assert node_type == "CompareImagePrompts" and sentence in message


@pytest.mark.http
def test_the_grid_is_shown_on_the_node_without_another_one(server):
    prompt = comparison(weights="0.55", tasks="style")
    del prompt["show"]
    entry = server.run(prompt)
    key = list(entry["outputs"])[-1]
    assert entry["meta"][key]["display_node"] == "decode"
    (expected,) = pictures(server, server.run(comparison(weights="0.55", tasks="style")))
    assert (pictures(server, entry, key)[0] == expected).all()


async def sampled(server, prompt, is_interrupted):
    """How many images a prompt samples, interrupted at the first or not, and how it ends."""
    address = f"{server.base}/ws?clientId=compare".replace("http", "ws", 1)
    samplers = set()
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
        await asyncio.to_thread(server.queue, prompt, client_id="compare")
        async for message in socket:
            content = message.json() if message.type == aiohttp.WSMsgType.TEXT else {}
            kind, data = content.get("type"), content.get("data", {})
            if kind == "progress" and data["max"] == SAMPLING["steps"] == data["value"]:
                samplers.add(data["node"])
                if is_interrupted:
                    await asyncio.to_thread(server.post, "/interrupt", {})
            if kind in ("execution_success", "execution_error", "execution_interrupted"):
                return len(samplers), kind


def run(server, is_interrupted=False, **settings):
    prompt = comparison(**settings)
    return asyncio.run(asyncio.wait_for(sampled(server, prompt, is_interrupted), 300))


@pytest.mark.http
def test_it_is_interrupted_between_the_images_and_runs_again(server):
    weights = ", ".join(f"{number / 32:g}" for number in range(32))
    count, end = run(server, True, weights=weights, tasks="whole image")
    assert end == "execution_interrupted" and 1 <= count < 16
    assert run(server, weights="0.11, 0.12", tasks="style") == (2, "execution_success")


@pytest.mark.http
def test_another_weight_samples_its_own_images_alone(server):
    assert run(server, weights="0.2, 0.3", tasks="style") == (2, "execution_success")
    assert run(server, weights="0.3, 0.4, 0.2", tasks="style") == (1, "execution_success")


@pytest.mark.http
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"weights": "0.5, x"}, "'weights' has no number at entry 2, 'x'"),
        ({"columns": "adapters", "adapters": "d.safetensors"}, "No file 'd.safetensors' in "),
        ({"model": 5}, "'model' got a int"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sampled(server, settings, sentence):
    node_type, message = failure(server.run(comparison(**settings)))
    assert node_type == "CompareImagePrompts" and sentence in message


@pytest.fixture(scope="module")
def texts(pack):
    return importlib.import_module(f"{pack.__name__}.nodes.inspect.comparison")


def test_typed_lists_are_read_once_each_and_in_order(texts):
    assert texts.read_weights("1, 0.5;\n-1, 0.5,") == [1, 0.5, -1]
    assert texts.read_tasks("style\nface, style, whole image") == ["style", "face", "whole image"]
    assert texts.read_adapter_names(" a, b.bin \n\nc.bin\na, b.bin") == ["a, b.bin", "c.bin"]


@pytest.mark.parametrize(
    ("reader", "text", "sentence"),
    [
        ("read_weights", "", "'weights' is empty: type at least one number"),
        ("read_weights", "1, nan", "'weights' has no number at entry 2"),
        ("read_weights", "1e6", "'weights' has 1e[+]06: expected numbers from -1 to 5"),
        ("read_weights", "1," * 10**6, "'weights' has 2000000 characters: expected at most"),
        ("read_tasks", " , ", "'tasks' is empty: type at least one"),
        ("read_tasks", "style, colour", "'tasks' has 'colour': choose from whole image, style"),
        ("read_adapter_names", "\n", "'adapters' is empty: type the name of a file"),
    ],
)
def test_a_text_that_is_no_list_is_said_in_a_sentence(texts, reader, text, sentence):
    with pytest.raises(ValueError, match=f"^In Compare Image Prompts, {sentence}") as error:
        getattr(texts, reader)(text)
    assert str(error.value).endswith(".") and len(str(error.value)) < 300


def test_the_number_of_images_and_the_size_of_the_grid_have_limits(texts):
    texts.check_count(8, 8)
    texts.check_size(64, 1024, 1024)
    with pytest.raises(ValueError, match=r"generate 9 x 8 = 72 images: expected at most 64;"):
        texts.check_count(9, 8)
    with pytest.raises(ValueError, match=r"64 images of 2048 x 2048, 268 megapixels: expected"):
        texts.check_size(64, 2048, 2048)
