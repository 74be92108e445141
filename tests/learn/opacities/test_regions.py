from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hilum.image.opacities import find_regions
from hilum.learn.opacities.films import Films
from hilum.learn.opacities.measure import limits_of, measure_films, summarize
from hilum.learn.opacities.regions import (
    COST,
    RULES,
    choose_regions,
    rule_films,
)

FALSE = np.s_[:, 24:29, 3:8]


def faint(films: Films) -> np.ndarray:
    """Opacities found with a bright core; faint false ones on every film, clear ones included."""
    random = np.random.default_rng(0)
    scores = 0.02 * random.random(films.truth.shape) + 0.7 * films.truth
    scores[FALSE[0], :, FALSE[1], FALSE[2]] += 0.35
    return scores.clip(0, 1).astype(np.float32)


def test_areas_are_those_of_the_rule_itself(films_of: Callable[..., Films]) -> None:
    films = films_of()
    random = np.random.default_rng(1)
    scores = random.random(films.truth.shape).astype(np.float32) ** 2
    ruled = rule_films(films, scores)
    rows = np.flatnonzero(films.cases["material"] != "boxed")
    assert ruled.found.shape == (len(RULES), len(rows))
    for place in range(0, len(RULES), 37):
        for column, row in enumerate(rows):
            kept = find_regions(scores[row], films.lungs[row].mask, RULES[place])
            assert ruled.found[place, column] == kept.sum()
            assert ruled.common[place, column] == (kept & films.truth[row].any(0)).sum()


def test_the_rule_calls_least_of_clear_films_opaque_at_hardly_any_cost(
    films_of: Callable[..., Films],
) -> None:
    films = films_of(drawn=8, clear=8)
    scores = faint(films)
    ruled = rule_films(films, scores)
    rule = choose_regions(ruled)
    clear = films.cases["material"].to_numpy() == "clear"
    assert not any(find_regions(each, films.lungs[0].mask, rule).any() for each in scores[clear])
    # by hand: no cheaper rule has fewer false pixels
    dice = 2 * ruled.common / np.maximum(ruled.found + ruled.drawn, 1)
    pooled = 2 * ruled.common[:, ruled.is_drawn].sum(1)
    pooled /= (ruled.found + ruled.drawn)[:, ruled.is_drawn].sum(1)
    mean = dice[:, ruled.is_drawn & (ruled.drawn > 0)].mean(1)
    cheap = (pooled >= pooled.max() - COST) & (mean >= mean.max() - COST)
    false = ruled.found[:, ruled.is_clear].sum(1)
    assert cheap[RULES.index(rule)]
    assert false[RULES.index(rule)] == false[cheap].min()
    assert false.max() > 0


def test_a_film_has_no_say_in_its_own_rule(films_of: Callable[..., Films]) -> None:
    films = films_of(drawn=8, clear=8)
    scores = faint(films)
    odd = scores.copy()
    odd[(films.cases["fold"] == 1).to_numpy()] = 1 - odd[(films.cases["fold"] == 1).to_numpy()]
    one, other = rule_films(films, scores), rule_films(films, odd)
    assert limits_of(films, scores, one, 1.0) == limits_of(films, odd, other, 1.0)
    assert limits_of(films, scores, one, 2.0) != limits_of(films, odd, other, 2.0)


def test_only_the_rules_that_are_named_are_tried(films_of: Callable[..., Films]) -> None:
    films = films_of(drawn=8, clear=8)
    scores = faint(films)
    plain = [rule for rule in RULES if rule.core == rule.reach and not rule.least]
    ruled = rule_films(films, scores, plain)
    assert ruled.found.shape[0] == len(plain) < len(RULES)
    assert choose_regions(ruled) in plain
    every = rule_films(films, scores)
    places = [RULES.index(rule) for rule in plain]
    assert np.array_equal(every.found[places], ruled.found)


def test_no_threshold_is_above_the_reach(films_of: Callable[..., Films]) -> None:
    films = films_of()
    scores = faint(films)
    limits, rule = limits_of(films, scores, rule_films(films, scores))
    assert max(limits) <= rule.reach


def test_regions_lower_false_opacity_and_what_is_missed_is_told(
    films_of: Callable[..., Films],
) -> None:
    films = films_of(drawn=8, clear=8)
    scores = faint(films)
    scores[0] = 0.3 * films.truth[0]  # one film whose opacity is as faint as the false ones
    without = summarize(measure_films(films, scores, rules=()), folds=20)
    measured = measure_films(films, scores)
    ruled = summarize(measured, folds=20)
    assert ruled["share on clear films"].value < without["share on clear films"].value
    assert measured["found union"][0] == 0
    missed = (measured["found union"][:8] == 0).mean()
    assert ruled["nothing found"].value == pytest.approx(missed)
    assert without["nothing found"].value <= missed
    assert ruled["auroc"].value == without["auroc"].value
