"""One transaction of very many events: the relay holds a window of it in memory."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from chaos.box import Box, until

#: `make bench` does a million, which takes half a minute and no more memory.
EVENTS = 200_000
#: kB. Measured: 35 MB with nothing to do, 50 MB with a full window.
MOST = 150 * 1024

DIGITS = " UNION ALL ".join(f"SELECT {n} AS n" for n in range(10))
INSERT = f"""\
INSERT INTO {{events}}
       (uid, type, source, operation, captured_at, `key`, `before`, `after`)
SELECT UUID_SHORT(), 'orders.update', 'shop.orders', 'update', UTC_TIMESTAMP(6),
       CONCAT('{{{{"id": ', a.n + 10 * b.n + 100 * c.n, '}}}}'),
       CONCAT('{{{{"pad": "', REPEAT('x', 200), '"}}}}'),
       CONCAT('{{{{"pad": "', REPEAT('y', 200), '"}}}}')
  FROM ({DIGITS}) AS a, ({DIGITS}) AS b, ({DIGITS}) AS c, ({DIGITS}) AS d,
       ({DIGITS}) AS e, ({DIGITS}) AS f
 LIMIT {EVENTS}
"""


def test_a_transaction_of_very_many_events_takes_no_more_memory(
    box: Box, tmp_path: Path
) -> None:
    path = tmp_path / "events"
    box.query(INSERT.format(events=box.events))
    relay = box.relay(f"file:{path}", stderr=subprocess.DEVNULL)
    until(lambda: len(box) == 0, 120)
    status = Path(f"/proc/{relay.pid}/status").read_text()
    most = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert most is not None
    assert int(most[1]) < MOST
    relay.terminate()
    assert relay.wait(10) == 0
    with path.open() as lines:
        assert sum(1 for _ in lines) == EVENTS
    os.remove(path)
