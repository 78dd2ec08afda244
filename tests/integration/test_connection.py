"""Connecting to what is no database. No server is needed."""

from __future__ import annotations

import socket

import pytest

from evtrig.database.connection import Connection
from evtrig.database.dsn import Dsn
from evtrig.errors import ConnectionLost


def test_a_port_that_is_silent_is_a_lost_connection_with_what_to_check() -> None:
    """A relay has to try again; whoever starts one has to be told what to look at."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = Dsn("127.0.0.1", silent.getsockname()[1], user="app", tls="off")
        with pytest.raises(ConnectionLost, match="timed out") as raised:
            Connection(dsn, connect_timeout=1, read_timeout=1)
    assert raised.value.hint is not None
    assert "Check the host and the port" in raised.value.hint
