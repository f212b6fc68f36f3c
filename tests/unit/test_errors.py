"""The error tree: defaults, pickling, and secrets that never show."""

from __future__ import annotations

import datetime as dt
import pickle
from email.utils import format_datetime

import pytest

from strandline import errors, redaction

pytestmark = pytest.mark.nodb

TREE = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.Error)]


def drawn() -> dict[str, str]:
    """class -> the class above it, as the drawing in the module's docstring has it."""
    assert errors.__doc__ is not None
    above: dict[str, str] = {}
    trail: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        name = line.strip("│├└─ ").split(" ")[0]
        if name not in vars(errors):
            continue
        depth = line.index(name)
        while trail and trail[-1][0] >= depth:
            trail.pop()
        if trail:
            above[name] = trail[-1][1]
        trail.append((depth, name))
    return above


def test_the_drawing_is_the_tree() -> None:
    assert drawn() == {kind.__name__: kind.__bases__[0].__name__ for kind in TREE if kind is not errors.Error}


@pytest.mark.parametrize("kind", TREE)
def test_every_class_has_its_own_code_and_a_known_kind(kind: type[errors.Error]) -> None:
    assert kind.kind in errors.KINDS
    assert kind is errors.Error or "code" in vars(kind)
    assert len({other.code for other in TREE}) == len(TREE)


@pytest.mark.parametrize("kind", TREE)
def test_pickling_keeps_everything(kind: type[errors.Error]) -> None:
    error = kind("what, where, what to do", context={"task": 7})
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.context) == ("what, where, what to do", {"task": 7})
    assert vars(again) == vars(error)


def test_arguments_win_over_the_class() -> None:
    error = errors.DataError("page 3", code="ODD_PAGE", kind="transient", retryable=True, in_doubt=True)
    assert (error.code, error.kind, error.retryable, error.in_doubt) == ("ODD_PAGE", "transient", True, True)
    assert pickle.loads(pickle.dumps(error)).retryable is True
    assert (errors.DataError.retryable, errors.DataError("x").retryable) == (False, False)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="valid ones are transient"):
        errors.Error("x", kind="odd")


@pytest.mark.parametrize("kind", [errors.ConfigError, errors.Fatal, errors.Conflict, errors.DataError])
def test_what_does_not_heal_is_not_retried(kind: type[errors.Error]) -> None:
    assert not kind("x").retryable


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cannot reach postgresql://ann:s3cret@host/db", "s3cret"),
        ("host=a password=s3cret user=b", "s3cret"),
        ("host=a password = 's3 cret' user=b", "s3 cret"),
        ("GET https://example.org/x?token=s3cret&page=2", "s3cret"),
    ],
)
def test_passwords_are_masked(text: str, secret: str) -> None:
    error = errors.Unreachable(text)
    assert secret not in str(error)
    assert secret not in repr(error)
    assert secret.encode() not in pickle.dumps(error)
    assert "***" in str(error)


def test_a_value_that_becomes_known_later_is_masked_too() -> None:
    error = errors.Transient("the source says: no such key 'k-123/4'")
    redaction.hide("k-123/4")
    assert str(error) == "the source says: no such key '***'"
    assert "k-123" not in redaction.redact("https://x/?k=k-123%2F4")


def test_short_values_do_not_eat_the_message() -> None:
    redaction.hide("a")
    assert redaction.redact("a page") == "a page"


def in_an_hour() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (None, 10, 10),
        (2, 2, 2),
        (0.25, 0.25, 0.25),
        ("120", 120, 120),
        (b" 7 ", 7, 7),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("soon", 10, 10),
        ("", 10, 10),
        (-5, 0, 0),
        (1e12, 30 * 86400, 30 * 86400),
        (dt.timedelta(minutes=2), 120, 120),
    ],
)
def test_retry_after(asked: object, least: float, most: float) -> None:
    assert least <= errors.RateLimited(retry_after=asked).pause <= most  # type: ignore[arg-type] # bytes come from headers


def test_retry_after_as_a_moment() -> None:
    assert 3590 < errors.RateLimited(retry_after=in_an_hour()).pause <= 3600
    assert 3590 < errors.RateLimited(retry_after=format_datetime(in_an_hour(), usegmt=True)).pause <= 3600


@pytest.mark.parametrize("asked", [dt.datetime(2030, 1, 1), True, [1], float("nan")])  # noqa: DTZ001 # naive on purpose
def test_retry_after_of_other_types(asked: object) -> None:
    with pytest.raises(errors.ConfigError, match="retry_after"):
        errors.RateLimited(retry_after=asked)  # type: ignore[arg-type] # that is the point
