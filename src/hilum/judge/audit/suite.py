"""Suite: every test of the audit by name, and the overall verdict.

A test fails when its measured value lies beyond its limit; the interval says how surely. Where the
value is the worst of many parts (sources, subgroups) the whole interval has to lie beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from hilum.core.config import did_you_mean
from hilum.core.errors import ConfigError
from hilum.judge.audit import parts, pixels, shortcuts
from hilum.judge.audit.embedding import embedding_source
from hilum.judge.audit.material import Material
from hilum.judge.audit.schema import AuditAnswer, AuditOutcome, AuditVerdict, Overall, not_run


@dataclass(frozen=True, slots=True)
class AuditTest:
    """One test.

    Attributes:
        title, question: for people.
        judge: from what was measured to a verdict.
        variants: the perturbations whose scores it compares.
    """

    title: str
    question: str
    judge: Callable[[Material], AuditAnswer]
    variants: tuple[str, ...] = ()


def _stable(name: str, limit: str) -> Callable[[Material], AuditAnswer]:
    return lambda material: pixels.stability(material, name, getattr(material.limits, limit))


TESTS: dict[str, AuditTest] = {
    "informative": AuditTest(
        "Informative at all",
        "Between films that share a source, does it score the positive one higher?",
        shortcuts.informative,
    ),
    "source": AuditTest(
        "Source against class",
        "How much of the pooled AUROC is gone when only films of one source are compared?",
        shortcuts.source,
    ),
    "nuisance": AuditTest(
        "Nuisance baseline",
        "Does it beat twelve numbers (size, brightness, border, corners) that see no lung?",
        shortcuts.nuisance,
    ),
    "embedding": AuditTest(
        "Source in the embedding",
        "Can the source of films of one class be read from what the network makes of them?",
        embedding_source,
    ),
    "loso": AuditTest(
        "Leave one source out",
        "How much of the pooled AUROC is gone on sources that training never saw?",
        shortcuts.leave_one_source_out,
    ),
    "lungs-removed": AuditTest(
        "Lungs blacked out",
        "With the lungs black, how much of what it knows is left?",
        pixels.lungs_removed,
        ("lungs-removed",),
    ),
    "lungs-only": AuditTest(
        "Lungs only",
        "With all but the lungs black, how much of what it knows is left?",
        pixels.lungs_only,
        ("lungs-only",),
    ),
    "opacity-hidden": AuditTest(
        "Opacity hidden",
        "With the opacities painted over with clear lung, does the score fall? And does it stay "
        "when as much clear lung is painted over instead?",
        pixels.opacity_hidden,
        ("opacity-hidden", "lung-hidden"),
    ),
    "border": AuditTest(
        "Border occluded",
        "With the outer frame covered, do calls change?",
        partial(pixels.occlusion, name="border"),
        ("border",),
    ),
    "corners": AuditTest(
        "Corners occluded",
        "With the four corners covered, do calls change?",
        partial(pixels.occlusion, name="corners"),
        ("corners",),
    ),
    "marker": AuditTest(
        "Marker pasted",
        "Does a letter or an ECG lead move the score, or change a call?",
        pixels.markers,
        pixels.MARKERS,
    ),
    "polarity": AuditTest(
        "Polarity inverted",
        "Is an inverted film refused, or read alike?",
        _stable("inverted", "polarity_flips"),
        ("inverted",),
    ),
    "crop": AuditTest(
        "Cropped", "Do calls change when the edges are cut off?",
        _stable("cropped", "stability_flips"), ("cropped",),
    ),
    "jpeg": AuditTest(
        "JPEG", "Do calls change after strong compression?",
        _stable("jpeg", "stability_flips"), ("jpeg",),
    ),
    "resize": AuditTest(
        "Made smaller", "Do calls change when the film has fewer pixels?",
        _stable("resized", "stability_flips"), ("resized",),
    ),
    "sources": AuditTest(
        "Each source at the operating point",
        "Are there sources with too many false alarms, or too many misses?",
        parts.sources,
    ),
    "ward": AuditTest(
        "Ward films of a source left out",
        "At hospitals that it did not learn from, how many portable (AP) films of adults without "
        "the disease does it call positive?",
        parts.ward,
    ),
    "tuberculosis": AuditTest(
        "Tuberculosis of a source left out",
        "At hospitals that it did not learn from, how many films with tuberculosis does it call "
        "positive?",
        parts.tuberculosis,
    ),
    "subgroups": AuditTest(
        "View, sex and age",
        "Does a view, a sex or an age band fare worse than the others?",
        parts.subgroups,
    ),
    "calibration": AuditTest(
        "Calibration",
        "Does a stated probability mean what it says, over all and in each source?",
        parts.calibration,
    ),
    "evidence": AuditTest(
        "Evidence in the lungs",
        "Does the evidence for a call lie in the lungs more than their area says?",
        pixels.evidence,
    ),
}  # fmt: skip
"""Name, as ``--only`` takes it -> test, in the order of the report."""

DECISIVE = ("informative", "lungs-removed")
"""An audit without these is incomplete, whatever else it holds."""

NEEDS = {"lungs-removed": "lungs", "lungs-only": "lungs", "opacity-hidden": "opacities"}
"""Test -> what a film must have to be changed for it."""


def choose_tests(only: Sequence[str]) -> tuple[str, ...]:
    """Return the tests named, in their order; all if none is named.

    Raises:
        ConfigError: there is no test of a name.
    """
    for name in only:
        if name not in TESTS:
            raise ConfigError(f"no test '{name}'", hint=did_you_mean(name, TESTS))
    return tuple(name for name in TESTS if not only or name in only)


def variants_of(tests: Collection[str]) -> tuple[str, ...]:
    """Name the perturbations that these tests compare."""
    return tuple(dict.fromkeys(variant for test in tests for variant in TESTS[test].variants))


def judge(material: Material, tests: Sequence[str]) -> tuple[AuditOutcome, ...]:
    """Run the tests on what was measured."""
    return tuple(_outcome(name, material) for name in tests)


def overall(outcomes: Sequence[AuditOutcome]) -> tuple[Overall, tuple[str, ...]]:
    """Return the verdict of all tests together, and what it rests on in sentences."""
    informative = next((each for each in outcomes if each.name == "informative"), None)
    failed = [outcome for outcome in outcomes if outcome.verdict is AuditVerdict.FAIL]
    idle = [outcome for outcome in outcomes if outcome.verdict is AuditVerdict.NOT_RUN]
    said = [f"{len(outcomes) - len(failed) - len(idle)} tests passed, {len(failed)} failed, "
            f"{len(idle)} were not run."]  # fmt: skip
    if failed:
        said.append(f"Failed: {', '.join(outcome.title.lower() for outcome in failed)}.")
    if informative and informative.verdict is AuditVerdict.FAIL:
        said.append(
            f"{informative.said} The other tests ask how a model knows, and say little of one "
            "that knows nothing."
        )
        return Overall.UNINFORMATIVE, tuple(said)
    if failed:
        return Overall.FAIL, tuple(said)
    passed = {outcome.name for outcome in outcomes if outcome.verdict is AuditVerdict.PASS}
    open_ = [TESTS[name].title.lower() for name in DECISIVE if name not in passed]
    if open_:
        said.append(f"Incomplete: not decided were {' and '.join(open_)}.")
        return Overall.INCOMPLETE, tuple(said)
    return Overall.PASS, tuple(said)


def _outcome(name: str, material: Material) -> AuditOutcome:
    test = TESTS[name]
    lacking = [variant for variant in test.variants if variant not in material.variants]
    if lacking:
        why = material.absent.get(NEEDS.get(name, ""), f"no scores of films with {lacking[0]}")
        found = not_run(material.absent.get("pixels", why))
    else:
        found = test.judge(material)
    return AuditOutcome(name=name, title=test.title, question=test.question, **found._asdict())
