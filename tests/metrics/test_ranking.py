"""Ranks by every scheme, and how they hold when cases are drawn again."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from voxbench.errors import InputError, NotFiniteError
from voxbench.metrics.ranking import case_ranks, rank_methods
from voxbench.metrics.scores import MethodScores, Metric
from voxbench.metrics.stability import kendall_taus, rank_stability

NAN, INF = np.nan, np.inf
DICE, ASSD = Metric("dice", "higher"), Metric("assd", "lower", "mm")


def table(metric, values, cases=None):
    values = np.asarray(values, np.float64)
    methods = tuple(f"m{k}" for k in range(values.shape[0]))
    return MethodScores(metric, methods, cases or tuple(f"c{k}" for k in range(values.shape[1])), values)


few_values = st.sampled_from([0.0, 0.25, 1.0, INF, NAN])
tables = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=few_values)


@given(tables, st.sampled_from(["average", "best"]))
def test_case_ranks_are_those_of_scipy_with_nan_behind_every_number(losses, ties):
    codes = np.select([np.isnan(losses), np.isinf(losses)], [1e9, 1e8], losses)
    expected = scipy.stats.rankdata(codes, "average" if ties == "average" else "min", axis=0)
    np.testing.assert_array_equal(case_ranks(losses, ties), expected)


@given(tables)
def test_average_ranks_of_a_case_sum_to_those_of_an_order_without_ties(losses):
    m = len(losses)
    np.testing.assert_array_equal(case_ranks(losses).sum(0), m * (m + 1) / 2)


def test_the_schemes_differ_where_they_should():
    # m0 wins narrowly twice and loses widely once
    scores = [table(DICE, [[0.9, 0.9, 0.0], [0.8, 0.8, 0.8], [0.7, 0.7, 0.7]])]
    assert rank_methods(scores, "casewise").order == ("m0", "m1", "m2")
    assert rank_methods(scores, "mean-relative").order == ("m1", "m2", "m0")
    np.testing.assert_array_equal(rank_methods(scores, "mean-relative").scores, [3, 1, 2])
    np.testing.assert_allclose(rank_methods(scores, "casewise").scores, [5 / 3, 5 / 3, 8 / 3])


def lnq_by_the_book(dice, assd):
    """The scheme in plain loops: NaN by the worst, 1 + strictly better, mean of two ranks, mean over cases."""
    worst = np.nanmax(assd)
    assd = np.where(np.isnan(assd), worst, assd)
    means = []
    for team in range(len(dice)):
        of_cases = []
        for case in range(dice.shape[1]):
            by_dice = 1 + sum(dice[other, case] > dice[team, case] for other in range(len(dice)))
            by_assd = 1 + sum(assd[other, case] < assd[team, case] for other in range(len(dice)))
            of_cases.append((by_dice + by_assd) / 2)
        means.append(np.mean(of_cases))
    return means


@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 8))
def test_the_lnq_scheme_is_that_of_plain_loops(seed, teams, cases):
    rng = np.random.default_rng(seed)
    dice = rng.integers(0, 4, (teams, cases)) / 3
    assd = rng.integers(1, 5, (teams, cases)).astype(float)
    assd[rng.random((teams, cases)) < 0.2] = NAN
    assd[0, 0] = 7.0
    ranking = rank_methods([table(DICE, dice), table(ASSD, assd)], "lnq2023")
    np.testing.assert_allclose(ranking.scores, lnq_by_the_book(dice, assd), rtol=1e-14)


def test_nan_is_filled_by_the_worst_of_all_methods_and_cases():
    np.testing.assert_array_equal(table(ASSD, [[NAN, 2.0], [9.0, 1.0]]).filled.values, [[9.0, 2.0], [9.0, 1.0]])
    np.testing.assert_array_equal(table(DICE, [[NAN, 0.5], [0.25, 1.0]]).filled.values, [[0.25, 0.5], [0.25, 1.0]])
    with pytest.raises(NotFiniteError, match="assd: undefined"):
        _ = table(ASSD, [[NAN], [NAN]]).filled


def test_in_the_lnq_scheme_a_filled_value_ties_with_the_worst_and_casewise_it_does_not():
    scores = [table(ASSD, [[NAN, 2.0], [9.0, 1.0], [5.0, 3.0]])]
    np.testing.assert_array_equal(rank_methods(scores, "lnq2023").scores, [2.0, 1.5, 2.0])
    np.testing.assert_array_equal(rank_methods(scores, "casewise").scores, [2.5, 1.5, 2.0])


def test_a_mean_that_is_nan_is_ranked_last_and_infinities_are_numbers():
    scores = [table(ASSD, [[NAN, 0.0], [INF, 1.0], [5.0, 3.0]])]
    np.testing.assert_array_equal(rank_methods(scores, "mean-relative").ranks, [3, 2, 1])
    both_signs = [table(ASSD, [[INF, -INF], [5.0, 3.0]])]
    np.testing.assert_array_equal(rank_methods(both_signs, "mean-relative").ranks, [2, 1])


def test_methods_of_one_score_share_the_best_rank():
    ranking = rank_methods([table(DICE, [[0.5, 1.0], [1.0, 0.5], [0.0, 0.0]])])
    np.testing.assert_array_equal(ranking.ranks, [1, 1, 3])
    assert ranking.order == ("m0", "m1", "m2")


@given(tables, st.sampled_from(["casewise", "lnq2023", "mean-relative"]), st.randoms())
def test_names_and_order_of_methods_and_cases_do_not_matter(values, scheme, random):
    values = np.where(np.isnan(values).all(), 0.0, values)
    m, n = values.shape
    ranks = rank_methods([table(DICE, values)], scheme).ranks
    rows, columns = random.sample(range(m), m), random.sample(range(n), n)
    again = rank_methods([table(DICE, values[rows][:, columns])], scheme).ranks
    np.testing.assert_array_equal(again, ranks[rows])


@given(tables, st.sampled_from(["casewise", "lnq2023"]))
def test_casewise_ranks_see_the_order_of_values_only(values, scheme):
    values = np.where(np.isnan(values).all(), 0.0, values)
    before, after = (rank_methods([table(ASSD, v)], scheme) for v in (values, np.exp2(values) * 3))
    np.testing.assert_array_equal(before.scores, after.scores)


def test_each_metric_weighs_the_same_however_many_cases_it_has():
    many = table(DICE, [[0.9] * 10, [0.8] * 10])
    one = table(ASSD, [[2.0], [1.0]], ("another",))
    np.testing.assert_array_equal(rank_methods([many, one]).scores, [1.5, 1.5])
    np.testing.assert_array_equal(rank_methods([many, one]).parts, [[1, 2], [2, 1]])


def test_tables_of_different_methods_are_refused():
    with pytest.raises(InputError, match="different methods"):
        rank_methods([table(DICE, [[1.0]]), table(ASSD, [[1.0], [2.0]])])
    with pytest.raises(InputError, match="no metric"):
        rank_methods([])


@pytest.mark.parametrize(
    ("methods", "cases", "says"),
    [
        (("a",), ("x", "y"), "1 methods are named, the values have 2"),
        (("a", "a"), ("x", "y"), "methods named twice: a"),
        (("a", "b"), ("x", "x"), "cases named twice: x"),
    ],
)
def test_a_table_that_is_none_is_refused(methods, cases, says):
    with pytest.raises(InputError, match=says):
        MethodScores(DICE, methods, cases, np.zeros((2, 2)))


# --- stability


def brute_force_shares(values, scheme):
    """Every draw of the cases, each as likely."""
    m, n = values.shape
    shares = np.zeros((m, m))
    draws = np.stack(np.meshgrid(*[range(n)] * n), -1).reshape(-1, n)
    for draw in draws:
        names = tuple(f"c{k}" for k in range(n))
        for method, rank in enumerate(rank_methods([table(DICE, values[:, draw], names)], scheme).ranks):
            shares[method, rank - 1] += 1 / len(draws)
    return shares


@pytest.mark.parametrize("scheme", ["casewise", "lnq2023", "mean-relative"])
def test_shares_of_ranks_approach_those_of_all_possible_draws(scheme):
    values = np.array([[0.9, 0.4, 0.8, 0.1], [0.5, 0.6, 0.7, 0.3], [0.2, 0.5, 0.9, 0.2]])
    found = rank_stability([table(DICE, values)], np.random.default_rng(0), scheme, 3000)
    np.testing.assert_allclose(found.shares, brute_force_shares(values, scheme), atol=0.04)  # 4 standard errors
    np.testing.assert_allclose(found.shares.sum(1), 1.0)


def test_a_method_that_is_best_in_every_case_is_always_first():
    values = np.random.default_rng(1).random((3, 12)) + np.array([[2.0], [0.0], [0.0]])
    found = rank_stability([table(DICE, values)], np.random.default_rng(0), resamples=200)
    assert found.shares[0, 0] == 1.0
    np.testing.assert_array_equal(found.intervals()[0], [1, 1])
    assert -1 <= found.tau <= 1


def test_a_metric_is_never_without_cases_when_cases_have_different_metrics():
    dice = table(DICE, [[0.9] * 9, [0.8] * 9])
    landmark = table(ASSD, [[2.0], [1.0]], ("landmarks",))
    found = rank_stability([dice, landmark], np.random.default_rng(0), "mean-relative", 50)
    np.testing.assert_array_equal(found.ranks, 1)
    assert np.isnan(found.tau)


def test_metrics_of_one_case_are_drawn_together():
    # ranks in the second metric mirror those in the first: the mean is 1.5 in every case, hence in every draw
    values = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    found = rank_stability([table(DICE, values), table(ASSD, values)], np.random.default_rng(0), resamples=50)
    np.testing.assert_array_equal(found.ranks, 1)


def test_one_seed_one_result():
    scores = [table(DICE, np.random.default_rng(3).random((3, 7)))]
    one, two = (rank_stability(scores, np.random.default_rng(5), resamples=20) for _ in range(2))
    np.testing.assert_array_equal(one.ranks, two.ranks)


@settings(max_examples=50)
@given(arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(2, 6)), elements=st.integers(1, 4)), st.data())
def test_kendall_s_tau_is_that_of_scipy(ranks, data):
    reference = data.draw(arrays(np.int64, ranks.shape[1], elements=st.integers(1, 4)))
    expected = [scipy.stats.kendalltau(row, reference).statistic for row in ranks]
    np.testing.assert_allclose(kendall_taus(ranks, reference), expected, atol=1e-12)
