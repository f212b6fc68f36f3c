"""Secrets: references in, values out, and nothing in between."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from strandline.errors import ConfigError, Transient
from strandline.secret import Secret

pytestmark = pytest.mark.nodb


def test_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIGHTS_TOKEN", "t-0p-s3cret")
    secret = Secret("env:FLIGHTS_TOKEN")
    assert secret.get() == "t-0p-s3cret"
    for shown in (repr(secret), str(secret), f"{secret}", str(pickle.dumps(secret))):
        assert "s3cret" not in shown
        assert "env:FLIGHTS_TOKEN" in shown
    assert "s3cret" not in str(Transient("401 for t-0p-s3cret"))


def test_a_file(tmp_path: Path) -> None:
    place = tmp_path / "token"
    place.write_text(" abcd \r\n")
    assert Secret(f"file:{place}").get() == " abcd "
    place.write_text("later")
    assert Secret(f"file:{place}").get() == "later"


def test_it_is_a_value() -> None:
    assert Secret("env:A") == Secret(Secret("env:A")) == pickle.loads(pickle.dumps(Secret("env:A")))
    assert Secret("env:A") != Secret("env:B")
    assert len({Secret("env:A"), Secret("env:A")}) == 1
    with pytest.raises(AttributeError, match="never changes"):
        Secret("env:A").reference = "env:B"  # type: ignore[misc] # that is the point


@pytest.mark.parametrize("literal", ["hunter2", "", "ENV:X", "postgresql://a:hunter2@h/d"])
def test_a_literal_is_refused_and_not_repeated(literal: str) -> None:
    with pytest.raises(ConfigError, match=r"given as a literal.*env:NAME") as caught:
        Secret(literal)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("reference", ["env:", "env:A B", "env:1", "file:", "file:a\0b"])
def test_a_reference_to_nothing(reference: str) -> None:
    with pytest.raises(ConfigError, match="names nothing"):
        Secret(reference)


@pytest.mark.parametrize("other", [7, None, b"env:A"])
def test_other_types(other: Any) -> None:
    with pytest.raises(ConfigError, match="given as a reference"):
        Secret(other)


def test_what_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ConfigError, match="variable NOT_SET is not set"):
        Secret("env:NOT_SET").get()
    monkeypatch.setenv("NOT_SET", "")
    with pytest.raises(ConfigError, match="not set or empty"):
        Secret("env:NOT_SET").get()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Secret(f"file:{tmp_path}/none").get()
    (tmp_path / "raw").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="no UTF-8"):
        Secret(f"file:{tmp_path}/raw").get()
