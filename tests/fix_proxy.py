"""A proxy before the server that stops at a chosen message, so that a test decides what the server and the client see.

`proxy.stop_at("run.fence")` stops the next client before the statement of that name is forwarded. The statements around
it have been answered, so that "A has done its work and has not committed" is an exact place in the code under test, and
not a matter of luck.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fix_ledger import Background
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_PORT = 5432
_PATIENCE = 20.0
_READY = (b"Z\x00\x00\x00\x05I", b"Z\x00\x00\x00\x05T", b"Z\x00\x00\x00\x05E")

ProxyOf = Callable[[str], "Proxy"]


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


class Stop:
    """One place where a client is to be stopped: armed, then reached, then forwarded or cut."""

    def __init__(self, kind: bytes, needle: bytes) -> None:
        self._kind = kind
        self._needle = needle
        self._reached = threading.Event()
        self._forward: queue.Queue[bool] = queue.Queue()
        self._link: _Link | None = None

    def matches(self, kind: bytes, body: bytes) -> bool:
        """Whether this message is the one; a stop happens once."""
        return not self._reached.is_set() and kind in self._kind and self._needle in body

    def hold(self, link: _Link) -> bool:
        """In the link's thread: waits for the test's decision; False is to forward nothing."""
        self._link = link
        self._reached.set()
        return self._forward.get()

    def wait(self) -> None:
        """Returns when a client stands here."""
        assert self._reached.wait(_PATIENCE), f"no client came to {self._needle.decode()!r}"

    @property
    def reached(self) -> bool:
        """Whether a client has come here."""
        return self._reached.is_set()

    def forward(self) -> None:
        """The server gets the message."""
        self._forward.put(True)

    def hang_up(self) -> None:
        """The client loses its connection. The server knows nothing of that."""
        self.wait()
        assert self._link is not None
        self._link.hang_up()

    def cut_before(self) -> None:
        """Both ends lose the connection, and the server never gets the message."""
        self.hang_up()
        self._forward.put(False)

    def cut_after(self) -> None:
        """The server gets the message and answers it, and the client loses its connection without the answer."""
        self.wait()
        assert self._link is not None
        self._link.mute()
        self._forward.put(True)
        assert self._link.answered.wait(_PATIENCE), "the server did not answer"
        self._link.hang_up()


class _Link:
    """One client's connection through the proxy: two threads, one for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._muted = False
        self._hung_up = False
        self.answered = threading.Event()
        threading.Thread(target=self._from_client, daemon=True).start()
        threading.Thread(target=self._from_server, daemon=True).start()

    def mute(self) -> None:
        self._muted = True

    def hang_up(self) -> None:
        self._hung_up = True
        _close(self._client)

    def close(self) -> None:
        _close(self._client)
        _close(self._server)

    def _from_client(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            size = self._exactly(4)  # the first message has no kind
            self._server.sendall(size + self._exactly(struct.unpack("!i", size)[0] - 4))
            while True:
                head = self._exactly(5)
                body = self._exactly(struct.unpack("!i", head[1:])[0] - 4)
                stop = self._proxy.stop_for(head[:1], body)
                if stop is not None and not stop.hold(self):
                    break
                self._server.sendall(head + body)
        # Half of it: what was forwarded is still read, and a client that hung up has nothing more to say.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)

    def _from_server(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                if self._muted and any(ready in data for ready in _READY):
                    self.answered.set()
                if not self._muted and not self._hung_up:
                    self._client.sendall(data)
        self.close()

    def _exactly(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = self._client.recv(min(size, 1 << 20))
            if not piece:
                raise EOFError
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


class Proxy:
    """Listens on a Unix socket in a directory of its own; `dsn` is the given DSN through it."""

    def __init__(self, dsn: str) -> None:
        parts = conninfo_to_dict(dsn)
        self._host = str(parts.get("host") or "/var/run/postgresql")
        self._port = int(parts.get("port") or _PORT)
        self._directory = Path(tempfile.mkdtemp(prefix="sl-proxy-"))
        self.dsn = make_conninfo(dsn, host=str(self._directory), port=_PORT)
        self._stops: list[Stop] = []
        self._links: list[_Link] = []
        self._refusing = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._directory / f".s.PGSQL.{_PORT}"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop_at(self, name: str) -> Stop:
        """Stops the next client before it sends the statement of this name (`tx.commit`, `run.fence`, ..)."""
        return self._arm(Stop(b"QP", f"/* {name} */".encode()))

    def stop_in_copy(self) -> Stop:
        """Stops the next client before its first piece of COPY data."""
        return self._arm(Stop(b"d", b""))

    def refuse(self, refusing: bool = True) -> None:
        """Whether new connections are refused; those that are open stay."""
        self._refusing = refusing

    def stop_for(self, kind: bytes, body: bytes) -> Stop | None:
        """The stop for this message, if there is one."""
        return next((stop for stop in self._stops if stop.matches(kind, body)), None)

    def close(self) -> None:
        """Cuts every connection."""
        _close(self._listener)
        for stop in self._stops:
            stop.forward()  # its thread must not wait for ever
        for link in self._links:
            link.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _arm(self, stop: Stop) -> Stop:
        self._stops.append(stop)
        return stop

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refusing:
                    _close(client)
                    continue
                self._links.append(_Link(self, client, self._upstream()))

    def _upstream(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._host}/.s.PGSQL.{self._port}")
        return server


@pytest.fixture
def proxy_of(background: Background) -> Iterator[ProxyOf]:
    """`proxy_of(dsn)`: proxies before any DSN, closed at the test's end."""
    del background  # its threads may stand at a stop of ours: it ends after we have let them go
    proxies: list[Proxy] = []

    def make(dsn: str) -> Proxy:
        proxies.append(Proxy(dsn))
        return proxies[-1]

    yield make
    for each in proxies:
        each.close()


@pytest.fixture
def proxy(dsn: str, proxy_of: ProxyOf) -> Proxy:
    """A proxy before this test's database."""
    return proxy_of(dsn)
