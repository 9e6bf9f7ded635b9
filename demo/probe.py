"""The information in the encoder's embeds and the adapter's tokens: the accuracy of small
classifiers on held-out pictures, for each factor that a picture is drawn from.

    python demo/probe.py --host COMFYUI --work FOLDER      (two minutes; FOLDER is not used)
"""

import assemble
import common
import encoder
import pictures
import torch
from torch import Tensor, nn

TRAINED_ON, JUDGED_ON, BATCH, STEPS, HIDDEN = 3000, 400, 256, 600, 256
TOKENS = 4


def embeds_of(tower: encoder.Tower, scenes: pictures.Scenes) -> Tensor:
    """[B, 1024]"""
    numbers = torch.arange(len(scenes.factors)).split(64)
    return torch.cat([tower.embeds(pictures.render(scenes[part.tolist()])) for part in numbers])


def tokens_of(embeds: Tensor) -> Tensor:
    """[B, 4 * 768]: what the shipped adapter makes of embeds."""
    weights = assemble.adapter(common.load(assemble.WEIGHTS))
    proj, bias, scale, shift = (
        weights[f"image_proj.{key}"].float()
        for key in ("proj.weight", "proj.bias", "norm.weight", "norm.bias")
    )
    tokens = nn.functional.linear(embeds, proj, bias).unflatten(-1, (TOKENS, -1))
    return nn.functional.layer_norm(tokens, scale.shape, scale, shift).flatten(1)


def accuracy(train: Tensor, labels: Tensor, test: Tensor, answers: Tensor, hidden: int) -> float:
    """Share of right answers of a classifier of standardised features; hidden 0: a linear one."""
    mean, deviation = train.mean(0), train.std(0) + 1e-4
    train, test = (train - mean) / deviation, (test - mean) / deviation
    count, width = int(labels.max()) + 1, train.shape[1]
    layers: list[nn.Module] = [nn.Linear(hidden or width, count)]
    if hidden:
        layers = [nn.Linear(width, hidden), nn.GELU(), *layers]
    classifier = nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(classifier.parameters(), 1e-3, weight_decay=0.05)
    for _ in range(STEPS):
        batch = torch.randint(0, len(train), (BATCH,))
        loss = nn.functional.cross_entropy(classifier(train[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float((classifier(test).argmax(1) == answers).float().mean())


def main() -> None:
    arguments = common.parser(__doc__).parse_args()
    common.use_host(arguments.host)
    torch.manual_seed(0)
    tower = assemble.tower(common.load(assemble.WEIGHTS))
    known = pictures.draw_scenes(TRAINED_ON, common.generator(1))
    held_out = pictures.draw_scenes(JUDGED_ON, common.generator(2), is_held_out=True)
    with torch.no_grad():
        train, test = embeds_of(tower, known), embeds_of(tower, held_out)
        train_tokens, test_tokens = tokens_of(train), tokens_of(test)
    for name, features, held_out_features, hidden in (
        ("embeds, linear", train, test, 0),
        (f"embeds, one hidden layer of {HIDDEN}", train, test, HIDDEN),
        ("tokens, linear", train_tokens, test_tokens, 0),
    ):
        for factor, labels, answers in zip(
            pictures.FACTORS, known.factors.T, held_out.factors.T, strict=True
        ):
            share = accuracy(features, labels, held_out_features, answers, hidden)
            print(f"{name}: {factor} {share:.0%}", flush=True)


if __name__ == "__main__":
    main()
