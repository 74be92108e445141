"""Every method on one bundle: those of ONNX Runtime and those that need gradients, by one name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

from hilum.core.config import did_you_mean
from hilum.core.errors import ConfigError
from hilum.core.extras import require
from hilum.core.maps import METHODS, MapMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hilum.learn.explain.graph import OnnxModule
    from hilum.serve.explain.occlusion import Occlusion, Run
    from hilum.serve.reader import Reader

    Map = NDArray[np.float32]

LAST = "last"


@dataclass(frozen=True, slots=True)
class Choice:
    """A method and the layer that it reads, as ``layer-cam@stride-16`` says it.

    Attributes:
        name: a key of ``METHODS``.
        layer: see ``hilum.learn.explain.layers.choose_layer``; nothing to a method without layers.
    """

    name: str
    layer: str = LAST

    @classmethod
    def parse(cls, text: str, layer: str = LAST) -> Choice:
        """Read ``METHOD`` or ``METHOD@LAYER``.

        Raises:
            ConfigError: no such method, or a layer for one that reads none.
        """
        name, at, named = text.partition("@")
        if name not in METHODS:
            raise ConfigError(f"method '{name}' is not known", hint=did_you_mean(name, METHODS))
        if at and not METHODS[name].layered:
            raise ConfigError(f"method '{text}': {name} reads no layer", hint=f"use '{name}'")
        return cls(name, (named if at else layer) if METHODS[name].layered else LAST)

    @property
    def method(self) -> MapMethod:
        """What the numbers of its maps mean."""
        return METHODS[self.name]

    def __str__(self) -> str:
        """As ``parse`` reads it."""
        return self.name if self.layer == LAST else f"{self.name}@{self.layer}"


class Explainer:
    """Makes maps with one bundle.

    Args:
        reader: of the bundle.
        module: the network in torch, where it is not the bundle's own: one with random weights.
            Every method then explains that network.
        occlusion: how patches are laid; None for the default.
    """

    def __init__(
        self,
        reader: Reader,
        module: OnnxModule | None = None,
        occlusion: Occlusion | None = None,
    ) -> None:
        self.reader = reader
        self._module = module
        self._occlusion = occlusion
        preprocess = reader.preprocess
        self.black = (0.0 - preprocess.mean) / preprocess.std
        self._subjects: dict[str, Any] = {}

    @property
    def run(self) -> Run:
        """The network, films in, logits and evidence out."""
        return self.reader.run if self._module is None else self._module.run

    @cached_property
    def module(self) -> OnnxModule:
        """The network in torch.

        Raises:
            MissingExtraError: torch is not installed.
            BundleError: the network has an operation without gradients here.
        """
        require("train")
        from hilum.learn.explain.graph import OnnxModule

        return OnnxModule(self.reader.bundle.model) if self._module is None else self._module

    def explain(self, choice: Choice, film: Map, place: int) -> tuple[Map, float]:
        """Make one map of one film.

        Args:
            choice: method and layer.
            film: float32 (C, S, S), standardised.
            place: of the label among the logits.

        Returns:
            float32 (h, w) over the network's input, and the time that it took in milliseconds.
        """
        subject = self._subject(choice)
        if choice.method.gradients:
            subject.prepare(choice.name, film)
        started = perf_counter()
        heat = subject.explain(choice.name, film, place)
        return heat, (perf_counter() - started) * 1000

    def strides(self, film: Map) -> list[int]:
        """Return the strides of the layers that ``stride-N`` can name, ascending.

        Args:
            film: float32 (C, S, S), any film.
        """
        import torch

        from hilum.learn.explain.layers import strides_of

        return strides_of(self.module, torch.from_numpy(film)[None])

    def _subject(self, choice: Choice) -> Any:
        key = choice.layer if choice.method.gradients else ""
        if key not in self._subjects:
            self._subjects[key] = self._make(key)
        return self._subjects[key]

    def _make(self, layer: str) -> Any:
        if layer:
            from hilum.learn.explain.methods import Subject as TorchSubject

            return TorchSubject(self.module, self.black, layer)
        from hilum.serve.explain.methods import Subject
        from hilum.serve.explain.occlusion import Occlusion

        return Subject(self.run, self.black, self._occlusion or Occlusion())


def all_choices(evidence: bool) -> list[Choice]:
    """Return every method at its default layer; those that need evidence only where there is."""
    needs = ("evidence", "evidence-shifted")
    return [Choice(name) for name in METHODS if evidence or name not in needs]


def default_choices(explainer: Explainer, film: Map) -> list[Choice]:
    """Return every method at the last layer, and those of layers at one finer layer too.

    The finer layer is the last whose cells are half as large.
    """
    choices = all_choices(explainer.reader.bundle.manifest.evidence)
    strides = explainer.strides(film)
    finer = [one for one, next_one in pairwise(strides) if next_one == strides[-1]]
    for name in ("grad-cam", "hirescam", "layer-cam", "brightness") if finer else ():
        choices.append(Choice(name, f"stride-{finer[-1]}"))
    return choices
