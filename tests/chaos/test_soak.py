"""A short soak on every server, and one with a relay that is broken on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.soak import Options, Result, Soak

from evtrig.demo.mysqld import Mysqld, Program
from evtrig.demo.server import LocalServer

# It keeps all of a machine busy: one of these at a time.
pytestmark = pytest.mark.xdist_group("busy")

#: As in every run, so that one that fails fails again.
SEED = "1042"


def soak(program: Program, folder: Path, options: Options) -> Result:
    with LocalServer(Mysqld(program)) as server:
        return Soak(server, folder, options, print).run()


def test_nothing_is_lost_whatever_goes_wrong(program: Program, tmp_path: Path) -> None:
    # The server crashes once, in about the middle.
    options = Options(seconds=28, seed=SEED, crashes=35)

    result = soak(program, tmp_path, options)

    assert result.is_clean, result.text()
    assert result.report.committed > 500
    assert result.diary.counts["database server crashed"] == 1
    assert result.diary.counts.total() > 10


def test_a_relay_that_loses_is_caught(program: Program, tmp_path: Path) -> None:
    # It needs no fault: transactions that commit late are enough, and so many of them
    # that some lose the last change of a row, which no later one makes good.
    options = Options(
        seconds=8, seed=SEED, crashes=1000, rate=500, broken="DeletesUpTo"
    )

    result = soak(program, tmp_path, options)

    assert result.report.lost, result.text()
    assert result.report.different


def test_a_relay_that_repeats_itself_is_caught(
    program: Program, tmp_path: Path
) -> None:
    # All of it calm, but for entries that fail and acknowledgements that are lost.
    options = Options(seconds=5, seed=SEED, crashes=1000, broken="ForgetsSome")

    result = soak(program, tmp_path, options)

    assert result.report.unexplained, result.text()
