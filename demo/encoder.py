"""The demo's image encoder: a small trained network in the layout of CLIP ViT-H/14 (1.3 GB, mostly
zeros).

Of its 32 layers the first three do something. Layer 0 looks at each patch by itself, at what it
shows and where it lies; in layer 1 each of the 16 heads looks through a window of its own and hands
what it finds there to the class token, whose own layers (the MLPs of layers 1 and 2) read shape,
colour and place from it. The rest passes it on.

Filters, positions and windows are set by hand and from a seed; `train_encoder.py` trained the rest.
`Tower` holds the small part that is not zero and computes the same thing quickly.
"""

import common
import torch
from torch import Tensor

LAYERS, HIDDEN, INNER, PROJECTION, HEADS, PATCH, GRID = 32, 1280, 5120, 1024, 16, 14, 16
HEAD = HIDDEN // HEADS
SEED = 7
WIDTH, INSIDE = 192, 512  # hidden units of layer 0, and of layers 1 and 2, that are not zero
BALLAST = 8.0  # a constant in every token: with it, layer norms leave bright and dark as they are
WINDOW = 0.2  # how wide a head looks; the picture reaches from -1 to 1

SHOWN, WHERE, PLACE = slice(0, 96), slice(96, 160), slice(160, 163)
TOKEN, PATCHES = 163, 164  # dimensions that say: class token, patch
FOUND, CONSTANT = slice(192, 320), slice(1272, 1280)
VALUES = FOUND.stop - FOUND.start


def patch_basis() -> Tensor:
    """Mean, slopes and bends of a patch, for each channel: [27, 3, 14, 14]."""
    t = (torch.arange(PATCH) + 0.5) / PATCH
    wave = torch.stack([torch.cos(torch.pi * n * t) * (1.0 if n == 0 else 1.4) for n in range(3)])
    basis = torch.einsum("ay,bx->abyx", wave, wave).reshape(9, PATCH, PATCH) / PATCH**2
    return torch.einsum("nyx,cd->ncdyx", basis, torch.eye(3)).reshape(27, 3, PATCH, PATCH)


def start(source: torch.Generator) -> dict[str, Tensor]:
    """Patch, class and position embeddings."""
    loud = torch.tensor([0.8] + [1.2] * 8).repeat_interleave(3)
    patch = torch.zeros(HIDDEN, 3, PATCH, PATCH)
    mix = torch.randn(96, 27, generator=source) * loud * 3**-0.5
    patch[SHOWN] = torch.einsum("nk,kcyx->ncyx", mix, patch_basis())
    axis = (torch.arange(GRID) + 0.5) / GRID * 2 - 1
    y, x = (part.flatten() for part in torch.meshgrid(axis, axis, indexing="ij"))
    position = torch.zeros(1 + GRID * GRID, HIDDEN)
    turns = torch.randn(32, 2, generator=source) * 4
    angle = x[:, None] * turns[:, 0] + y[:, None] * turns[:, 1]
    position[1:, WHERE] = torch.cat([angle.sin(), angle.cos()], 1)
    position[1:, PLACE] = torch.stack([x, y, x * x + y * y], 1)
    position[1:, PATCHES] = 1
    position[:, CONSTANT] = BALLAST * torch.tensor([1.0, -1.0] * 4)
    token = torch.zeros(HIDDEN)
    token[TOKEN] = 1
    return {
        "embeddings.class_embedding": token,
        "embeddings.patch_embedding.weight": patch,
        "embeddings.position_embedding.weight": position,
    }


def untrained(seed: int = SEED) -> dict[str, Tensor]:
    """The weights that are trained, as they begin; files name them so below `encoder.`."""
    source = common.generator(seed)

    def draw(rows: int, columns: int, gain: float = 1.0) -> Tensor:
        return torch.randn(rows, columns, generator=source) * gain * columns**-0.5

    weights = {
        "patch.into": torch.cat([draw(WIDTH, 96), draw(WIDTH, 64)], 1),
        "patch.bias": torch.randn(WIDTH, generator=source) * 0.5,
        "patch.back": draw(VALUES, WIDTH),
        "look": draw(HIDDEN, VALUES),
        "centre": torch.zeros(HIDDEN),
        "projection": draw(PROJECTION, HIDDEN),
    }
    for layer in (1, 2):
        weights |= {
            f"{layer}.into": draw(INSIDE, HIDDEN),
            f"{layer}.bias": torch.zeros(INSIDE),
            f"{layer}.back": draw(HIDDEN, INSIDE, 0.5),
        }
    return weights


def windows() -> tuple[Tensor, Tensor]:
    """Queries and keys of layer 1: head n of the class token looks at the window (n % 4, n // 4) of
    the picture.
    """
    query, key = (torch.zeros(HIDDEN, HIDDEN) for _ in range(2))
    gain = HEAD**0.5 / 4  # norms make the small dimensions about twice as large, on both sides
    for head in range(HEADS):
        row = head * HEAD
        x, y = (head % 4) / 2 - 0.75, (head // 4) / 2 - 0.75
        look = torch.tensor([x, y, -0.5, 0]) / WINDOW**2 + torch.tensor([0, 0, 0, 60.0])
        query[row : row + 4, TOKEN] = gain * look
        key[row : row + 3, PLACE] = torch.eye(3)
        key[row + 3, PATCHES] = 1
    return query.half().float(), key.half().float()


class Tower:
    """The part of the encoder that is not zero; `embeds` equals the host's `image_embeds`."""

    def __init__(self, weights: dict[str, Tensor], seed: int = SEED):
        self.weights = weights
        self.start = {k: v.half().float() for k, v in start(common.generator(seed)).items()}
        self.query, self.key = windows()
        self.position = self.start["embeddings.position_embedding.weight"][1:]

    def embeds(self, picture: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..1 -> [B, 1024]."""
        from comfy.clip_model import clip_preprocess

        pixels = clip_preprocess(picture.movedim(1, -1))
        filters = self.start["embeddings.patch_embedding.weight"][SHOWN]
        patches = torch.nn.functional.conv2d(pixels, filters, stride=PATCH)
        return self.embeds_of_patches(patches.flatten(2).transpose(1, 2))

    def embeds_of_patches(self, patches: Tensor) -> Tensor:
        """[B, 256, 96], what the filters of the patch embedding find -> [B, 1024]."""
        token = self._class_token()
        token = token + self._look(_norm(token), *self._features(patches)) + self.weights["centre"]
        for layer in (1, 2):
            token = token + self._mlp(_norm(token), str(layer))
        return _norm(token) @ self.weights["projection"].T

    def _class_token(self) -> Tensor:
        """Before it looks, [1280]."""
        position = self.start["embeddings.position_embedding.weight"][0]
        token = _norm(self.start["embeddings.class_embedding"] + position)
        features = self._mlp(_norm(token)[: WHERE.stop], "patch")
        return token + torch.nn.functional.pad(features, (FOUND.start, HIDDEN - FOUND.stop))

    def _features(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Of each patch what layer 0 adds to it and where it lies, both after the norm of layer 1:
        [B, 256, 128], [B, 256, 4]. What a norm needs is summed over the few dimensions in use; the
        norm between these two is left out, since it finds nothing to do.
        """
        shown = patches + self.position[:, SHOWN]
        rest = self.position[:, SHOWN.stop :]
        mean = (shown.sum(-1) + rest.sum(-1)) / HIDDEN
        square = (shown.square().sum(-1) + rest.square().sum(-1)) / HIDDEN
        scale = (square - mean.square() + 1e-5).rsqrt()[..., None]
        mean = mean[..., None]
        where = self.position[:, WHERE].expand(len(patches), -1, -1)
        features = self._mlp((torch.cat([shown, where], -1) - mean) * scale, "patch").float()
        empty = -mean * scale  # what the first norm makes of a zero
        place = (self.position[:, PLACE.start : PLACE.stop + 2] - mean) * scale
        place = place[..., [0, 1, 2, PATCHES - PLACE.start]]
        added = features.sum(-1, keepdim=True)
        square = 1 + (features.square().sum(-1, keepdim=True) + 2 * empty * added) / HIDDEN
        mean = added / HIDDEN
        scale = (square - mean.square() + 1e-5).rsqrt()
        return (features + (empty - mean)) * scale, (place - mean) * scale

    def _mlp(self, x: Tensor, layer: str) -> Tensor:
        inside = x @ self.weights[f"{layer}.into"].T + self.weights[f"{layer}.bias"]
        return torch.nn.functional.gelu(inside) @ self.weights[f"{layer}.back"].T

    def _look(self, token: Tensor, features: Tensor, place: Tensor) -> Tensor:
        """The class token's attention in layer 1, [B, 1280]."""
        query = (self.query @ token).unflatten(-1, (HEADS, HEAD))[..., :4]
        shares = (torch.einsum("hd,bsd->bhs", query, place) * HEAD**-0.5).softmax(-1)
        pooled = torch.einsum("bhs,bsd->bhd", shares, features)
        value = self.weights["look"].unflatten(0, (HEADS, HEAD))
        return torch.einsum("bhd,hvd->bhv", pooled, value).flatten(1)

    def layers(self) -> list[dict[str, Tensor]]:
        """Those that do something, as in the file."""
        weights, value = self.weights, torch.zeros(HIDDEN, HIDDEN)
        value[:, FOUND] = weights["look"]
        attention = {"q": self.query, "k": self.key, "v": value, "out": torch.eye(HIDDEN)}
        attention = {f"self_attn.{name}_proj.weight": weight for name, weight in attention.items()}
        attention |= {"self_attn.out_proj.bias": weights["centre"]}
        first, second, third = (
            {f"mlp.{k}": v for k, v in _full_mlp(weights, x).items()} for x in ("patch", "1", "2")
        )
        return [first, second | attention, third]


def _full_mlp(weights: dict[str, Tensor], layer: str) -> dict[str, Tensor]:
    into, bias, back = (weights[f"{layer}.{part}"] for part in ("into", "bias", "back"))
    wide = {"fc1.weight": torch.zeros(INNER, HIDDEN), "fc2.weight": torch.zeros(HIDDEN, INNER)}
    wide |= {"fc1.bias": torch.zeros(INNER)}
    wide["fc1.weight"][: len(into), : into.shape[1]] = into
    wide["fc1.bias"][: len(into)] = bias
    rows = FOUND if layer == "patch" else slice(None)
    wide["fc2.weight"][rows, : len(into)] = back
    return wide


def _norm(x: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


def tensors(tower: Tower) -> dict[str, Tensor]:
    """The whole file, fp16, in the layout of transformers."""
    model = dict(tower.start) | norms("pre_layrnorm", "post_layernorm")
    silent, active = silent_layer(), tower.layers()
    for number in range(LAYERS):
        layer = silent | (active[number] if number < len(active) else {})
        model |= {f"encoder.layers.{number}.{key}": value for key, value in layer.items()}
    vision_model = {f"vision_model.{key}": value.half() for key, value in model.items()}
    return vision_model | {"visual_projection.weight": tower.weights["projection"].half()}


def norms(*names: str) -> dict[str, Tensor]:
    weights = {f"{name}.weight": torch.ones(HIDDEN) for name in names}
    return weights | {f"{name}.bias": torch.zeros(HIDDEN) for name in names}


def silent_layer() -> dict[str, Tensor]:
    """A layer that passes on what comes, fp16."""
    shapes = {"mlp.fc1": (INNER, HIDDEN), "mlp.fc2": (HIDDEN, INNER)}
    shapes |= {f"self_attn.{x}_proj": (HIDDEN, HIDDEN) for x in ("q", "k", "v", "out")}
    layer = {f"{key}.weight": torch.zeros(shape) for key, shape in shapes.items()}
    layer |= {f"{key}.bias": torch.zeros(shape[0]) for key, shape in shapes.items()}
    layer |= norms("layer_norm1", "layer_norm2")
    return {key: value.half() for key, value in layer.items()}
