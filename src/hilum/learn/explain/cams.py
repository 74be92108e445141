"""Maps from the activations of a layer and the gradient of a logit there.

``A`` (K, h, w) are the activations of a layer, ``g`` their gradient. Numbers are scaled by h * w,
so that the *mean* over a map is what the layer gives to the logit, as it is for evidence; on the
last layer of an evidence network HiResCAM equals the evidence, and Grad-CAM is what of it is > 0.
A layer of several branches (an ensemble in one graph) gives the sum of their maps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.learn.explain.graph import ACTIVATIONS, Node, OnnxModule
from hilum.learn.explain.layers import Layer

Map = NDArray[np.float32]


class Logits(nn.Module):
    """The network with its logits alone, as Captum and MONAI expect it."""

    def __init__(self, module: OnnxModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, films: Tensor) -> Tensor:
        """Read films: logits (N, L)."""
        logits: Tensor = self.module(films)["logits"]
        return logits


def grad_cam(module: OnnxModule, layer: Layer, film: Tensor, place: int) -> Map:
    """Grad-CAM (Selvaraju et al., ICCV 2017), by Captum: max(sum_k mean(g_k) A_k, 0).

    Args:
        module: the network.
        layer: of it.
        film: float (1, C, S, S).
        place: of the label among the logits.

    Returns:
        float32 (h, w), at least 0, in logits; as in every function here.
    """
    from captum.attr import LayerGradCam  # type: ignore[import-untyped]

    def one(node: Node) -> Tensor:
        explained: Tensor = LayerGradCam(Logits(module), node).attribute(film, target=place)
        return explained[0, 0] * explained[0, 0].numel()

    return _sum(module, layer, one).clip(0)


def grad_cam_plus_plus(module: OnnxModule, layer: Layer, film: Tensor, place: int) -> Map:
    """Grad-CAM++ (Chattopadhyay et al., WACV 2018), by MONAI; at least 0, without a unit."""
    from monai.visualize import GradCAMpp

    network = Logits(module)
    names = {node: name for name, node in network.named_modules()}

    def one(node: Node) -> Tensor:
        explain = GradCAMpp(network, names[node])
        with torch.enable_grad():
            found: Tensor = explain.compute_map(film.clone().requires_grad_(), class_idx=place)
        _forget_hooks(node)
        return found[0, 0]

    return _sum(module, layer, one)


def hirescam(module: OnnxModule, layer: Layer, film: Tensor, place: int) -> Map:
    """HiResCAM (Draelos and Carin, 2020), by Captum: sum_k g_k A_k; in logits, of both signs."""
    from captum.attr import LayerGradientXActivation

    def one(node: Node) -> Tensor:
        method = LayerGradientXActivation(Logits(module), node)
        explained: Tensor = method.attribute(film, target=place)
        return explained[0].sum(0) * explained[0, 0].numel()

    return _sum(module, layer, one)


def layer_cam(module: OnnxModule, layer: Layer, film: Tensor, place: int) -> Map:
    """Layer-CAM (Jiang et al., IEEE TIP 2021): max(sum_k max(g_k, 0) A_k, 0); in logits."""

    def weigh(activations: Tensor, gradient: Tensor) -> Tensor:
        return (gradient.clamp(min=0) * activations).sum(0) * activations[0].numel()

    return _weighed(module, layer, film, place, weigh).clip(0)


def dense_weighted(module: OnnxModule, layer: Layer, film: Tensor, place: int) -> Map:
    """Activations weighted by the dense layers that follow (Usatov and Kosik 2021, further work).

    A flattening and two dense layers with weights U and V give each activation the weight V U of
    the label, if the bend between them is left out; so with any number of layers. Of both signs.
    """
    straight = _bends_after(module, layer)

    def weigh(activations: Tensor, gradient: Tensor) -> Tensor:
        return (gradient * activations).sum(0) * activations[0].numel()

    return _weighed(module, layer, film, place, weigh, straight)


def brightness(module: OnnxModule, layer: Layer, film: Tensor, place: int) -> Map:
    """Cumulative intensity after a layer (Usatov and Kosik 2021): the sum over channels.

    It does not depend on the label; of both signs where activations are.
    """
    del place
    with torch.no_grad():
        values = module(film, layer.values)
    maps = [values[name][0].sum(0) for name in layer.values]
    return np.asarray(torch.stack(maps).mean(0).numpy(), np.float32)


def _weighed(
    module: OnnxModule,
    layer: Layer,
    film: Tensor,
    place: int,
    weigh: Callable[[Tensor, Tensor], Tensor],
    straight: frozenset[str] = frozenset(),
) -> Map:
    with torch.enable_grad():
        wanted = ["logits", *layer.values]
        values = module(film.clone().requires_grad_(), wanted, straight=straight)
        maps = [values[name] for name in layer.values]
        gradients = torch.autograd.grad(values["logits"][0, place], maps)
    parts = [weigh(a[0].detach(), g[0]) for a, g in zip(maps, gradients, strict=True)]
    return np.asarray(torch.stack(parts).sum(0).numpy(), np.float32)


def _sum(module: OnnxModule, layer: Layer, one: Callable[[Node], Tensor]) -> Map:
    parts = [one(module.nodes[name]).detach() for name in layer.values]
    return np.asarray(torch.stack(parts).sum(0).numpy(), np.float32)


def _bends_after(module: OnnxModule, layer: Layer) -> frozenset[str]:
    """Name the activations that come after a layer."""
    return frozenset(
        name
        for name, node in module.nodes.items()
        if node.kind in ACTIVATIONS
        and name not in layer.values
        and module.ancestors(name) & set(layer.values)
    )


def _forget_hooks(node: Node) -> None:
    """MONAI leaves its hooks on the network; a second map would run them again."""
    node._forward_hooks.clear()
    node._backward_hooks.clear()
