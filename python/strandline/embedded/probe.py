"""One question to a server on a unix socket: would it take a connection?

Asked in PostgreSQL's own protocol, since neither a driver nor pg_isready can tell "starting" from "no such database".
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

PORT = 5432  # only the name of the socket file; nothing listens on a network

READY = "00000"
STARTING = "57P03"  # also while it recovers from a crash, and while it shuts down
NO_DATABASE = "3D000"

_PROTOCOL_3 = 196608
_AUTHENTICATED = b"\0\0\0\0"  # any other request asks for a password, which only a configuration of yours can do
_ANSWER_SECONDS = 10.0


def socket_file(directory: Path) -> Path:
    """The socket that a server with `unix_socket_directories = directory` listens on."""
    return directory / f".s.PGSQL.{PORT}"


def ask(directory: Path, *, user: str, database: str) -> str | None:
    """READY, the SQLSTATE of the server's refusal, or None when nobody answers."""
    parameters = b"".join(part.encode() + b"\0" for part in ("user", user, "database", database))
    startup = struct.pack("!I", _PROTOCOL_3) + parameters + b"\0"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(socket_file(directory)))
            connection.sendall(struct.pack("!I", len(startup) + 4) + startup)
            return _answer(connection)
    except OSError:
        return None


def _answer(connection: socket.socket) -> str:
    """Read up to the message that decides: the name of the database is looked up after the authentication."""
    while True:
        kind = _receive(connection, 1)
        (length,) = struct.unpack("!I", _receive(connection, 4))
        body = _receive(connection, length - 4)
        if kind == b"E":
            fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
            return fields.get(b"C", "")
        if kind == b"Z" or (kind == b"R" and body != _AUTHENTICATED):
            connection.sendall(b"X\0\0\0\4")  # Terminate; without it the server logs a broken connection
            return READY


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionResetError("the server closed the connection")
        data += part
    return data
