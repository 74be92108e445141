"""Subject: the model that is audited, whatever it is, behind one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import extract_tb
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hilum.bundle.manifest import LabelOutput
from hilum.bundle.onnx import Graph
from hilum.core.config import check_label, did_you_mean
from hilum.core.errors import BundleError, CohortError, ConfigError, HilumError
from hilum.core.labels import Label
from hilum.core.radiograph import Radiograph
from hilum.core.reading import Status
from hilum.image.limits import one_line
from hilum.image.lungs import Lungs
from hilum.image.open import open_radiograph
from hilum.image.perturb import Mask
from hilum.image.preprocess import Preprocess
from hilum.image.write import write_png
from hilum.serve.film import OpenedFilm
from hilum.serve.findings import sigmoid
from hilum.serve.gate import lies_otherwise
from hilum.serve.reader import Reader

Floats = NDArray[np.float64]
Predict = Callable[[Sequence[Radiograph]], ArrayLike]
"""From films to one score each, in [0, 1], higher = more likely present."""
FindLungs = Callable[[Radiograph], Lungs]
FindOpacities = Callable[[Radiograph, Lungs], Mask | None]
"""From a film and its lungs to what is opaque, bool (H, W); None where that cannot be said."""
Activation = Literal["sigmoid", "softmax", "none"]
_FOREIGN = "name an ONNX file, and by --preprocess the size and the channels of its input"


@dataclass(frozen=True, slots=True)
class Look:
    """What a model made of some films.

    Attributes:
        score: float64 (N,) in [0, 1]; NaN where it refused.
        probability: float64 (N,); None where that is the score.
        embedding: float (N, E), or None.
        evidence: for each film its map (H, W) for the label, NaN where the model did not look;
            or None.
    """

    score: Floats
    probability: Floats | None = None
    embedding: NDArray[np.float32] | None = None
    evidence: list[NDArray[np.float32]] | None = None


class AuditSubject(Protocol):
    """A model under audit."""

    @property
    def name(self) -> str:
        """In words, for the report."""
        ...

    def look(
        self, films: Sequence[Radiograph], lungs: Sequence[Lungs | None], *, detail: bool = False
    ) -> Look:
        """Score films.

        Args:
            films: opened, perhaps changed.
            lungs: of each, where known; a model that needs none ignores them.
            detail: give embedding and evidence as well.
        """
        ...

    def guarded(self, films: Sequence[Radiograph]) -> Floats:
        """Score films as a user would have them scored; NaN where the model refuses."""
        ...


class PredictSubject:
    """Any function from films to scores.

    Args:
        predict: see ``Predict``; NaN for a film that it refuses. What it raises is a ConfigError
            that names the film.
        name: what to call it.
    """

    def __init__(self, predict: Predict, name: str = "predict") -> None:
        self._predict = predict
        self.name = name

    def look(
        self, films: Sequence[Radiograph], lungs: Sequence[Lungs | None], *, detail: bool = False
    ) -> Look:
        """Score films; see ``AuditSubject``."""
        try:
            scores = self._predict(films)
        except HilumError:
            raise
        except Exception as error:
            raise self._failed(films, error) from error
        return Look(checked(scores, len(films), self.name))

    def guarded(self, films: Sequence[Radiograph]) -> Floats:
        """Score films: such a model guards itself."""
        return self.look(films, [None] * len(films)).score

    def _failed(self, films: Sequence[Radiograph], error: Exception) -> ConfigError:
        """Say which film the function failed on, and where in it; several are tried one by one."""
        on = f"{films[0].path} to {films[-1].path}"
        for film in films:
            try:
                self._predict([film])
            except Exception as alone:
                on, error = film.path, alone
                break
        at = extract_tb(error.__traceback__)[-1]
        return ConfigError(
            f"{self.name} failed on {on}: {type(error).__name__}: {one_line(error)} "
            f"({Path(at.filename).name}, line {at.lineno})",
            hint="mend your function; for a film that it refuses it returns NaN",
        )


class OnnxSubject:
    """An ONNX file with one image input.

    Args:
        path: the graph; its input is (N, C, S, S) or (N, S, S, C). An output "embedding" (N, E)
            and an output "evidence" (N, L, h, w) are used if they are there.
        preprocess: from a film to that input.
        output: name of the output with the scores; None for the first.
        index: column of the label in it.
        activation: what turns it into a score in [0, 1].
        find_lungs: for films whose lungs are not given, if the preprocessing needs them.

    Raises:
        BundleError: the graph does not load, or has no such output.
    """

    def __init__(
        self,
        path: Path,
        preprocess: Preprocess,
        *,
        output: str | None = None,
        index: int = 0,
        activation: Activation = "sigmoid",
        find_lungs: FindLungs | None = None,
        threads: int | None = None,
    ) -> None:
        self.name = path.name
        self._graph = Graph(path, threads, hint=_FOREIGN)
        self._preprocess, self._index, self._activation = preprocess, index, activation
        self._find = find_lungs
        shape = next(iter(self._graph.inputs.values()))
        self._last = len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)
        self._output = output or next(iter(self._graph.outputs))
        if self._output not in self._graph.outputs:
            hint = did_you_mean(self._output, self._graph.outputs)
            raise BundleError(f"{path}: no output '{self._output}'", hint=hint)

    def look(
        self, films: Sequence[Radiograph], lungs: Sequence[Lungs | None], *, detail: bool = False
    ) -> Look:
        """Score films; see ``AuditSubject``."""
        lungs = found_lungs(self._preprocess, self._find, films, lungs)
        inputs = np.stack([self._preprocess(*pair) for pair in zip(films, lungs, strict=True)])
        more = [name for name in ("embedding", "evidence") if name in self._graph.outputs]
        names = [self._output, *(more if detail else [])]
        images = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1)) if self._last else inputs
        values = dict(zip(names, self._graph.run(images, names), strict=True))
        evidence = values.get("evidence")
        maps = None
        if evidence is not None:
            column = evidence[:, min(self._index, evidence.shape[1] - 1)]
            maps = [
                self._preprocess.to_film(each, film.shape, lung)
                for each, film, lung in zip(column, films, lungs, strict=True)
            ]
        score = self._score(values[self._output])
        return Look(checked(score, len(films), self.name), None, values.get("embedding"), maps)

    def guarded(self, films: Sequence[Radiograph]) -> Floats:
        """Score films: a bare graph has no gate."""
        return self.look(films, [None] * len(films)).score

    def _score(self, output: NDArray[np.float32]) -> Floats:
        values = output.reshape(len(output), -1).astype(np.float64)
        if self._index >= values.shape[1]:
            raise ConfigError(
                f"{self.name}: output '{self._output}' has {values.shape[1]} columns; "
                f"found --output-index {self._index}",
                hint="the first column is 0",
            )
        if self._activation == "softmax":
            if values.shape[1] == 1:
                raise ConfigError(
                    f"{self.name}: output '{self._output}' has 1 column, of which softmax makes 1 "
                    "for every film",
                    hint="--activation sigmoid, or none where it is a score in [0, 1]",
                )
            values = np.exp(values - values.max(axis=1, keepdims=True))
            return np.asarray((values / values.sum(axis=1, keepdims=True))[:, self._index])
        column = values[:, self._index]
        return sigmoid(column) if self._activation == "sigmoid" else column


class BundleSubject:
    """A bundle of ours.

    Args:
        reader: of ``hilum.load_bundle``.
        label: which of its labels.
        find_lungs: for films whose lungs are not given, if its preprocessing needs them; None
            for the bundle's own lung network.
    """

    def __init__(
        self, reader: Reader, label: Label | str, find_lungs: FindLungs | None = None
    ) -> None:
        check_label(label, reader.labels, reader.bundle.identity)
        self.reader, self.name = reader, reader.bundle.identity
        self._find = find_lungs or reader.segment
        self._index = reader.labels.index(Label(label))

    @property
    def output(self) -> LabelOutput:
        """What the manifest says of the label."""
        return self.reader.bundle.manifest.labels[self._index]

    def look(
        self, films: Sequence[Radiograph], lungs: Sequence[Lungs | None], *, detail: bool = False
    ) -> Look:
        """Score films, without the gate; see ``AuditSubject``."""
        preprocess = self.reader.preprocess
        known = found_lungs(preprocess, self._find, films, lungs)
        inputs = np.stack([preprocess(*pair) for pair in zip(films, known, strict=True)])
        logits, evidence = self.reader.run(inputs)
        score = sigmoid(logits[:, self._index])
        probability = np.asarray(self.output.calibration(score), np.float64)
        if not detail:
            return Look(score, probability)
        maps = None
        if evidence is not None:
            maps = [
                preprocess.to_film(each, film.shape, lung)
                for each, film, lung in zip(evidence[:, self._index], films, known, strict=True)
            ]
        return Look(score, probability, self.reader.embed(inputs), maps)

    def open(self, path: str) -> OpenedFilm:
        """Open a film as the bundle reads it: put right, or refused by its gate."""
        return self.reader.open(path, keep=True)

    def opacities(self, film: Radiograph, lungs: Lungs) -> Mask | None:
        """Return what the bundle's own map marks as opaque; see ``FindOpacities``."""
        found = self.reader.details.opacities(film, lungs)
        return None if found is None else found.on_film(film.shape)

    def guarded(self, films: Sequence[Radiograph]) -> Floats:
        """Read films from files, gate and all; NaN where it refuses."""
        with TemporaryDirectory(prefix="hilum-audit-") as folder:
            paths = [Path(folder, f"{number}.png") for number in range(len(films))]
            for path, film in zip(paths, films, strict=True):
                write_png(path, film.pixels)
            readings = list(self.reader.read_many(paths))
        return np.array(
            [
                one.findings[self._index].score if one.status is Status.READ else np.nan
                for one in readings
            ]
        )


def found_lungs(
    preprocess: Preprocess,
    find: Callable[[Radiograph], Lungs | None] | None,
    films: Sequence[Radiograph],
    lungs: Sequence[Lungs | None],
) -> list[Lungs | None]:
    """Return the lungs of each film: those given, else found if the preprocessing needs them."""
    if not preprocess.needs_lungs or find is None:
        return list(lungs)
    pairs = zip(films, lungs, strict=True)
    return [find(film) if given is None else given for film, given in pairs]


def checked(scores: ArrayLike, films: int, name: str) -> Floats:
    """Return scores (N,) as float64.

    Raises:
        ConfigError: no numbers, another number of scores than films, or a score outside [0, 1].
    """
    try:
        found = np.asarray(scores, np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {error}; expected one number for each film") from None
    if found.size != films:
        raise ConfigError(f"{name}: {found.size} scores for {films} films; expected one each")
    outside = np.isfinite(found) & ((found < -1e-6) | (found > 1 + 1e-6)) | np.isinf(found)
    if outside.any():
        raise ConfigError(
            f"{name}: a score of {found[outside][0]:.4g}; expected a number in [0, 1]",
            hint="apply a sigmoid, or scale: --activation sigmoid for an ONNX file",
        )
    return np.clip(found, 0, 1)


def lungs_of_table(cases: pd.DataFrame) -> FindLungs:
    """Return a function from a film to the lungs that ``lung_mask`` of its row names.

    A film without a mask has empty lungs, and so has one that the gate of a bundle turned; the
    tests of the lungs skip it.

    Raises:
        CohortError: no row names a mask.
    """
    named = cases[["path", "lung_mask"]].astype(str)
    masks = {path: mask for path, mask in named.itertuples(index=False) if mask}
    if not masks:
        raise CohortError(
            "no row of the cases table names a lung_mask", hint="use --lungs network instead"
        )

    def find(film: Radiograph) -> Lungs:
        mask = masks.get(film.path)
        if mask is None or lies_otherwise(film):
            return Lungs.drawn(np.zeros((8, 8), bool))
        return Lungs.drawn(open_radiograph(mask).pixels > 0.5)

    return find
