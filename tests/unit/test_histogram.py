"""A histogram loses no observation, and its values look like what was observed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.relay.histogram import Histogram

BOUNDS = (0.001, 0.01, 0.1, 1, 10)

seconds = st.lists(st.floats(0, 20), max_size=300)


def observed(values: list[float]) -> Histogram:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    return histogram


def test_a_bound_belongs_to_its_bucket_and_what_exceeds_the_last_has_its_own() -> None:
    assert observed([0.001, 0.0011, 10, 10.1, 99]).counts == [1, 1, 0, 0, 1, 2]


@given(seconds, seconds)
def test_what_came_later_is_the_difference(before: list[float], after: list[float]):
    histogram = observed(before)
    earlier = histogram.copy()
    for value in after:
        histogram.observe(value)
    later = histogram.since(earlier)
    assert later.counts == observed(after).counts
    assert later.sum == pytest.approx(sum(after), abs=1e-6)
    assert earlier.plus(later).counts == histogram.counts


@given(seconds, st.integers(1, 100))
def test_values_are_as_many_as_allowed_and_in_the_right_buckets(
    values: list[float], most: int
) -> None:
    histogram = observed(values)
    found = histogram.values(most)
    assert len(found) == min(most, len(values))
    assert found == sorted(found)
    if len(values) <= most:
        within = observed([min(value, BOUNDS[-1]) for value in values]).counts
        assert observed(found).counts == within


def test_a_hundred_values_keep_the_shares_of_very_many() -> None:
    histogram = observed([0.005] * 9_000 + [0.5] * 900 + [5] * 100)
    found = histogram.values(100)
    assert len(found) == 100
    assert observed(found).counts == [0, 90, 0, 9, 1, 0]
