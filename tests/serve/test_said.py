from __future__ import annotations

import re
from collections import Counter
from itertools import chain
from string import Formatter

import pytest

from hilum.bundle.facts import Facts, audit_line, honest_line
from hilum.bundle.folder import DEFAULT_BUNDLE
from hilum.core.details import Affected, Details, Severity, Similar
from hilum.core.reading import Answer, Finding, Reading, answer_in
from hilum.core.refusal import Reason, Refusal
from hilum.core.words import words
from hilum.serve.said import compared, dictated, lines_of, said_of


def _finding(probability, prevalence=0.4):
    return Finding(
        label="covid-19",
        logit=0,
        score=0.5,
        probability=probability,
        calibration="platt",
        present=True,
        operating_point="balanced",
        threshold=0.5,
        prevalence=prevalence,
    )


def _reading(*findings, **changes):
    known = {"path": "film.png", "status": "read", "bundle": "b", "elapsed_ms": 1.0}
    return Reading(**known | changes, findings=findings)


def _told(finding):
    return said_of(_reading(finding)).findings[0]


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (0.0, "exceptionally unlikely"),
        (0.05, "very unlikely"),
        (0.2, "unlikely"),
        (0.5, "about as likely as not"),
        (0.7, "likely"),
        (0.95, "very likely"),
        (1.0, "virtually certain"),
    ],
)
def test_a_probability_in_words(probability, expected):
    assert _told(_finding(probability)).likelihood == expected


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (0.9955, "99.6"), (0.0042, "0.4"), (0.5042, "50"), (0.01, "1"), (0.0005, "< 0.1"),
        (0.0006, "0.1"), (0.0, "< 0.1"), (0.9994, "99.9"), (0.9996, "> 99.9"), (1.0, "> 99.9"),
    ],
)  # fmt: skip
def test_a_probability_close_to_none_or_all_has_one_digit_more(probability, expected):
    shown = _finding(probability)
    told = _told(shown)
    assert told.chance == f"probability {expected} %"
    if shown.answer is not Answer.CANNOT_SAY:
        assert f"{expected} in 100" in told.line
    russian = said_of(_reading(shown), "ru").findings[0]
    assert russian.chance == f"вероятность {expected.replace('.', ',')} %"


def test_what_is_not_calibrated_is_not_put_into_words():
    told = _told(_finding(0.99, None))
    assert told.likelihood == "not calibrated: a rank, no frequency"
    assert told.holds_for == "equals the score"
    assert told.chance == "score 0.500, not a probability"
    assert "%" not in told.sentence
    assert _told(_finding(0.99)).holds_for == "where 40.0 % have it (platt)"


@pytest.mark.parametrize(("distance", "warned"), [(0.0, True), (0.009, True), (0.0167, False)])
def test_a_film_of_the_training_is_named_as_one(distance, warned):
    similar = Similar(case_id="a", cohort="b", distance=distance, labels={})
    told = said_of(_reading(details=Details(similar=(similar,))))
    assert ("trained on this film" in told.trained) is warned
    reading = _reading(_finding(0.7), details=Details(similar=(similar,)))
    assert ("trained on this film" in " ".join(dictated(reading)[1])) is warned
    assert ("обучена на этом снимке" in " ".join(dictated(reading, "ru")[1])) is warned
    assert told.similar[0].name == "b: a"
    assert told.similar[0].words.endswith("; no label known")


def test_a_bundle_says_what_it_was_measured_to_be():
    facts = Facts.read(DEFAULT_BUNDLE)
    audits = {audit.label: audit.verdict for audit in facts.audits}
    line = audit_line(facts)
    assert ("covid-19 failed" in line) == (audits.get("covid-19") == "fail")
    auroc = facts.evaluation.labels[0].metrics["auroc"]
    assert f"{auroc.value:.2f} [{auroc.low:.2f}, {auroc.high:.2f}]" in honest_line(facts)
    assert "on sources left out of training" in honest_line(facts)


def test_a_bundle_that_was_not_measured_says_so(small_bundle):
    facts = Facts.read(small_bundle)
    assert honest_line(facts) == "How far to trust it: not measured."
    assert audit_line(facts) == "Shortcut audit: not audited."


def _said(prediction_set, present, probability, prevalence=0.4):
    changes = {
        "prediction_set": prediction_set, "present": present, "probability": probability,
        "prevalence": prevalence, "coverage": 0.9 if prediction_set else None,
    }  # fmt: skip
    return Finding.model_validate(_finding(0.5).model_dump(exclude={"answer"}) | changes)


SETS = ("present", "absent", "indeterminate", "none", None)


@pytest.mark.parametrize("prevalence", [0.4, None])
@pytest.mark.parametrize("prediction_set", SETS)
@pytest.mark.parametrize("present", [True, False])
def test_the_headline_contradicts_nothing_that_stands_beneath_it(
    prediction_set, present, prevalence
):
    """Every pair of statements on one card, over all probabilities."""
    for thousandth in range(1001):
        finding = _said(prediction_set, present, thousandth / 1000, prevalence)
        told = _told(finding)
        said, likely = told.answer, told.likelihood
        other = {"present": "absent", "absent": "present"}.get(said)
        if other is None:
            assert said == "cannot say"
            assert told.why
            continue
        assert not told.why
        assert prediction_set in (said, None)
        assert present is (said == "present")
        if prevalence is not None:
            words = ("likely", "very likely", "virtually certain")
            assert (likely in words) is (said == "present"), likely
            assert likely != "about as likely as not"


@pytest.mark.parametrize(
    ("finding", "why"),
    [
        (("indeterminate", True, 0.9), "indeterminate"),
        (("none", True, 0.9), "none"),
        (("present", True, 0.5), "even"),
        (("present", True, 0.05), "differ"),
        (("present", False, 0.95), "differ"),
        ((None, True, 0.05), "differ"),
    ],
)
def test_why_there_is_no_answer(finding, why):
    told = _told(_said(*finding))
    assert told.why == words()[f"doubt.{why}"]
    assert told.answered == f"cannot say: {told.why}"


def test_a_finding_in_json_has_the_answer_that_it_would_have_today():
    finding = _said("present", True, 0.95)
    old = finding.model_dump(mode="json", exclude={"answer"})
    assert answer_in(old) is answer_in(finding.model_dump(mode="json")) is Answer.PRESENT
    first = {key: old[key] for key in ("present", "probability")}  # of schema 1.0
    assert answer_in(first) is Answer.PRESENT


def test_both_languages_have_every_phrase_with_the_same_holes():
    assert words("en").keys() == words("ru").keys()
    for key in words("en"):
        first, second = (
            {name for _, name, _, _ in Formatter().parse(words(each)[key])} for each in ("en", "ru")
        )
        assert first == second, key


def test_a_refusal_is_told_in_the_language_of_the_report():
    refusal = Refusal(
        code="one-lung", measured="lungs", value=1, limit=2, hint=Reason("one-lung").hint
    )
    reading = _reading(
        status="refused", reason=refusal.sentence, hint=refusal.hint, refusal=refusal
    )
    told = said_of(reading)
    assert told.refusal == "Not read: one lung: lungs 1, limit 2"
    assert said_of(reading, "ru").refusal == "Модель не читала этот снимок: одно лёгкое"
    assert (told.findings, told.opaque, told.overlay) == ((), "", [])


def test_what_to_look_at_before_a_film_is_given_up_is_said_in_both_languages():
    for reason in Reason:
        refusal = Refusal(code=reason, measured="", hint=reason.hint)
        reading = _reading(status="refused", reason="so", hint=reason.hint, refusal=refusal)
        english, russian = (said_of(reading, each).hint for each in ("en", "ru"))
        assert ("'hilum show'" in english) is ("'hilum show'" in russian), reason


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_reading_at_a_glance_says_what_the_headline_says(language):
    """The one line is the answer with its likelihood, or that there is none and why."""
    text = words(language)
    for prediction_set in SETS:
        for thousandth in range(0, 1001, 7):
            finding = _said(prediction_set, thousandth > 500, thousandth / 1000, 0.4)
            told = said_of(_reading(finding), language).findings[0]
            if finding.answer is Answer.CANNOT_SAY:
                assert told.line == text["line.cannot-say"].format(why=told.why)
            else:
                assert told.line.startswith(told.likelihood)
                assert "40" in told.line
    bare = _said(None, True, 0.9, None)
    assert said_of(_reading(bare)).findings[0].line.startswith("present by its score")


def _opaque(**shares):
    """A reading by what is opaque of each lung, zone by zone: ``right="0 10 30"``, in percent."""
    affected = [Affected(side=None, zone=None, share=0.12, kinds={})]
    for side, percents in shares.items():
        parts = [int(each) / 100 for each in percents.split()]
        kinds = {"ground-glass": sum(parts) / 3}
        affected.append(Affected(side=side, zone=None, share=sum(parts) / 3, kinds=kinds))
        for zone, part in zip(("upper", "middle", "lower"), parts, strict=True):
            affected.append(Affected(side=side, zone=zone, share=part, kinds={}))
    return _reading(_finding(0.7), details=Details(affected=tuple(affected)))


def test_opacities_are_dictated_by_side_and_zone():
    found, impression = dictated(_opaque(right="0 6 30", left="0 0 0"))
    assert found == [
        "Right lung: ground-glass opacity in the middle and lower zones, 12 % of this lung.",
        "Left lung: no definite opacity.",
        "In all, 12 % of both lungs.",
        "Heart, mediastinum, pleura and bones: not assessed by the software.",
    ]
    assert impression == [
        "COVID-19: likely, 70 in 100 where 40 in 100 have it.",
        "Only a test tells whether the patient is infected.",
    ]
    everywhere = dictated(_opaque(right="10 6 30", left="9 0 9"), "ru")[0]
    assert everywhere[0].startswith("Правое лёгкое: затемнение по типу матового стекла во всех")
    assert "в верхнем и нижнем отделах, 6 % площади" in everywhere[1]


@pytest.mark.parametrize(
    ("zones", "where"),
    [
        ("1 62 27", "in the middle and lower zones"),
        ("7 83 99", "in the middle and lower zones"),
        ("62 3 5", "in the upper zone"),
        ("2 2 2", "in all zones"),
        ("32 86 67", "in all zones"),
    ],
)
def test_a_zone_that_holds_next_to_nothing_of_the_opacity_is_not_named(zones, where):
    assert f"ground-glass opacity {where}, " in dictated(_opaque(right=zones))[0][0]


def test_numbers_of_the_russian_words_have_one_decimal_sign():
    """A number with a point, as the English words have it, stands with a comma there."""
    severity = Severity(scale="brixia", value=3.4, low=1.25, high=6.6, maximum=18.5, coverage=0.9)
    similar = Similar(case_id="a", cohort="b", distance=0.123, labels={"covid-19": True})
    lungs = _opaque(right="0 6 30", left="9 0 9").details
    details = lungs.model_copy(update={"severity": (severity,), "similar": (similar,)})
    for probability, prevalence in ((0.994, 0.055), (0.004, 0.4), (0.7, 0.123), (0.7, None)):
        finding = _said(None, True, probability, prevalence)
        reading = _reading(finding, details=details)
        said = {}
        for language in ("en", "ru"):
            wording = said_of(reading, language)
            told = [*wording.findings[0], *lines_of(reading, language).values()]
            told += [*wording.severity[0][:4], wording.similar[0].words, wording.opaque]
            told += chain.from_iterable(dictated(reading, language))
            text = " ".join(map(str, told))
            said[language] = Counter(re.findall(r"\d+[.,]\d+", text))
        assert said["en"]
        assert said["ru"] == Counter({n.replace(".", ","): k for n, k in said["en"].items()})


def test_a_lung_that_was_not_found_is_not_called_clear():
    clear = dictated(_opaque(right="0 0 0"))[0]
    assert clear[:-1] == [
        "Right lung: no definite opacity.",
        "Left lung: not found on this film, so not assessed.",
        "Severity (research scores): unknown, because one lung was not found.",
    ]
    found = dictated(_opaque(left="0 6 9"), "ru")[0]
    assert found[0] == "Правое лёгкое на снимке не найдено, поэтому не оценивалось."
    assert found[1].endswith("5 % площади этого лёгкого.")
    assert not re.search("both|either|обоих", " ".join(clear + found))
    assert dictated(_opaque(right="0 0 0", left="0 0 0"))[0][0] == (
        "No definite opacity in either lung."
    )
    told = said_of(_opaque(left="0 6 9"))
    assert told.opaque == "Opaque: right lung not found, left lung 5 %"
    assert [each.name for each in told.regions] == ["right lung", "left lung"]


@pytest.mark.parametrize(
    ("language", "unknown"),
    [
        ("en", "Severity (research scores): unknown, because one lung was not found."),
        ("ru", "Тяжесть (исследовательские шкалы): неизвестна, так как одно лёгкое не найдено."),
    ],
)
def test_a_severity_of_both_lungs_is_not_dictated_of_one(language, unknown):
    def said(**shares):
        reading = _opaque(**shares)
        score = Severity(scale="brixia", value=3.4, low=1, high=6, maximum=18, coverage=0.9)
        details = reading.details.model_copy(update={"severity": (score,)})
        return dictated(reading.model_copy(update={"details": details}), language)[0]

    both = said(right="0 6 9", left="0 6 9")
    assert unknown not in both
    assert any("Brixia" in line for line in both)
    one = said(right="0 6 9")
    assert unknown in one
    assert not any("Brixia" in line for line in one)


def _measured(whole, **sides):
    """A reading by how much of the lungs is opaque, in percent; both lungs alike unless named."""
    shares = {None: whole} | (sides or {"right": whole, "left": whole})
    affected = [
        Affected(side=side, zone=None, share=round(each / 100, 4), kinds={})
        for side, each in shares.items()
    ]
    return _reading(details=Details(affected=tuple(affected)))


@pytest.mark.parametrize(
    ("then", "now", "said", "told"),
    [
        (0, 0, "both lungs without definite opacity, then and now", "не было и нет"),
        (0.4, 0.6, "both lungs without definite opacity, then and now", "не было и нет"),
        (12.5, 12.6, "no clear change in opacities, 12 % of both lungs then and 13 % now", "тогда"),
        (10, 14.99, "no clear change in opacities, 10 % of both lungs then and 15 % now", "тогда"),
        (10, 15, "opacities have increased, from 10 % to 15 % of both lungs", "увеличились"),
        (30, 12, "opacities have decreased, from 30 % to 12 % of both lungs", "уменьшились"),
    ],
)
def test_a_film_is_compared_with_what_was_measured_on_both(then, now, said, told):
    films = _measured(then), _measured(now)
    date = "2020-01-01"
    assert compared(*films, date, "en") == f"Chest radiograph of {date}: {said}."
    assert told in compared(*films, date, "ru")


@pytest.mark.parametrize(
    ("right", "left", "said", "told"),
    [
        ((30, 0), (0, 30),
         "Right lung: opacities decreased, from 30 % to 0 %."
         " Left lung: new opacity, not seen then, 30 % now.",
         "Левое лёгкое: новое затемнение, тогда не определялось, сейчас 30 %."),
        ((40, 10), (12, 35),
         "Right lung: opacities decreased, from 40 % to 10 %."
         " Left lung: opacities increased, from 12 % to 35 %.", "увеличились"),
        ((4, 15), (3, 4),
         "Right lung: opacities increased, from 4 % to 15 %."
         " Left lung: no clear change, 3 % then and 4 % now.", "до 15 %"),
        ((4, 14), (0, 0),  # exactly the margin, 5 points of both
         "Right lung: opacities increased, from 4 % to 14 %."
         " Left lung: no definite opacity, then and now.", "явных затемнений не было и нет"),
        ((4, 10), (0, 0),  # less than the margin of a lung, but no pooled 2 % and 5 % hide it
         "Right lung: no clear change, 4 % then and 10 % now."
         " Left lung: no definite opacity, then and now.", "тогда 4 %, сейчас 10 %"),
        ((0.4, 6), (3, 3),
         "Right lung: new opacity, not seen then, 6 % now."
         " Left lung: no clear change, 3 % then and 3 % now.", "новое затемнение"),
    ],
)  # fmt: skip
def test_what_one_lung_did_is_not_lost_in_both(right, left, said, told):
    then, now = (
        _measured(sum(each) / 2, right=each[0], left=each[1])
        for each in zip(right, left, strict=True)
    )
    assert compared(then, now, "2020-01-01", "en") == f"Chest radiograph of 2020-01-01. {said}"
    assert told in compared(then, now, "2020-01-01", "ru")


def test_a_film_is_compared_by_the_lungs_that_were_found_on_both():
    one, two = _measured(5, right=5), _measured(30, right=20, left=40)
    assert compared(one, two, "2020-01-01", "en") == (
        "Chest radiograph of 2020-01-01. Right lung: opacities increased, from 5 % to 20 %."
        " Only this lung was found on both films."
    )
    clear, faint = _measured(0, left=0), _measured(0.9, right=1.6, left=0.2)
    assert "Левое лёгкое: явных затемнений не было и нет." in compared(
        clear, faint, "2020-01-01", "ru"
    )
    assert "Right lung: new opacity" in compared(_measured(0), faint, "2020-01-01", "en")
    for then, now in ((None, one), (one, clear), (_reading(), two)):
        assert compared(then, now, "2020-01-01", "en") == "Chest radiograph of 2020-01-01."
