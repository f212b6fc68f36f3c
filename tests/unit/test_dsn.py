"""Finding the database: references, settings, and texts that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strandline.dsn import options, redact, resolve, with_database
from strandline.errors import ConfigError

pytestmark = pytest.mark.nodb

URI = "postgresql://ann:s3cret@host:5433/shop?sslmode=require"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRANDLINE_DSN", raising=False)


@pytest.mark.parametrize("dsn", [URI, "postgres://host/db", "host=/run user=a", "service=shop", "  host = x "])
def test_a_dsn_stands_for_itself(dsn: str) -> None:
    found = resolve(dsn)
    assert (found.text, found.origin, found.embedded) == (dsn.strip(), "argument", False)


def test_nothing_shows_the_password() -> None:
    found = resolve(URI)
    assert "s3cret" not in repr(found)
    assert redact(URI) == "postgresql://ann:***@host:5433/shop?sslmode=require"
    assert redact("host=h password='s3 cret' user=a") == "host=h password=*** user=a"


def test_references(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHOP", f"{URI}\n")
    (tmp_path / "dsn").write_text("host=h\n")
    assert resolve("env:SHOP").text == URI
    assert resolve("env:SHOP").origin == "env:SHOP (argument)"
    assert resolve(f"file:{tmp_path}/dsn").text == "host=h"


def test_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "strandline.toml").write_text('dsn = "host=file"')
    assert (resolve().text, resolve().origin) == ("host=file", "strandline.toml")
    monkeypatch.setenv("STRANDLINE_DSN", "env:SHOP")
    monkeypatch.setenv("SHOP", "host=variable")
    assert resolve().text == "host=variable"
    assert resolve().origin == "env:SHOP (STRANDLINE_DSN)"


def test_none_names_both_ways() -> None:
    with pytest.raises(ConfigError, match=r"give a DSN .*STRANDLINE_DSN"):
        resolve()


@pytest.mark.parametrize("dsn", ["shop", "http://x/y:s3cret", "", "embeded", "mysql://a:s3cret@b/c"])
def test_a_text_that_is_no_dsn(dsn: str) -> None:
    with pytest.raises(ConfigError, match="not understood") as caught:
        resolve(dsn)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "complaint"),
    [
        (7, "is a int"),
        ("embedded:", "names no directory"),
        ("env:NOT_THERE", "NOT_THERE is not set"),
        ("env:", "names nothing"),
    ],
)
def test_other_mistakes(dsn: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        resolve(dsn)


def test_a_reference_to_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "env:B")
    with pytest.raises(ConfigError, match="another reference"):
        resolve("env:A")


@pytest.mark.parametrize(("dsn", "directory"), [("embedded", None), ("embedded:/x/y", "/x/y")])
def test_embedded_is_started_when_it_is_named(monkeypatch: pytest.MonkeyPatch, dsn: str, directory: str | None) -> None:
    from strandline import embedded

    class Server:
        dsn = "host=/socket"
        closed = 0

        def close(self) -> None:
            self.closed += 1

    asked: list[str | None] = []
    server = Server()

    def start(place: str | None) -> Server:
        asked.append(place)
        return server

    monkeypatch.setattr(embedded, "start", start)
    with resolve(dsn) as found:
        assert (found.text, found.embedded, asked) == ("host=/socket", True, [directory])
    found.close()
    assert server.closed == 1


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        (
            URI,
            {
                "host": "host",
                "port": "5433",
                "user": "ann",
                "password": "s3cret",
                "dbname": "shop",
                "sslmode": "require",
            },
        ),
        ("postgresql:///shop?host=/run/x", {"dbname": "shop", "host": "/run/x"}),
        (
            "postgresql://u:p%40x@[::1]:55,h2/d",
            {"user": "u", "password": "p@x", "host": "::1,h2", "port": "55,", "dbname": "d"},
        ),
        (r"host=/a\ b password='it\'s' port=1", {"host": "/a b", "password": "it's", "port": "1"}),
        ("host = a user=", {"host": "a", "user": ""}),
    ],
)
def test_options(dsn: str, expected: dict[str, str]) -> None:
    assert options(dsn) == expected
    assert options(with_database(dsn, "it's \\ new")) == expected | {"dbname": "it's \\ new"}


@pytest.mark.parametrize("dsn", ["shop", "host=a b", ""])
def test_options_of_nothing(dsn: str) -> None:
    with pytest.raises(ConfigError, match="not understood"):
        options(dsn)
