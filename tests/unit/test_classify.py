"""What an exception of a provider means, for the clients that are around."""

from __future__ import annotations

import email.message
import io
import urllib.error
from typing import Any

import pytest

from strandline import errors
from strandline.classify import classify

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
