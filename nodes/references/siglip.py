"""The output of SigLIP's pooling head. The host loads all of an encoder's file but that head."""

from collections.abc import Mapping
from functools import partial
from typing import cast

from torch import Tensor

from comfy.clip_vision import Output

from ...ipadapter_core.adapter.features import EMBEDS, SIGLIP_TOKENS
from ...ipadapter_core.adapter.layout import Weights
from ...ipadapter_core.adapter.projections import SIGLIP_WIDTH
from ...ipadapter_core.references.siglip_head import HEAD_PREFIX, has_head, pool_tokens
from ..files import folders
from ..files.file_specs import file_stamp, installed_spec
from ..files.open_files import read_weights
from ..recall import Recalled, recall
from ..sockets import LoadedAdapter

_has_fitting_head = partial(has_head, width=SIGLIP_WIDTH, token_count=SIGLIP_TOKENS)


def pooled_output(output: Output, adapter: LoadedAdapter) -> Tensor | None:
    """[N, E] of an output of SigLIP, recalled; None for another encoder's.

    Raises ValueError where no installed file has the head.
    """
    tokens: Tensor | None = getattr(output, EMBEDS, None)  # of SigLIP the host gives all of them
    if tokens is None or tuple(tokens.shape[1:]) != (SIGLIP_TOKENS, SIGLIP_WIDTH):
        return None
    stamp = file_stamp(_head_file(adapter))

    def make() -> Tensor:
        return pool_tokens(tokens.float().cpu(), read_head(stamp.path))

    return recall(adapter.patcher, Recalled.POOLED_OUTPUT, make, (tokens,), stamp)


def read_head(path: str) -> Mapping[str, Tensor]:
    weights: Weights = read_weights(path)
    return {
        name.removeprefix(HEAD_PREFIX): cast(Tensor, weight).float()
        for name, weight in weights.items()
        if name.startswith(HEAD_PREFIX)
    }


def _head_file(adapter: LoadedAdapter) -> str:
    for name in folders.names(folders.ENCODERS):
        if installed_spec(folders.ENCODERS, name, _has_fitting_head):
            return folders.path_of(folders.ENCODERS, name)
    raise ValueError(
        f"'{adapter.name}' needs the pooling head of {adapter.spec.encoder}, which is in no file "
        f"in {folders.searched(folders.ENCODERS, 'or')}: put the whole encoder there "
        "(sigclip_vision_patch14_384.safetensors; IPAdapter Doctor can download it)."
    )
