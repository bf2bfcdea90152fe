"""Paired tests and intervals against scipy and against enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxbench.errors import EmptyShapeError, InputError, NotFiniteError
from voxbench.metrics.intervals import bootstrap_interval
from voxbench.metrics.scores import MethodScores, Metric
from voxbench.metrics.significance import holm, paired_permutation, pairwise_tests, signed_rank

ALTERNATIVES = ("greater", "less", "two-sided")
alternatives = st.sampled_from(ALTERNATIVES)
tied = arrays(np.float64, st.integers(1, 8), elements=st.integers(-3, 3).map(float))


def enumerated(differences, statistic, alternative):
    """The p-value from all signs, one after another."""
    observed = statistic(differences)
    values = np.array([statistic(np.array(s) * np.abs(differences)) for s in product((1, -1), repeat=len(differences))])
    above, below = (values >= observed - 1e-9).mean(), (values <= observed + 1e-9).mean()
    if alternative == "two-sided":
        return above, below
    return above if alternative == "greater" else below


def rank_sum(differences):
    """Sum of the average ranks of the positive ones."""
    return scipy.stats.rankdata(np.abs(differences))[differences > 0].sum()


@settings(max_examples=60)
@given(tied, alternatives)
def test_the_signed_rank_test_is_the_enumeration_of_all_signs_with_ties_and_zeros(differences, alternative):
    found = signed_rank(differences, alternative)
    kept = differences[differences != 0]
    assert (found.pairs, found.dropped) == (kept.size, differences.size - kept.size)
    assert found.statistic == rank_sum(kept)
    expected = enumerated(kept, rank_sum, alternative)
    if alternative == "two-sided":
        expected = min(1.0, 2 * min(expected))
    assert found.p_value == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("n", [1, 2, 5, 10, 25, 50, 200])
def test_without_ties_it_is_scipy_s_exact_test(n, alternative):
    differences = np.random.default_rng(n).normal(0.2, 1, n)
    expected = scipy.stats.wilcoxon(differences, alternative=alternative, method="exact")
    assert signed_rank(differences, alternative).p_value == pytest.approx(expected.pvalue, rel=1e-12)


def test_five_samples_cannot_give_less_than_one_in_thirty_two():
    assert signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0])).p_value == 1 / 32
    assert signed_rank(-np.ones(5), "less").p_value == 1 / 32


def test_a_tail_of_five_hundred_pairs_keeps_its_digits():
    assert signed_rank(np.arange(1.0, 501.0)).p_value == 2.0**-500


def test_differences_below_a_millionth_of_a_millionth_are_dropped():
    assert signed_rank(np.array([1.0, 9.9e-13, -9.9e-13, 0.0])).dropped == 3
    assert signed_rank(np.array([1e-12])).dropped == 0
    assert signed_rank(np.zeros(3)).p_value == 1.0


def test_infinite_differences_have_the_highest_ranks():
    found = signed_rank(np.array([np.inf, 1.0, -2.0, np.inf]))
    assert found.statistic == 1 + 3.5 + 3.5


def test_what_the_signed_rank_test_cannot_take_is_refused():
    with pytest.raises(NotFiniteError, match="1 of 2 differences are NaN"):
        signed_rank(np.array([1.0, np.nan]))
    with pytest.raises(InputError, match=r"501 pairs(.|\n)*permutation test"):
        signed_rank(np.ones(501))


@settings(max_examples=60)
@given(tied, alternatives, st.sampled_from([1.0, 0.1, 1e-7]))
def test_the_permutation_test_of_few_pairs_is_the_enumeration_of_all_signs(whole, alternative, unit):
    differences = whole * unit
    found = paired_permutation(differences, np.random.default_rng(0), alternative)
    assert (found.exact, found.permutations) == (True, 2 ** len(differences))
    if alternative == "two-sided":
        sums = [abs(np.dot(signs, whole)) for signs in product((1, -1), repeat=len(whole))]
        expected = np.mean(np.array(sums) >= abs(whole.sum()))
    else:
        sums = np.array([np.dot(signs, whole) for signs in product((1, -1), repeat=len(whole))])
        expected = np.mean(sums >= whole.sum() if alternative == "greater" else sums <= whole.sum())
    assert found.p_value == expected


def test_of_many_pairs_signs_are_drawn_and_no_p_value_is_zero():
    differences = np.linspace(1, 2, 40)
    found = paired_permutation(differences, np.random.default_rng(0), permutations=999)
    assert (found.exact, found.permutations, found.p_value) == (False, 999, 1 / 1000)
    assert paired_permutation(differences, np.random.default_rng(0), "less", 999).p_value == 1.0


def test_drawn_signs_come_near_the_exact_p_value():
    differences = np.random.default_rng(4).normal(0.3, 1, 16)
    exact = paired_permutation(differences, np.random.default_rng(0)).p_value
    padded = np.concatenate((differences, [0.0]))  # a zero changes no sum, but makes it 17 pairs
    drawn = paired_permutation(padded, np.random.default_rng(0), permutations=20_000)
    assert not drawn.exact
    assert drawn.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_permutation_test_refuses_what_has_no_mean(value):
    with pytest.raises(NotFiniteError):
        paired_permutation(np.array([1.0, value]), np.random.default_rng(0))


def test_holm_s_correction_by_hand():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.5])), [1.0, 1.0])
    assert holm(np.empty(0)).size == 0


@given(arrays(np.float64, st.integers(1, 7), elements=st.floats(0, 1)))
def test_holm_rejects_what_its_step_down_rejects(p_values):
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(1, p_values * p_values.size)).all()
    order = np.argsort(p_values, kind="stable")
    going = True
    for step, place in enumerate(order):
        going = going and p_values[place] * (p_values.size - step) <= 0.05
        assert (adjusted[place] <= 0.05) == going


def compared(values, better, test="wilcoxon"):
    values = np.asarray(values, np.float64)
    cases = tuple(str(k) for k in range(values.shape[1]))
    return pairwise_tests(MethodScores(Metric("q", better), ("a", "b", "c")[: len(values)], cases, values), test)


@pytest.mark.parametrize("test", ["wilcoxon", "permutation"])
def test_the_row_is_better_than_the_column_whichever_way_the_metric_goes(test):
    values = np.stack([np.full(8, 0.5), np.linspace(0.6, 0.7, 8)])
    found = compared(values, "higher", test)
    assert found.p_values[1, 0] == 1 / 256
    assert found.p_values[0, 1] == 1.0
    assert np.isnan(np.diag(found.p_values)).all()
    assert found.adjusted[1, 0] == 2 / 256
    assert compared(values, "lower", test).p_values[0, 1] == 1 / 256


def test_in_pairs_nan_counts_as_the_worst_value_and_equal_infinities_as_equal():
    found = compared([[1.0, 1.0, np.nan], [2.0, 2.0, 3.0]], "lower")
    assert found.p_values[0, 1] == 0.25  # two wins of equal size; the filled NaN ties
    assert compared([[np.inf, 1.0], [np.inf, 2.0]], "lower").p_values[0, 1] == 0.5


@pytest.mark.parametrize(("method", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_intervals_are_those_of_scipy_from_the_same_draws(n, method, theirs):
    values = np.random.default_rng(n).exponential(2.0, n)
    found = bootstrap_interval(values, np.random.default_rng(7), method, 0.9, 500)
    expected = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=500, confidence_level=0.9, method=theirs, rng=np.random.default_rng(7)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-10)
    assert (found.level, found.method) == (0.9, method)


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        found = bootstrap_interval(rng.exponential(1.0, 40), rng, resamples=300)
        hits += found.low <= 1.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_an_interval_moves_and_stretches_with_the_values():
    values = np.random.default_rng(2).normal(size=12)
    one = bootstrap_interval(values, np.random.default_rng(0))
    two = bootstrap_interval(3 * values + 5, np.random.default_rng(0))
    assert (two.low, two.high) == pytest.approx((3 * one.low + 5, 3 * one.high + 5))


def test_intervals_of_equal_values_of_one_and_of_none():
    rng = np.random.default_rng(0)
    same = bootstrap_interval(np.full(4, 0.1), rng)
    assert (same.low, same.high) == (0.1, 0.1)
    one = bootstrap_interval(np.array([0.1]), rng)
    assert np.isnan([one.low, one.high]).all()
    with pytest.raises(EmptyShapeError):
        bootstrap_interval(np.empty(0), rng)
    with pytest.raises(NotFiniteError, match="1 of 2"):
        bootstrap_interval(np.array([0.1, np.inf]), rng)


def test_where_the_bias_cannot_be_known_the_interval_says_it_is_not_bca():
    found = bootstrap_interval(np.array([0.0, 1.0, 5.0]), np.random.default_rng(0), resamples=1)
    assert found.method == "percentile"
    assert found.low == found.high
