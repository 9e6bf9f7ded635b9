"""The operator that adds image parts in compiled models, by itself."""

import threading

import pytest
import torch

pytestmark = [pytest.mark.host, pytest.mark.filterwarnings("ignore")]


def test_cuda_graphs_do_not_record_the_operator(pack):
    """No CUDA graph is recorded here; this is the mark by which torch leaves an operator out."""
    operator = pack.nodes.sampling.compiled.OPERATOR
    if not hasattr(torch.Tag, "cudagraph_unsafe"):
        pytest.skip("this torch has no such mark")
    assert torch.Tag.cudagraph_unsafe in operator.tags


def test_the_operator_keeps_the_rules_of_torch(pack):
    operator = pack.nodes.sampling.compiled.OPERATOR
    text, query = torch.randn(2, 2, 15, 32)
    arguments = (text, query, "input", [1, 0], 4, None, [3, 5, 3, 5])
    torch.library.opcheck(operator, arguments)
    assert torch.equal(operator(*arguments), text)  # no call of a model runs


def test_an_error_leaves_nothing_and_each_thread_has_its_own_call(pack):
    module = pack.nodes.sampling.compiled
    text, query = torch.zeros(2, 1, 2, 4)
    arguments = (text, query, "input", [1, 0], 1, None, [1, 2, 1, 2, 0])
    results = {}

    def work(number):
        with module.current_addition(lambda text, query, site: text + number):
            barrier.wait()
            results[number] = module.OPERATOR(*arguments)
            with pytest.raises(KeyError), module.current_addition(lambda *_: {}["on purpose"]):
                module.OPERATOR(*arguments)
            results[number] += module.OPERATOR(*arguments)

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: float(result.max()) for number, result in results.items()} == {0: 0, 1: 2, 2: 4}
    assert torch.equal(module.OPERATOR(*arguments), text)
