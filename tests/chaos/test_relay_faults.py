"""Relays that are killed, frozen and cut off; disks that are full, pipes that break.

Relays run in processes of their own: the installed command, or a program of box.py
where a test needs a short lease.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path

from chaos.box import Box, Writers, failed_clearly, line, read, until

from evtrig.demo.server import LocalServer
from evtrig.relay.event import Event
from evtrig.relay.sinks.ndjson import FileSink
from evtrig.relay.sinks.sink import ACKNOWLEDGED


class TestKill:
    def test_a_relay_killed_at_any_moment_loses_nothing(
        self, box: Box, tmp_path: Path
    ) -> None:
        path = tmp_path / "events.ndjson"
        path.touch()
        chance = random.Random(15)
        with Writers(box) as writers:
            for _ in range(15):
                process = box.relay(f"file:{path}", stderr=subprocess.DEVNULL)
                size = path.stat().st_size
                until(lambda before=size: path.stat().st_size > before)
                time.sleep(chance.uniform(0, 0.1))
                process.kill()
                process.wait()
                box.expire()
        last = box.relay(f"file:{path}", "--drain")
        assert last.wait(30) == 0
        assert len(box) == 0
        again = writers.check(read(path))
        # At most what was in flight: a batch a kill, and seldom that.
        assert again <= 15 * 2000

    def test_another_takes_over_when_the_lease_has_run_out(
        self, box: Box, tmp_path: Path
    ) -> None:
        first = box.relay(f"file:{tmp_path / 'first'}", ttl=2)
        until(lambda: box.holder == first.pid)
        second = box.relay(f"file:{tmp_path / 'second'}", ttl=2)
        line(second, "another relay publishes")
        box.insert(5)
        until(lambda: len(box) == 0)
        first.kill()
        begun = time.monotonic()
        box.insert(5)
        until(lambda: len(box) == 0)
        assert time.monotonic() - begun < 2 + 1
        assert box.holder == second.pid

    def test_a_newer_relay_takes_over_within_a_quarter_of_a_second(
        self, box: Box, tmp_path: Path
    ) -> None:
        """Counted from its claim; a busy machine is given more."""
        box.relay(f"file:{tmp_path / '0'}", ttl=10)
        until(lambda: box.holder)
        times = []
        for number in range(1, 6):
            ((claim,),) = box.query(f"SELECT claim FROM {box.state}")
            newer = box.relay(f"file:{tmp_path / str(number)}", "take over", ttl=10)
            until(
                lambda before=claim: (
                    box.query(f"SELECT claim FROM {box.state}") != ((before,),)
                )
            )
            begun = time.monotonic()
            until(lambda pid=newer.pid: box.holder == pid, 5)
            times.append(time.monotonic() - begun)
        assert statistics.median(times) < 0.5, times

    def test_sigterm_drains_and_releases(self, box: Box, tmp_path: Path) -> None:
        path = tmp_path / "events"
        with Writers(box) as writers:
            process = box.relay(f"file:{path}")
            until(lambda: path.exists() and path.stat().st_size > 5000)
            process.terminate()
            assert process.wait(10) == 0
            assert box.holder == 0
        assert box.relay(f"file:{path}", "--drain").wait(30) == 0
        assert writers.check(read(path)) == 0


class TestFreeze:
    def test_a_relay_that_was_frozen_publishes_and_deletes_nothing(
        self, box: Box, tmp_path: Path
    ) -> None:
        frozen = box.relay(f"file:{tmp_path / 'frozen'}", ttl=2)
        box.insert(5)
        until(lambda: len(box) == 0)
        frozen.send_signal(signal.SIGSTOP)
        other = box.relay(f"file:{tmp_path / 'other'}", ttl=2)
        begun = time.monotonic()
        until(lambda: box.holder == other.pid)
        assert time.monotonic() - begun < 4
        # Now the other sees nothing either, and the first wakes up.
        other.send_signal(signal.SIGSTOP)
        box.query(f"UPDATE {box.state} SET expires_at = '2099-01-01'")
        size = (tmp_path / "frozen").stat().st_size
        box.insert(5)
        frozen.send_signal(signal.SIGCONT)
        line(frozen, "another relay publishes")
        assert (tmp_path / "frozen").stat().st_size == size
        assert len(box) == 5
        other.send_signal(signal.SIGCONT)
        until(lambda: len(box) == 0)

    def test_freezing_the_leader_under_load_loses_nothing(
        self, box: Box, tmp_path: Path
    ) -> None:
        """Each relay has a file: what is sent twice is seen, and nothing is torn."""
        paths = [tmp_path / "0", tmp_path / "1"]
        relays = [box.relay(f"file:{path}", ttl=2) for path in paths]
        until(lambda: box.holder)
        with Writers(box) as writers:
            for _ in range(2):
                leader = next(r for r in relays if r.pid == box.holder)
                other = relays[1 - relays.index(leader)]
                leader.send_signal(signal.SIGSTOP)
                until(lambda pid=other.pid: box.holder == pid)
                leader.send_signal(signal.SIGCONT)
        until(lambda: len(box) == 0)
        for relay in relays:
            relay.terminate()
            assert relay.wait(10) == 0
        arrived = [envelope for path in paths for envelope in read(path)]
        names = {envelope["id"] for envelope in arrived}
        assert len(names) == sum(writers.committed.values())


class TestDatabase:
    def test_a_relay_survives_restarts_of_the_server(
        self, local_server: LocalServer, tmp_path: Path
    ) -> None:
        path = tmp_path / "events"
        box = Box(local_server, "shop")
        try:
            process = box.relay(f"file:{path}", ttl=4)
            for number in range(1, 3):
                box.insert(50)
                until(lambda: len(box) == 0, 20)
                box.insert(50)
                if number == 1:
                    local_server.kill()
                local_server.restart()
                until(lambda: len(box) == 0, 20)
            assert process.poll() is None
            sequences = [envelope["sequence"] for envelope in read(path)]
            assert set(sequences) == set(range(1, 201))
        finally:
            box.close()


class TestFile:
    def test_a_full_disk_is_waited_for_and_nothing_half_written_stays(
        self, box: Box, tmp_path: Path
    ) -> None:
        path = tmp_path / "events"
        process = box.relay(f"file:{path}")
        until(lambda: box.holder)
        # The write that goes beyond this is cut, and the next one fails.
        limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, limits[1]))
        box.insert(50, pad=4000)
        line(process, "not acknowledged")
        assert process.poll() is None
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        until(lambda: len(box) == 0)
        assert process.poll() is None
        sequences = [envelope["sequence"] for envelope in read(path)]
        assert sequences == list(range(1, 51))

    def test_a_device_that_takes_nothing_is_a_clear_error(self, box: Box) -> None:
        box.insert(5)
        process = box.relay("file:/dev/full", "--drain")
        failed_clearly(process, "/dev/full")
        assert len(box) == 5

    def test_a_pipe_that_nobody_reads_swallows_nothing(
        self, box: Box, tmp_path: Path
    ) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        box.insert(5)
        process = box.relay(f"file:{path}", "--drain")
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Waiting for a reader is as good as refusing.
            process.wait(3)
        process.kill()
        process.wait()
        assert len(box) == 5

    def test_a_pipe_that_is_read_gets_everything(
        self, box: Box, tmp_path: Path
    ) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        box.insert(500)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        process = box.relay(f"file:{path}", "--drain")
        line(process, "publishing")
        os.set_blocking(reader, True)
        with open(reader) as pipe:
            text = pipe.read()
        assert process.wait(10) == 0
        sequences = [json.loads(row)["sequence"] for row in text.split("\n")[:-1]]
        assert sequences == list(range(1, 501))
        assert len(box) == 0

    def test_a_reader_of_standard_output_that_goes_is_a_clear_error(
        self, box: Box
    ) -> None:
        box.insert(2000, pad=1000)
        process = box.relay("stdout:", "--drain", stdout=subprocess.PIPE)
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert first["sequence"] == 1
        process.stdout.close()
        process.stdout = None
        failed_clearly(process, "standard output")
        assert len(box) > 0
        assert box.holder == 0

    def test_opening_the_file_of_a_relay_that_writes_cuts_off_nothing(
        self, tmp_path: Path
    ) -> None:
        """As a second relay does that stands by for the first."""
        path = tmp_path / "events"
        sink = FileSink(str(path))
        written: list[str] = []
        done = threading.Event()

        def write() -> None:
            pad = "x" * 40_000
            for number in range(60):
                batch = []
                for id_ in range(100 * number, 100 * number + 100):
                    body = f'{{"id": "{id_}", "pad": "{pad}"}}'
                    batch.append(Event(id_, id_, "k", body))
                results = sink.publish(batch, lambda: True)
                if results[0] is ACKNOWLEDGED:
                    written.extend(str(event.id) for event in batch)
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not done.is_set():
            FileSink(str(path)).close()
        writer.join()
        sink.close()
        found = {envelope["id"] for envelope in read(path)}
        assert found >= set(written)
