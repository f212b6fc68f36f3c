"""Settings: where each comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from strandline import settings
from strandline.errors import ConfigError

pytestmark = pytest.mark.nodb


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for row in settings.TABLE:
        monkeypatch.delenv(f"STRANDLINE_{row.name.upper()}", raising=False)


def test_defaults() -> None:
    found = settings.load()
    assert (found.dsn, found.schema, found.pool, found.workers) == (None, "strandline", "default", 1)
    assert (found.lease, found.poll) == (60_000_000, 1_000_000)
    assert (found.page_records, found.page_bytes, found.page_seconds) == (100_000, 8 << 20, 1.0)
    assert (found.max_slices, found.progress, found.log_level) == (1_000_000, None, "warning")


def test_the_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def lease(**arguments: Any) -> tuple[int, str]:
        return settings.load(**arguments).lease // 1_000_000, settings.origin("lease", **arguments)

    assert lease() == (60, "default")
    (tmp_path / "strandline.toml").write_text('lease = "50 s"')
    assert lease() == (50, "strandline.toml")
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1")
    assert lease() == (50, "strandline.toml")
    (tmp_path / "pyproject.toml").write_text('[tool.strandline]\nlease = "40 s"')
    assert lease() == (40, "pyproject.toml")
    monkeypatch.setenv("STRANDLINE_LEASE", "30 s")
    assert lease() == (30, "STRANDLINE_LEASE")
    assert lease(lease="20 s") == (20, "argument")
    assert lease(lease=None) == (30, "STRANDLINE_LEASE")
    monkeypatch.setenv("STRANDLINE_LEASE", "")
    assert lease() == (40, "pyproject.toml")


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("workers", "4", 4),
        ("page_records", "10_000", 10_000),
        ("page_bytes", "1.5 MiB", 3 << 19),
        ("page_bytes", "64kB", 64_000),
        ("page_bytes", "100", 100),
        ("page_seconds", "0.5", 0.5),
        ("page_seconds", "0", 0.0),
        ("poll", "100 ms", None),
        ("poll", "500000 us", 500_000),
        ("progress", "Off", False),
        ("progress", "1", True),
        ("progress", "auto", None),
        ("log_level", "DEBUG", "debug"),
    ],
)
def test_values(monkeypatch: pytest.MonkeyPatch, name: str, given: str, value: Any) -> None:
    monkeypatch.setenv(f"STRANDLINE_{name.upper()}", given)
    if given == "100 ms":  # the core has no milliseconds, and says which units it has
        with pytest.raises(ConfigError, match="microsecond"):
            settings.load()
        return
    assert getattr(settings.load(), name) == value


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("workers", "0"),
        ("workers", "two"),
        ("workers", True),
        ("page_records", 1.5),
        ("page_bytes", "8 apples"),
        ("page_bytes", 0),
        ("page_seconds", "-1"),
        ("page_seconds", "nan"),
        ("page_seconds", "inf"),
        ("lease", "60"),
        ("lease", 60),
        ("lease", "0 s"),
        ("lease", "-1 s"),
        ("lease", "1 month"),
        ("progress", "perhaps"),
        ("log_level", "loud"),
        ("schema", "  "),
    ],
)
def test_values_that_cannot_be(name: str, given: Any) -> None:
    with pytest.raises(ConfigError, match=rf"the setting {name} is .* \(argument\): ") as caught:
        settings.load(**{name: given})
    assert caught.value.context == {"setting": name}


@pytest.mark.parametrize(
    ("file", "text"),
    [("strandline.toml", "page_record = 5"), ("pyproject.toml", "[tool.strandline]\npage_record = 5")],
)
def test_a_misspelt_setting_names_the_close_one(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(ConfigError, match=rf"{file} has a setting 'page_record'.*did you mean 'page_records'"):
        settings.load()


def test_an_unknown_argument() -> None:
    with pytest.raises(ConfigError, match=r"'colour'.*the settings are dsn, schema"):
        settings.load(colour="red")


def test_files_that_are_broken(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("this is [ no toml")
    assert settings.load().workers == 1  # not ours to tell: it does not mention us
    (tmp_path / "pyproject.toml").write_text("[tool.strandline\nworkers = 2")
    with pytest.raises(ConfigError, match=r"pyproject\.toml is no TOML"):
        settings.load()
    (tmp_path / "pyproject.toml").write_text("[tool]\nstrandline = 3")
    with pytest.raises(ConfigError, match="is no table"):
        settings.load()


def test_what_doctor_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DSN", "postgresql://ann:s3cret@host/db")
    shown = {row.name: row for row in settings.shown(workers=3)}
    assert list(shown) == [row.name for row in settings.TABLE]
    assert shown["dsn"].value == "postgresql://ann:***@host/db"
    assert shown["dsn"].origin == "STRANDLINE_DSN"
    assert (shown["workers"].value, shown["workers"].origin) == ("3", "argument")
    assert (shown["lease"].value, shown["lease"].default, shown["lease"].origin) == ("60 s", "60 s", "default")
    assert all(row.description.endswith(".") for row in shown.values())
    assert "s3cret" not in repr(settings.load()) + repr(shown)


def test_the_table_is_the_class() -> None:
    assert [row.name for row in settings.TABLE] == list(settings.Settings.__dataclass_fields__)
