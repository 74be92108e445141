"""Maps of what a network used: the methods by name, and what a number of each map means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MapMethod:
    """One way to say which part of a film an answer rests on.

    Attributes:
        title: what the map shows, in words.
        unit: of its numbers.
        signed: numbers below zero speak against the label; else the map has one direction.
        gradients: it needs gradients or layers, hence the extra "train"; the others run on ONNX
            Runtime alone.
        layered: it reads a layer of the network, which ``--layer`` chooses.
        source: the paper.
    """

    title: str
    unit: str
    signed: bool
    gradients: bool = True
    layered: bool = False
    source: str = ""


METHODS: dict[str, MapMethod] = {
    "evidence": MapMethod(
        "the network's own evidence, exact",
        "logits",
        signed=True,
        gradients=False,
        source="Zhou et al., CVPR 2016",
    ),
    "evidence-shifted": MapMethod(
        "evidence of the film moved by parts of a cell, moved back",
        "logits",
        signed=True,
        gradients=False,
        source="as test-time augmentation",
    ),
    "occlusion": MapMethod(
        "logit lost when a patch is covered",
        "logits lost",
        signed=True,
        gradients=False,
        source="Zeiler and Fergus, ECCV 2014",
    ),
    "grad-cam": MapMethod(
        "features weighted by their mean gradient",
        "logits",
        signed=False,
        layered=True,
        source="Selvaraju et al., ICCV 2017",
    ),
    "grad-cam++": MapMethod(
        "features weighted by powers of their gradient",
        "no unit",
        signed=False,
        layered=True,
        source="Chattopadhyay et al., WACV 2018",
    ),
    "hirescam": MapMethod(
        "features times their gradient, place by place",
        "logits",
        signed=True,
        layered=True,
        source="Draelos and Carin, arXiv:2011.08891",
    ),
    "layer-cam": MapMethod(
        "features times their positive gradient, place by place",
        "logits",
        signed=False,
        layered=True,
        source="Jiang et al., IEEE TIP 2021",
    ),
    "integrated-gradients": MapMethod(
        "gradients of the pixels, added up from black to the film",
        "logits",
        signed=True,
        source="Sundararajan et al., ICML 2017",
    ),
    "smooth-grad": MapMethod(
        "size of the pixels' gradient, mean over noisy copies",
        "logits per grey level",
        signed=False,
        source="Smilkov et al., arXiv:1706.03825",
    ),
    "brightness": MapMethod(
        "sum of a layer's activations over its channels; the same for every label",
        "sum of activations",
        signed=False,
        layered=True,
        source="Usatov and Kosik 2021",
    ),
    "brightness-smoothed": MapMethod(
        "the brightness map, smoothed to the size of the input",
        "sum of activations",
        signed=False,
        layered=True,
        source="Usatov and Kosik 2021",
    ),
    "dense-weighted": MapMethod(
        "a layer's activations weighted by the dense layers that follow",
        "weighted activations",
        signed=True,
        layered=True,
        source="proposed as further work by Usatov and Kosik 2021",
    ),
}
"""Name -> method, in the order in which tables show them."""

DEFAULT_METHOD = "evidence"
"""Of ``hilum explain``; docs/explanation/maps.md says why, with the table that it rests on."""
WITHOUT_EVIDENCE = "occlusion"
"""Instead of it for a network without evidence: it needs nothing but answers."""
