"""Where the tests find the pack and the real host.

The pack's own folder stands last on `sys.path`: `nodes` must stay the host's module.
"""

import asyncio
import gc
import os
import sys
import warnings
from pathlib import Path

import pytest

PACK = Path(__file__).parent.parent
sys.path[:] = [p for p in sys.path if Path(p or os.curdir).resolve() != PACK]
sys.path.append(str(PACK))
sys.path += [str(PACK / folder) for folder in ("scripts", "benchmarks", "tests")]


def pytest_configure(config):
    from support.memory import MemoryLimit

    config.pluginmanager.register(MemoryLimit())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Under several processes one of them has all tests that share a server, first; else a file
    stays whole.

    Those with servers of their own come next: they are the longest.
    """
    if not config.pluginmanager.hasplugin("xdist"):
        return
    items.sort(key=lambda item: ("server" not in item.fixturenames, not is_over_http(item)))
    for item in items:
        group = "server" if "server" in item.fixturenames else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


def is_over_http(item):
    return item.get_closest_marker("http") is not None


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small models on several threads are slower, on a busy machine many times."""
    import torch

    torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup():
    """As the host runs nodes: a result that remembers how it came about holds all that it came
    from.
    """
    import torch

    with torch.inference_mode():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    import torch

    outside = item.get_closest_marker("no_inference_mode")
    with torch.no_grad() if outside else torch.inference_mode():
        return (yield)


@pytest.fixture(scope="session")
def host_tree():
    """The folder of the ComfyUI under test: COMFYUI_PATH, or the one that `scripts/host`
    prepares.
    """
    import comfy_host

    return comfy_host.prepare_tree()


@pytest.fixture(scope="session")
def host(host_tree):
    """The real host's modules, in this process, on the CPU, with the pack loaded by the host's own
    loader.
    """
    sys.path.insert(0, str(host_tree))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the host's own imports are not under test
        import comfy.options  # noqa: F401 - without it the host would parse pytest's command line
        from comfy.cli_args import args

        args.cpu = True
        import nodes

        assert asyncio.run(nodes.load_custom_node(str(PACK))), "the host could not load the pack"
    # The host collects garbage whenever a model is gone; what it has imported stays.
    gc.freeze()
    return nodes


@pytest.fixture(scope="session")
def pack(host):
    """The pack's root module as the host loaded it."""
    return sys.modules[str(PACK).replace(".", "_x_")]


@pytest.fixture(scope="session")
def nodes_by_id(host):
    return host.NODE_CLASS_MAPPINGS
