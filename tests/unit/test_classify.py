"""What an exception of a provider means, for the clients that are around."""

from __future__ import annotations

import asyncio
import email.message
import http.server
import io
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from strandline import errors
from strandline.classify import classify, register

pytestmark = pytest.mark.nodb


class Response:
    """As requests and httpx have it."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status_code = status
        self.headers = headers


class HTTPStatusError(Exception):
    """As httpx and requests raise it."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__("the answer was no success")
        self.response = Response(status, {name.replace("_", "-"): value for name, value in headers.items()})


class ClientResponseError(Exception):
    """As aiohttp raises it."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"{status}, message='no'")
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()} or None
        if self.headers is None:
            self.headers = {}


def of_urllib(status: int, **headers: str) -> Exception:
    message = email.message.Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return urllib.error.HTTPError("https://example.org", status, "no", message, io.BytesIO())


CLIENTS = [HTTPStatusError, ClientResponseError, of_urllib]

TABLE: list[tuple[int, dict[str, str], type[errors.Error]]] = [
    (429, {}, errors.RateLimited),
    (429, {"Retry_After": "7"}, errors.RateLimited),
    (503, {"Retry_After": "7"}, errors.RateLimited),
    (503, {}, errors.Transient),
    (408, {}, errors.Transient),
    (500, {}, errors.Transient),
    (502, {"Retry_After": "7"}, errors.Transient),
    (400, {}, errors.ConfigError),
    (401, {}, errors.ConfigError),
    (403, {}, errors.ConfigError),
    (404, {}, errors.ConfigError),
    (410, {}, errors.Transient),
]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("status", "headers", "kind"), TABLE)
def test_status(client: Any, status: int, headers: dict[str, str], kind: type[errors.Error]) -> None:
    exception = client(status, **headers)
    error = classify(exception)
    assert type(error) is kind
    assert error.__cause__ is exception
    assert error.context == {"status": status}
    assert str(status) in str(error)
    if isinstance(error, errors.RateLimited):
        assert error.pause == (7 if headers else 10)
    if hasattr(exception, "close"):
        exception.close()


@pytest.mark.parametrize(
    ("exception", "kind"),
    [
        (ConnectionResetError("gone"), errors.Transient),
        (TimeoutError(), errors.Transient),
        (TypeError("a bug"), errors.ConfigError),
        (AttributeError("a bug"), errors.ConfigError),
        (NameError("a bug"), errors.ConfigError),
        (ModuleNotFoundError("httpx"), errors.ConfigError),
        (KeyError("items"), errors.Transient),
        (ValueError("odd"), errors.Transient),
        (SystemExit(404), errors.Transient),
        (ExceptionGroup("tasks", [TypeError("a bug")]), errors.ConfigError),
        (ExceptionGroup("tasks", [errors.Fatal("no")]), errors.Fatal),
        (ExceptionGroup("tasks", [TypeError("a"), TypeError("b")]), errors.Transient),
    ],
)
def test_other_exceptions(exception: BaseException, kind: type[errors.Error]) -> None:
    assert type(classify(exception)) is kind


def test_our_own_pass_as_they_are() -> None:
    error = errors.CursorExpired("start over")
    assert classify(error) is error


def test_the_name_of_the_class_is_said() -> None:
    assert str(classify(KeyError("items"))) == "KeyError: 'items'"
    assert str(classify(TimeoutError())) == "TimeoutError"


def test_secrets_do_not_get_through() -> None:
    error = classify(RuntimeError("GET https://x/?api_key=s3cret-key"))
    assert "s3cret" not in str(error)


# The clients themselves ---------------------------------------------------------------------------------------------


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path names, and with the Retry-After behind it."""

    def do_GET(self) -> None:
        status, _, retry_after = self.path.strip("/").partition("/")
        self.send_response(int(status))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def source() -> Iterator[str]:
    """The address of a server that answers so."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def by_urllib(address: str) -> None:
    with urllib.request.urlopen(address, timeout=0.2):
        pass


def by_httpx(address: str) -> None:
    httpx.get(address, timeout=0.2).raise_for_status()


def by_requests(address: str) -> None:
    pytest.importorskip("requests").get(address, timeout=0.2).raise_for_status()


def by_aiohttp(address: str) -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def ask() -> None:
        limit = aiohttp.ClientTimeout(0.2)
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(address) as answer:
            answer.raise_for_status()

    asyncio.run(ask())


def met(client: Any, address: str) -> errors.Error:
    """What a client's error on this address means."""
    try:
        client(address)
    except Exception as error:  # noqa: BLE001 # whatever it raises
        found = classify(error)
        if hasattr(error, "close"):
            error.close()
        return found
    raise AssertionError("no error")


REAL = [by_urllib, by_httpx, by_requests, by_aiohttp]


@pytest.mark.parametrize("client", REAL)
@pytest.mark.parametrize(("status", "headers", "kind"), TABLE)
def test_status_of_a_real_answer(
    client: Any, source: str, status: int, headers: dict[str, str], kind: type[errors.Error]
) -> None:
    error = met(client, "/".join([source, str(status), *headers.values()]))
    assert type(error) is kind
    assert error.context == {"status": status}
    if isinstance(error, errors.RateLimited):
        assert error.pause == (7 if headers else 10)


@pytest.mark.parametrize("client", REAL)
def test_nobody_answers(client: Any, nobody: str) -> None:
    assert type(met(client, nobody)) is errors.Transient


@pytest.mark.parametrize("client", REAL)
def test_the_answer_does_not_come_in_time(client: Any, silent: str) -> None:
    assert type(met(client, silent)) is errors.Transient


def test_an_answer_without_headers_is_still_one() -> None:
    """As aiohttp has it, whose older name for the status warns when it is asked for."""

    class Bare(Exception):
        status = 429
        headers = None

        @property
        def code(self) -> int:
            raise DeprecationWarning("use status")

    assert type(classify(Bare())) is errors.RateLimited


def test_a_property_that_refuses_to_answer_is_no_answer() -> None:
    """As httpx has it, for requests that were never made."""

    class Shy(Exception):
        @property
        def response(self) -> object:
            raise RuntimeError("the response has not been set")

    assert type(classify(Shy("no"))) is errors.Transient


# The table -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strandline.classify._table", {})


@pytest.mark.usefixtures("table")
def test_the_nearest_class_counts() -> None:
    register(Exception, errors.Fatal)
    register(LookupError, errors.DataError)
    error = classify(KeyError("items"))
    assert type(error) is errors.DataError
    assert str(error) == "KeyError: 'items'"
    assert isinstance(error.__cause__, KeyError)
    assert type(classify(ValueError("odd"))) is errors.Fatal


@pytest.mark.usefixtures("table")
def test_it_goes_before_statuses_and_behind_the_provider() -> None:
    register(HTTPStatusError, errors.CursorExpired)
    assert type(classify(HTTPStatusError(404))) is errors.CursorExpired
    assert type(classify(HTTPStatusError(404), Asked(errors.Fatal("gone")))) is errors.Fatal


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("answer", [None, "transient", RuntimeError("a bug in it")])
def test_a_function_without_an_answer_leaves_it_to_the_rest(answer: Any) -> None:
    def asked(error: BaseException) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    register(HTTPStatusError, asked)
    register(Exception, lambda error: errors.Fatal("the rest"))
    assert type(classify(HTTPStatusError(404))) is errors.Fatal


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("exception", "meaning"),
    [("KeyError", errors.Fatal), (int, errors.Fatal), (KeyError, KeyError), (KeyError, "fatal"), (KeyError, None)],
)
def test_what_cannot_be_registered(exception: Any, meaning: Any) -> None:
    with pytest.raises(errors.ConfigError, match="register"):
        register(exception, meaning)


class Asked:
    """A provider with a word of its own."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def classify(self, exception: BaseException) -> Any:
        if isinstance(self.answer, Exception) and not isinstance(self.answer, errors.Error):
            raise self.answer
        return self.answer


def test_the_provider_is_asked_first() -> None:
    exception = ValueError("token too old")
    error = classify(exception, Asked(errors.CursorExpired("too old")))
    assert type(error) is errors.CursorExpired
    assert error.__cause__ is exception


@pytest.mark.parametrize("answer", [None, "transient", RuntimeError("a bug in classify")])
def test_a_provider_without_an_answer(answer: Any) -> None:
    assert type(classify(TypeError("a bug"), Asked(answer))) is errors.ConfigError
