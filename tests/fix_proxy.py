"""A proxy before the server that stops at a chosen message, so that a test decides what the server and the client see.

`proxy.stop_at("run.fence")` stops the next client before the statement of that name is forwarded. The statements around
it have been answered, so that "A has done its work and has not committed" is an exact place in the code under test, and
not a matter of luck.

`proxy.disturb(faults)` is the other kind: each new connection meets the next fault once so many bytes have passed, in
whatever message that is.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import shutil
import socket
import struct
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from fix_ledger import Background
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_PORT = 5432
_PATIENCE = 20.0
_READY = (b"Z\x00\x00\x00\x05I", b"Z\x00\x00\x00\x05T", b"Z\x00\x00\x00\x05E")

ProxyOf = Callable[[str], "Proxy"]


@dataclass(frozen=True)
class Fault:
    """What happens to a connection when `at` bytes have passed towards one end.

    cut: both ends lose it. delay: it stands still for `seconds`. black hole: nothing passes any more in either
    direction, and neither end is told; after `seconds` it is cut, as a keepalive would. Healing the proxy ends both at
    once; None is to wait for that.
    """

    act: Literal["cut", "delay", "black hole"]
    toward: Literal["server", "client"]
    at: int
    seconds: float | None = 1.0


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


class Stop:
    """One place where a client is to be stopped: armed, then reached, then forwarded or cut."""

    def __init__(self, kind: bytes, needle: bytes, only: _Link | None = None) -> None:
        self._kind = kind
        self._needle = needle
        self._only = only
        self._reached = threading.Event()
        self._forward: queue.Queue[int | None] = queue.Queue()
        self._link: _Link | None = None

    def matches(self, link: _Link, kind: bytes, body: bytes) -> bool:
        """Whether this message is the one; a stop happens once."""
        ours = self._only is None or self._only is link
        return ours and not self._reached.is_set() and kind in self._kind and self._needle in body

    def hold(self, link: _Link) -> int | None:
        """In the link's thread: the test's decision; so many bytes are the last to be forwarded, None is all."""
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

    def then(self, name: str) -> Stop:
        """Forwards, and stops the same client again, before the statement of this name."""
        self.wait()
        assert self._link is not None
        stop = self._link.proxy.stop_at(name, self._link)
        self.forward()
        stop.wait()
        return stop

    def forward(self) -> None:
        """The server gets the message."""
        self._forward.put(None)

    def hang_up(self) -> None:
        """The client loses its connection. The server knows nothing of that."""
        self.wait()
        assert self._link is not None
        self._link.hang_up()

    def cut_before(self, size: int = 0) -> None:
        """Both ends lose the connection, and the server never gets more than `size` bytes of the message."""
        self.hang_up()
        self._forward.put(size)

    def black_hole(self, *, arrives: bool) -> None:
        """Neither end hears of the other again, nor is told so; the message still arrives at the server, or not."""
        self.wait()
        assert self._link is not None
        self._link.mute()
        if arrives:
            self._forward.put(None)
            assert self._link.answered.wait(_PATIENCE), "the server did not answer"
        self._link.swallow()
        self._forward.put(None)

    def cut_after(self) -> None:
        """The server gets the message and answers it, and the client loses its connection without the answer."""
        self.wait()
        assert self._link is not None
        self._link.mute()
        self._forward.put(None)
        assert self._link.answered.wait(_PATIENCE), "the server did not answer"
        self._link.hang_up()


class _Link:
    """One client's connection through the proxy: two threads, one for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket, fault: Fault | None) -> None:
        self.proxy = proxy
        self._client = client
        self._server = server
        self._fault = fault
        self._left = 0 if fault is None else fault.at
        self._muted = False
        self._hung_up = False
        self.swallowing = False
        self.answered = threading.Event()
        threading.Thread(target=self._from_client, daemon=True).start()
        threading.Thread(target=self._from_server, daemon=True).start()

    def mute(self) -> None:
        self._muted = True

    def swallow(self) -> None:
        self.swallowing = True

    def hang_up(self) -> None:
        self._hung_up = True
        _close(self._client)

    def close(self) -> None:
        _close(self._client)
        _close(self._server)

    def _from_client(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            size = self._exactly(4)  # the first message has no kind
            self._pass("server", size + self._exactly(struct.unpack("!i", size)[0] - 4))
            while True:
                head = self._exactly(5)
                body = self._exactly(struct.unpack("!i", head[1:])[0] - 4)
                stop = self.proxy.stop_for(self, head[:1], body)
                last = None if stop is None else stop.hold(self)
                self._pass("server", (head + body)[:last])
                if last is not None:
                    break
        # Half of it: what was forwarded is still read, and a client that hung up has nothing more to say.
        if not self.swallowing:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_WR)

    def _from_server(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := self._server.recv(65536):
                if self._muted and any(ready in data for ready in _READY):
                    self.answered.set()
                if not self._muted and not self._hung_up:
                    self._pass("client", data)
        if not self.swallowing:
            self.close()

    def _pass(self, toward: str, data: bytes) -> None:
        """Forwards to one end, up to the connection's fault."""
        end = self._server if toward == "server" else self._client
        fault = self._fault
        if fault is not None and fault.toward == toward:
            if len(data) <= self._left:
                self._left -= len(data)
            else:
                self._fault = None
                end.sendall(data[: self._left])
                data = data[self._left :]
                self.proxy.met[fault.act] += 1
                if fault.act == "black hole":
                    self.swallow()
                if fault.act != "cut":
                    self.proxy.healed.wait(fault.seconds)
                if fault.act != "delay":
                    self.close()
                    raise EOFError
        if not self.swallowing:
            end.sendall(data)

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
        self._refusals = 0
        self._faults: Iterator[Fault] = iter(())
        self.met: Counter[str] = Counter()  # the faults that came to pass, by what they do
        self.healed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._directory / f".s.PGSQL.{_PORT}"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop_at(self, name: str, only: _Link | None = None) -> Stop:
        """Stops the next client before it sends the statement of this name (`tx.commit`, `run.fence`, ..)."""
        return self._arm(Stop(b"QP", f"/* {name} */".encode(), only))

    def stop_in_copy(self) -> Stop:
        """Stops the next client before its first piece of COPY data."""
        return self._arm(Stop(b"d", b""))

    def lose(self, refusals: int) -> None:
        """The network is lost: every connection is cut, and so many attempts at a new one are refused."""
        self._refusals = refusals
        for link in self._links:
            link.close()

    def disturb(self, faults: Iterable[Fault]) -> None:
        """Each connection made from now on gets one of these, in their order."""
        self._faults = iter(faults)

    def black_hole(self) -> None:
        """The network becomes a black hole, for the connections that there are and for all that come, until healed."""
        self.disturb(itertools.repeat(Fault("black hole", "server", 0, None)))
        for link in self._links:
            link.swallow()

    def heal(self) -> None:
        """The network is back: no more faults, and whoever waits in a black hole learns that its connection is gone."""
        self._faults = iter(())
        self.healed.set()
        for link in self._links:
            if link.swallowing:
                link.close()

    def refuse(self, refusing: bool = True) -> None:
        """Whether new connections are refused; those that are open stay."""
        self._refusing = refusing

    def stop_for(self, link: _Link, kind: bytes, body: bytes) -> Stop | None:
        """The stop for this message, if there is one."""
        return next((stop for stop in self._stops if stop.matches(link, kind, body)), None)

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
                if self._refusing or self._refusals:
                    self._refusals = max(0, self._refusals - 1)
                    _close(client)
                    continue
                try:
                    server = self._upstream()
                except OSError:  # it is down: so is the way to it
                    _close(client)
                    continue
                self._links.append(_Link(self, client, server, next(self._faults, None)))

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
