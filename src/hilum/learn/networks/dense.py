"""dense: one network that sees where: lungs, opacity, and COVID-19 given opacity, off one map.

An encoder (EfficientNet-Lite), a top-down decoder of a few channels (Lin et al., CVPR 2017, with
depthwise-separable convolutions) to a quarter of the input, and pixel logits for the right lung,
the left lung, opacity, and what of it is consolidation. Both answers are arithmetic of that map:

- opacity: ``bias + mean(evidence)``, where the evidence of a pixel is what its chance to be opaque
  adds, over the lungs. A film without lungs has no evidence.
- COVID-19: P(opacity) x P(COVID-19 | opacity). The second factor is a linear function of the
  *layout* of the map (which zones, how peripheral, how alike on both sides) and of nothing else,
  so it cannot know the hospital by its pixels; it is learned once the map is finished
  (``hilum.learn.given``). A film without opacity cannot be called COVID-19.

The appearance given opacity is a linear function of the layout and of features under the map: it is
learned inside one collection alone, so features cannot tell it the hospital either.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hilum.learn.networks.efficientnet_lite import Lite, lite, to_grey
from hilum.learn.networks.usatov_kosik_2021 import MAP_LAYER, build_usatov_kosik_2021

RIGHT, LEFT, OPACITY, CONSOLIDATION = range(4)
"""Channels of ``DenseOutput.maps``."""
_BIAS = -2.0
_MAPS = 64
"""Maps of the second paper's network at its layer 19."""


class DenseOutput(NamedTuple):
    """A batch read by a dense network.

    Attributes:
        logits: float (N, 2): COVID-19, opacity.
        evidence: float (N, 2, S/4, S/4), logit units; both are the map that opacity is read off:
            ``logits[:, 1] == evidence[:, 1].mean((1, 2)) + bias[1]``.
        embedding: float (N, E): the encoder's last features over the film, and features over
            what is opaque; E is 496 with Lite0, 128 of the fully convolutional network.
        maps: float (N, 4, S/4, S/4), logits: right lung, left lung, opacity, and consolidation
            given opacity (else it is ground-glass).
        given: float (N, 4), logits: of COVID-19 given opacity, off the layout; and, to be compared
            by a softmax, of a typical, an indeterminate and an atypical appearance given opacity
            (Litmanovich et al., J Thorac Imaging 2020).
    """

    logits: Tensor
    evidence: Tensor
    embedding: Tensor
    maps: Tensor
    given: Tensor

    @property
    def appearance(self) -> Tensor:
        """Chances of a typical, indeterminate, atypical appearance and of none: float (N, 4)."""
        opaque = self.logits[:, 1:].sigmoid()
        return torch.cat([opaque * self.given[:, 1:].softmax(1), 1 - opaque], dim=1)


class _Separable(nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(),
        )


class DenseNetwork(nn.Module):
    """See the module; ``build_dense`` gives the arguments their meaning.

    Attributes:
        summed: which logits are ``evidence.mean + bias``; that of COVID-19 is a product's.
        answers_teach_map: whether the answers' losses reach the map.
    """

    summed = (False, True)
    answers_teach_map = True

    def __init__(
        self,
        encoder: Any,
        channels: int,
        drop_connect: float,
        frozen: int,
        *,
        answers_teach_map: bool,
    ) -> None:
        super().__init__()
        self.answers_teach_map = answers_teach_map
        for unused in ("_avg_pooling", "_dropout", "_fc", "_conv_head", "_bn1"):
            delattr(encoder, unused)
        self.encoder, self.drop_connect = encoder, drop_connect
        self._ends = _ends(encoder)
        stem = [encoder._conv_stem, encoder._bn0] if frozen else []
        self._frozen = (*stem, *encoder._blocks[:frozen])
        for part in self._frozen:
            part.requires_grad_(False)
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels))
            for width in self._ends.values()
        )
        self.smooth = nn.ModuleList(_Separable(channels) for _ in range(len(self._ends) + 1))
        self._add_answers(channels, list(self._ends.values())[2] + channels)

    def _add_answers(self, channels: int, looked: int) -> None:
        """Add all that follows the features under the map.

        Args:
            channels: of those features.
            looked: so many numbers at the end of the embedding tell the appearance.
        """
        self._looked = looked
        self.pixels = nn.Conv2d(channels, 4, 1)
        nn.init.constant_(self.pixels.bias, -1.0)  # type: ignore[arg-type]
        self.gain = nn.Parameter(torch.zeros(2))
        self.offset = nn.Parameter(torch.tensor(_BIAS))
        self.scale = nn.BatchNorm1d(len(LAYOUT), affine=False)
        self.layout = nn.Linear(len(LAYOUT), 4)
        nn.init.zeros_(self.layout.weight)
        self.look = nn.Sequential(nn.Dropout(0.3), nn.Linear(looked, 3, bias=False))

    @property
    def bias(self) -> Tensor:
        """Float (2,): of the opacity logit; NaN for COVID-19, whose logit is no sum over a map."""
        return torch.stack([torch.full_like(self.offset, torch.nan), self.offset])

    def train(self, mode: bool = True) -> DenseNetwork:
        """Switch to training; what is frozen keeps its running statistics."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, films: Tensor) -> DenseOutput:
        """Read standardised films, float (N, C, S, S)."""
        levels = self._encode(films)
        features = self._decode(levels)
        maps = self.pixels(features)
        chance = maps[:, OPACITY].sigmoid()
        lungs = maps[:, :OPACITY].amax(1).sigmoid().detach()
        opaque = chance * lungs
        if not self.answers_teach_map:
            opaque = opaque.detach()
        evidence = self._evidence(opaque, lungs)
        opacity = evidence.mean((1, 2)) + self.offset
        embedding = self._embed(levels, features, opaque)
        look = self.look(embedding[:, -self._looked :])
        given = self.layout(self._layout(maps)) + functional.pad(look, (1, 0))
        logits = torch.stack([_product(opacity, given[:, 0]), opacity], dim=1)
        return DenseOutput(logits, torch.stack([evidence, evidence], 1), embedding, maps, given)

    def look_at(self, films: Tensor) -> Tensor:
        """Return the layout of standardised films' maps as the answers read it, (N, 23)."""
        return self._layout(self.pixels(self._decode(self._encode(films))))

    def _layout(self, maps: Tensor) -> Tensor:
        right, left, chance, _ = maps.detach().sigmoid().unbind(1)
        scaled: Tensor = self.scale(layout_of(chance * torch.maximum(right, left), right, left))
        return scaled

    def _encode(self, films: Tensor) -> list[Tensor]:
        encoder = self.encoder
        features = encoder._swish(encoder._bn0(encoder._conv_stem(films)))
        levels = []
        for place, block in enumerate(encoder._blocks):
            rate = self.drop_connect * place / len(encoder._blocks) if self.training else 0.0
            features = block(features, drop_connect_rate=rate)
            if place in self._ends:
                levels.append(features)
        return levels

    def _decode(self, levels: list[Tensor]) -> Tensor:
        features: Tensor = self.smooth[3](self.lateral[3](levels[3]))
        for place in (2, 1, 0):
            larger = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = self.smooth[place](self.lateral[place](levels[place]) + larger)
        whole: Tensor = self.smooth[4](features)
        return whole

    def _embed(self, levels: list[Tensor], features: Tensor, opaque: Tensor) -> Tensor:
        coarse = functional.avg_pool2d(_share(opaque), 4) * 16
        far = (levels[2] * coarse).sum((2, 3))
        return torch.cat([levels[3].mean((2, 3)), _under(opaque, features), far], dim=1)

    def _evidence(self, opaque: Tensor, lungs: Tensor) -> Tensor:
        """Return what each pixel adds, (N, h, w): more the surer it is, over the lungs' area."""
        even, sure = functional.softplus(self.gain)
        share = lungs.mean((1, 2), keepdim=True) + 1e-3
        evidence: Tensor = 10 * (even * opaque + sure * opaque**3) / share
        return evidence


class FullyConvolutional(DenseNetwork):
    """The convolutions of Usatov and Kosik (2021) with a map instead of the dense head.

    The paper names semantic segmentation by a fully convolutional network as its next step. Up to
    layer 19, from which it reads its brightness map, the layers are its own; a 1x1 convolution
    turns their 64 maps at an eighth of the side into logits, and they are enlarged by bilinear
    interpolation (Long, Shelhamer and Darrell, CVPR 2015). What follows the map is as for every
    dense network. Starts from random weights.
    """

    def __init__(self, channels: Literal[1, 3], size: int, activation: Literal["elu", "relu"]):
        nn.Module.__init__(self)
        whole = build_usatov_kosik_2021(
            labels=1, channels=channels, size=size, activation=activation
        )
        self.encoder, self._frozen = whole.layers[:MAP_LAYER], ()
        self._add_answers(_MAPS, _MAPS)

    def _encode(self, films: Tensor) -> list[Tensor]:
        return [self.encoder(films)]

    def _decode(self, levels: list[Tensor]) -> Tensor:
        return functional.interpolate(levels[0], scale_factor=2.0, mode="bilinear")

    def _embed(self, levels: list[Tensor], features: Tensor, opaque: Tensor) -> Tensor:
        return torch.cat([levels[0].mean((2, 3)), _under(opaque, features)], dim=1)


def build_fully_convolutional(
    *,
    labels: Literal[2],
    channels: Literal[1, 3],
    size: int,
    activation: Literal["elu", "relu"] = "elu",
) -> FullyConvolutional:
    """Build the second paper's network as a dense one; see ``FullyConvolutional``.

    Args:
        labels: 2: covid-19 and lung-opacity, in this order.
        channels: C of the input.
        size: side of the input in pixels, a multiple of 32.
        activation: of its convolutions.
    """
    return FullyConvolutional(channels, size, activation)


def build_dense(
    *,
    labels: Literal[2],
    channels: Literal[1, 3],
    size: int,
    encoder: Lite = "efficientnet-lite0",
    pretrained: bool = True,
    decoder_channels: int = 64,
    drop_connect: float = 0.1,
    frozen_blocks: int = 3,
    answers_teach_map: bool = True,
) -> DenseNetwork:
    """Build the dense network; its labels are covid-19 and lung-opacity, in this order.

    Args:
        labels: 2.
        channels: C of the input; with 1, the stem adds up the weights of three equal channels.
        size: side of the input in pixels, a multiple of 32.
        encoder: the network whose features the map is read off.
        pretrained: start from the ImageNet weights of its package.
        decoder_channels: of every level of the decoder.
        drop_connect: chance, growing with depth to this value, that a block is skipped in training.
        frozen_blocks: the stem and so many of its blocks (Lite0 has 16) keep their ImageNet
            weights.
        answers_teach_map: films' labels teach the map, too; False: what is drawn alone does. A
            label of a collection of one class says where a film comes from.
    """
    features = lite(encoder, size, pretrained=pretrained)
    for part in features.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.1  # the 0.01 of the ImageNet run belongs to 100,000s of steps
    if channels == 1:
        to_grey(features._conv_stem)
    return DenseNetwork(
        features,
        decoder_channels,
        drop_connect,
        frozen_blocks,
        answers_teach_map=answers_teach_map,
    )


LAYOUT = (
    *(
        f"{side}-{height}-{half}"
        for side in ("right", "left")
        for height in ("upper", "middle", "lower")
        for half in ("lateral", "medial")
    ),
    "share", "better", "worse", "apart", "alike",
    "upper", "lower", "lateral", "inner", "outer", "density",
)  # fmt: skip
"""What ``layout_of`` says of a map: twelve zones' shares; the share of both lungs, of the better
and the worse one, their difference and ratio; then, relative to the whole: the upper and lower
thirds, the lateral halves, what lies deep inside the lungs and near their edge; and how sure the
map is."""


def layout_of(opaque: Tensor, right: Tensor, left: Tensor) -> Tensor:
    """Describe where a film is opaque.

    Thirds and halves divide each lung by its own area, so that they stand any crop and scale.

    Args:
        opaque: float (N, h, w) in [0, 1], 0 outside the lungs.
        right, left: float (N, h, w) in [0, 1], the lungs; the right one lies at the left.

    Returns:
        float (N, 23), in the order of ``LAYOUT``.
    """
    sides = torch.stack([right, left], 1)
    areas = sides.sum((2, 3)) + 1e-3
    down = (sides.sum(3).cumsum(2) / areas[..., None]) * (1 - 1e-4)
    across = sides.sum(2).cumsum(2) / areas[..., None]
    third = (3 * down).floor()[..., None]
    first_half = (across < 0.5)[..., None, :]
    lateral = torch.stack([first_half[:, 0], ~first_half[:, 1]], 1)  # the right lung's lies first
    zones = torch.stack(
        [(third == place) & half for place in range(3) for half in (lateral, ~lateral)], 2
    )
    here = opaque[:, None] * sides
    amounts = (here[:, :, None] * zones).sum((3, 4))  # (N, 2 sides, 6 zones)
    shares = amounts / ((sides[:, :, None] * zones).sum((3, 4)) + 1)
    each = here.sum((2, 3)) / (areas + 1)
    better, worse = each.amin(1), each.amax(1)
    lungs = sides.amax(1)
    total = opaque.sum((1, 2)) + 1
    share = opaque.sum((1, 2)) / (lungs.sum((1, 2)) + 1)
    deep = lungs * functional.avg_pool2d(lungs[:, None], 9, stride=1, padding=4)[:, 0] ** 4
    inner, outer = (
        (opaque * part).sum((1, 2)) / (part.sum((1, 2)) + 1) / (share + 0.02)
        for part in (deep, lungs - deep)
    )
    upper, lower = (amounts[:, :, part].sum((1, 2)) / total for part in ((0, 1), (4, 5)))
    beside = amounts[:, :, (0, 2, 4)].sum((1, 2)) / total
    sure = (opaque**2).sum((1, 2)) / total
    alone = [share, better, worse, worse - better, better / (worse + 0.02)]
    alone += [upper, lower, beside, inner, outer, sure]
    return torch.cat([shares.flatten(1), torch.stack(alone, 1)], 1)


def _ends(encoder: Any) -> dict[int, int]:
    """Last block -> channels, at a quarter, an eighth, a 16th and a 32nd of the input."""
    blocks = list(encoder._blocks)
    ends = [i for i, block in enumerate(blocks[1:]) if block._depthwise_conv.stride[0] == 2]
    ends = [*ends[1:], len(blocks) - 1]  # the first one ends at half of the input
    return {place: blocks[place]._project_conv.out_channels for place in ends}


def _product(opacity: Tensor, given: Tensor) -> Tensor:
    """Return the logit of sigmoid(opacity) * sigmoid(given)."""
    log_chance = functional.logsigmoid(opacity) + functional.logsigmoid(given)
    return log_chance - torch.log1p(-log_chance.exp().clamp(max=1 - 1e-6))


def _share(opaque: Tensor) -> Tensor:
    return (opaque / (opaque.sum((1, 2), keepdim=True) + 1e-3))[:, None]


def _under(opaque: Tensor, features: Tensor) -> Tensor:
    """Mean of the features over what is opaque."""
    return (features * _share(opaque)).sum((2, 3))
