"""The contract of every network, and what each of the papers' networks promises beyond it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from hilum.core.errors import ConfigError
from hilum.learn.networks import NETWORKS, build_network, write_onnx
from hilum.learn.networks.usatov_kosik_2021 import MAP_LAYER
from hilum.learn.recipe import DENSE

SIZE = 64
LABELS = 2
WITHOUT_EVIDENCE = {"abdelhady-2020", "usatov-kosik-2021"}

every_network = pytest.mark.parametrize("name", list(NETWORKS))
labeled = pytest.mark.parametrize("name", sorted(NETWORKS.keys() - set(DENSE)))
"""Networks that learn from labels alone; see test_dense.py for the others."""


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def films(count: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(count, channels, SIZE, SIZE)


@every_network
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_evidence_identity(name: str, channels: int) -> None:
    network = build_network(name, labels=LABELS, channels=channels, size=SIZE)
    for mode in (True, False):
        with torch.no_grad():
            logits, evidence, embedding, *_ = network.train(mode)(films(3, channels))
        assert logits.shape == (3, LABELS)
        if name in WITHOUT_EVIDENCE:
            assert evidence is None
            assert embedding is None
            continue
        assert embedding.shape[0] == 3
        assert evidence.shape[:2] == (3, LABELS)
        assert min(evidence.shape[2:]) >= 2
        assert network.bias.shape == (LABELS,)
        summed = network.bias.isfinite()
        assert summed.all() or name in DENSE
        again = evidence.mean((2, 3)) + network.bias
        torch.testing.assert_close(logits[:, summed], again[:, summed])


@labeled
def test_gradient_reaches_every_parameter(name: str) -> None:
    options = {"drop_connect": 0.0} if name == "efficientnet-lite0" else {}
    network = build_network(name, labels=LABELS, channels=1, size=SIZE, **options)
    (network(films(4, 1)).logits ** 2).sum().backward()
    without = [
        key
        for key, parameter in network.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.abs().sum() > 0)
    ]
    # a new head starts with a bias of 0 and logits near 0: their gradient is small, never absent
    assert without == []


@labeled
def test_overfits_one_batch(name: str) -> None:
    network = build_network(name, labels=1, channels=1, size=SIZE)
    batch = films(8, 1)
    truth = (torch.arange(8) % 2).float()[:, None]
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    loss = torch.tensor(torch.inf)
    for _ in range(150):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(batch).logits, truth)
        if loss < 0.05:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


LARGE = {"dense", "densenet121", "efficientnet-lite0", "resnet18"}
"""Networks whose graph is long in the writing; that of ``dense`` is written in test_dense, too."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=pytest.mark.slow) if each in LARGE else each for each in NETWORKS],
)
def test_onnx_agrees_with_torch_for_any_number_of_films(name: str, tmp_path: Path) -> None:
    network = build_network(name, labels=LABELS, channels=3, size=SIZE)
    with torch.no_grad():
        network(films(4))  # moves the running statistics off their start
    outputs = write_onnx(network, tmp_path / "model.onnx", channels=3, size=SIZE)
    assert network.training
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    model = onnx.load(tmp_path / "model.onnx")
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 18}
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [entry.name for entry in session.get_inputs()] == ["image"]
    assert tuple(entry.name for entry in session.get_outputs()) == outputs
    whole = ("logits", "evidence", "embedding")
    whole += ("maps", "given", "appearance") if name in DENSE else ()
    assert outputs == (("logits",) if name in WITHOUT_EVIDENCE else whole)
    network.eval()
    for count in (1, 5):
        batch = films(count)
        with torch.no_grad():
            expected = network(batch)
        found = session.run(list(outputs), {"image": batch.numpy()})
        for array, tensor in zip(found, expected, strict=False):
            np.testing.assert_allclose(array, tensor.numpy(), rtol=0, atol=1e-4)


def test_an_unknown_network_or_option_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError) as unknown:
        build_network("resnet-18", labels=1, channels=1, size=SIZE)
    assert "did you mean 'resnet18'?" in unknown.value.hint
    with pytest.raises(ConfigError) as option:
        build_network("usatov-kosik-2021", labels=1, channels=1, size=SIZE, activaton="elu")
    assert "did you mean 'activation'?" in option.value.hint
    with pytest.raises(ConfigError, match="unknown option 'depth'"):
        build_network("tiny", labels=1, channels=1, size=SIZE, depth=3)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("usatov-kosik-2021", {"activation": "gelu"}),
        ("usatov-kosik-2021", {"channels": 2}),
        ("tiny", {"size": 16}),
        ("tiny", {"labels": 0}),
        ("efficientnet-lite0", {"pretrained": "perhaps"}),
    ],
)
def test_a_value_that_does_not_fit_is_refused(name: str, values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        build_network(name, **{"labels": 1, "channels": 1, "size": SIZE, **values})  # type: ignore[arg-type]


def test_lite0_starts_from_imagenet_unless_told_otherwise() -> None:
    def stem(seed: int, pretrained: bool) -> torch.Tensor:
        torch.manual_seed(seed)
        network = build_network(
            "efficientnet-lite0", labels=1, channels=3, size=SIZE, pretrained=pretrained
        )
        return network.state_dict()["backbone.network._conv_stem.weight"]

    torch.testing.assert_close(stem(1, True), stem(2, True))
    assert not torch.equal(stem(1, False), stem(2, False))


def test_lite0_sees_a_grey_film_alike_through_one_channel_and_three() -> None:
    features = []
    for channels in (1, 3):
        network = build_network("efficientnet-lite0", labels=1, channels=channels, size=SIZE).eval()
        torch.manual_seed(3)
        grey = torch.rand(2, 1, SIZE, SIZE)
        with torch.no_grad():
            features.append(network.backbone(grey.expand(-1, channels, -1, -1)))  # type: ignore[operator]
    torch.testing.assert_close(features[0], features[1], atol=1e-4, rtol=1e-4)


def test_abdelhady_has_the_published_layers_at_the_customary_size() -> None:
    network = build_network("abdelhady-2020", labels=1, channels=3, size=64)
    shapes = [tuple(p.shape) for p in network.parameters() if p.ndim > 1]
    assert shapes == [(32, 3, 3, 3), (32, 32, 3, 3), (256, 32 * 14 * 14), (1, 256)]


def test_abdelhady_computes_what_the_published_order_of_layers_computes() -> None:
    network = build_network("abdelhady-2020", labels=1, channels=3, size=64)
    first, _, _, second, _, _ = network.features  # type: ignore[misc, union-attr]
    pool, relu = torch.nn.functional.max_pool2d, torch.nn.functional.relu
    batch = films(4)
    published = network.head(pool(relu(second(pool(relu(first(batch)), 2))), 2))  # type: ignore[operator]
    found = network(batch).logits
    torch.testing.assert_close(found, published)
    weights = list(network.parameters())
    ours = torch.autograd.grad(found.sum(), weights)
    theirs = torch.autograd.grad(published.sum(), weights)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("activation", "lowest"), [("elu", -1.0), ("relu", 0.0)])
def test_usatov_kosik_reads_its_map_after_layer_19(activation: str, lowest: float) -> None:
    network = build_network(
        "usatov-kosik-2021", labels=1, channels=1, size=SIZE, activation=activation
    ).eval()
    batch = films(2, 1)
    kind = {"elu": torch.nn.ELU, "relu": torch.nn.ReLU}[activation]
    assert isinstance(network.layers[18], kind)  # type: ignore[index]
    with torch.no_grad():
        read = network.layers[:MAP_LAYER](batch)  # type: ignore[index]
        again = network.layers[MAP_LAYER:](read)  # type: ignore[index]
        torch.testing.assert_close(again, network(batch).logits)
    assert read.shape == (2, 64, SIZE // 8, SIZE // 8)
    assert lowest <= float(read.min()) <= 0.0


def test_frozen_blocks_keep_their_weights_and_statistics() -> None:
    network = build_network(
        "efficientnet-lite0", labels=1, channels=1, size=SIZE, frozen_blocks=3, drop_connect=0.0
    )
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network.train()(films(4, 1)).logits.sum().backward()
    optimizer.step()
    moved = {key for key, value in network.state_dict().items() if not value.equal(before[key])}
    frozen = ("_conv_stem", "_bn0", "_blocks.0.", "_blocks.1.", "_blocks.2.")
    inside = tuple(f"backbone.network.{part}" for part in frozen)
    assert not [key for key in moved if key.startswith(inside)]
    assert any("_blocks.3." in key for key in moved)
