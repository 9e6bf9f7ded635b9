"""The demo's image encoder: a tower in the layout of CLIP ViT-H/14, made from a seed instead of
trained.

    python demo/encoder.py --host COMFYUI --work FOLDER      (a second; the file has 1.3 GB, mostly
    zeros)

Of its 32 layers the first two do something. Layer 0 turns each patch into random features of what
it shows and where it lies; in layer 1 each of the 16 heads looks through a window of its own and
hands what it finds there to the class token. The rest passes it on. Nothing in it has learned
anything; the adapter has to make sense of it.

`Tower` holds the small part that is not zero and computes the same thing quickly.
"""

from pathlib import Path

import common
import pictures
import torch
from torch import Tensor

LAYERS, HIDDEN, INNER, PROJECTION, HEADS, PATCH, GRID = 32, 1280, 5120, 1024, 16, 14, 16
HEAD = HIDDEN // HEADS
SEED = 7
WIDTH = 1024  # hidden units of layer 0 that are not zero
BALLAST = 8.0  # a constant in every token: with it, layer norms leave bright and dark as they are
WINDOW = 0.2  # how wide a head looks; the picture reaches from -1 to 1

SHOWN, WHERE, PLACE = slice(0, 96), slice(96, 160), slice(160, 163)
TOKEN, PATCHES = 163, 164  # dimensions that say: class token, patch
FOUND, CONSTANT = slice(192, 832), slice(1272, 1280)


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


def first_layer(source: torch.Generator) -> dict[str, Tensor]:
    """Its MLP: random features of what a patch shows and where it lies."""
    into, back = torch.zeros(INNER, HIDDEN), torch.zeros(HIDDEN, INNER)
    bias = torch.zeros(INNER)
    into[:WIDTH, SHOWN] = torch.randn(WIDTH, 96, generator=source) * 96**-0.5
    into[:WIDTH, WHERE] = torch.randn(WIDTH, 64, generator=source) * 64**-0.5
    bias[:WIDTH] = torch.randn(WIDTH, generator=source) * 0.5
    back[FOUND, :WIDTH] = torch.randn(640, WIDTH, generator=source) * WIDTH**-0.5
    return {"mlp.fc1.weight": into, "mlp.fc1.bias": bias, "mlp.fc2.weight": back}


def second_layer(source: torch.Generator) -> dict[str, Tensor]:
    """Its attention: head n of the class token looks at the window (n % 4, n // 4) of the
    picture.
    """
    query, key, value = (torch.zeros(HIDDEN, HIDDEN) for _ in range(3))
    gain = HEAD**0.5 / 4  # norms make the small dimensions about twice as large, on both sides
    for head in range(HEADS):
        row = head * HEAD
        x, y = (head % 4) / 2 - 0.75, (head // 4) / 2 - 0.75
        look = torch.tensor([x, y, -0.5, 0]) / WINDOW**2 + torch.tensor([0, 0, 0, 60.0])
        query[row : row + 4, TOKEN] = gain * look
        key[row : row + 3, PLACE] = torch.eye(3)
        key[row + 3, PATCHES] = 1
    value[:, FOUND] = torch.randn(HIDDEN, 640, generator=source) * 640**-0.5
    parts = {"q": query, "k": key, "v": value, "out": torch.eye(HIDDEN)}
    return {f"self_attn.{name}_proj.weight": weight for name, weight in parts.items()}


def projection(source: torch.Generator) -> Tensor:
    weight = torch.randn(HIDDEN, PROJECTION, generator=source)
    weight[CONSTANT] = 0
    return torch.linalg.qr(weight)[0].T


class Tower:
    """What is not zero in the encoder; `embeds` is what the host's `image_embeds` are."""

    def __init__(self, seed: int = SEED):
        source = common.generator(seed)
        layers = start(source), first_layer(source), second_layer(source)
        self.start, self.first, self.second = (
            {k: v.half().float() for k, v in m.items()} for m in layers
        )
        self.projection = projection(source).half().float()
        self.centre = torch.zeros(HIDDEN)
        sample = pictures.draw_scenes(512, common.generator(seed))
        token = torch.cat(
            [self._token(pictures.render(sample[n : n + 64])) for n in range(0, 512, 64)]
        )
        token[:, CONSTANT] = 0
        self.centre = -token.mean(0).half().float()
        spread = self._embeds(token + self.centre + self._constant()).std()
        self.projection = (self.projection / spread).half().float()

    def embeds(self, picture: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..1 -> [B, 1024], about unit size around 0."""
        return self._embeds(self._token(picture))

    def _embeds(self, token: Tensor) -> Tensor:
        return _norm(token) @ self.projection.T

    def _constant(self) -> Tensor:
        """What the first norm makes of the class token's own ballast."""
        token = self.start["embeddings.class_embedding"]
        token = _norm(token + self.start["embeddings.position_embedding.weight"][0])
        constant = torch.zeros(HIDDEN)
        constant[CONSTANT] = token[CONSTANT]
        return constant

    def _token(self, picture: Tensor) -> Tensor:
        """The class token before the last norm, [B, 1280]."""
        from comfy.clip_model import clip_preprocess

        pixels = clip_preprocess(picture.movedim(1, -1))
        patches = torch.nn.functional.conv2d(
            pixels, self.start["embeddings.patch_embedding.weight"][SHOWN], stride=PATCH
        )
        x = torch.zeros(len(picture), 1 + GRID * GRID, HIDDEN)
        x[:, 1:, SHOWN] = patches.flatten(2).transpose(1, 2)
        x[:, 0] = self.start["embeddings.class_embedding"]
        x = _norm(x + self.start["embeddings.position_embedding.weight"])
        inside = _norm(x)[..., :160] @ self.first["mlp.fc1.weight"][:WIDTH, :160].T
        inside = torch.nn.functional.gelu(inside + self.first["mlp.fc1.bias"][:WIDTH])
        x[..., FOUND] += inside @ self.first["mlp.fc2.weight"][FOUND, :WIDTH].T
        return x[:, 0] + self._look(_norm(x)) + self.centre

    def _look(self, x: Tensor) -> Tensor:
        """The class token's attention in layer 1, [B, 1280]."""
        query = x[:, 0] @ self.second["self_attn.q_proj.weight"].T
        query = query.unflatten(-1, (HEADS, HEAD))[..., :4]
        key = torch.cat([x[..., PLACE], x[..., PATCHES, None]], -1)
        shares = (torch.einsum("bhd,bsd->bhs", query, key) * HEAD**-0.5).softmax(-1)
        pooled = torch.einsum("bhs,bsd->bhd", shares, x[..., FOUND])
        value = self.second["self_attn.v_proj.weight"][:, FOUND].unflatten(0, (HEADS, HEAD))
        return torch.einsum("bhd,hvd->bhv", pooled, value).flatten(1)


def _norm(x: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


def tensors(tower: Tower) -> dict[str, Tensor]:
    """The whole file, fp16, in the layout of transformers."""
    model = dict(tower.start) | norms("pre_layrnorm", "post_layernorm")
    silent = silent_layer()
    active = [tower.first, tower.second | {"self_attn.out_proj.bias": tower.centre}]
    for number in range(LAYERS):
        layer = silent | (active[number] if number < len(active) else {})
        model |= {f"encoder.layers.{number}.{key}": value for key, value in layer.items()}
    vision_model = {f"vision_model.{key}": value.half() for key, value in model.items()}
    return vision_model | {"visual_projection.weight": tower.projection.half()}


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


def make(path: Path) -> None:
    about = f"made from seed {SEED}, not trained, see demo/README.md"
    common.save(path, tensors(Tower()), about=about)


def main() -> None:
    arguments = common.parser(__doc__).parse_args()
    common.use_host(arguments.host)
    make(arguments.work / "clip_vision" / "demo-vit-h.safetensors")


if __name__ == "__main__":
    main()
