"""References: how a provider class is named for other processes, and found there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import strandline as sl
from strandline.reference import is_local, load, reference_of, source_digest

pytestmark = pytest.mark.nodb

MODULE = """
import strandline as sl

VALUE = 5

class Orders(sl.Provider):
    name = "orders"
    def next(self, context, cursor): ...

class Outer:
    class Inner(Orders):
        pass

@sl.provider
def made(context, cursor): ...
"""


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    (tmp_path / "shop_of_tests.py").write_text(MODULE)
    (tmp_path / "broken_of_tests.py").write_text("import no_such_module_of_tests")
    (tmp_path / "raising_of_tests.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("shop_of_tests")
    sys.modules.pop("shop_of_tests", None)


def test_there_and_back(shop: Any) -> None:
    for kind, reference in (
        (shop.Orders, "shop_of_tests:Orders"),
        (shop.Outer.Inner, "shop_of_tests:Outer.Inner"),
        (shop.made, "shop_of_tests:made"),
    ):
        assert reference_of(kind) == reference
        assert load(reference) is kind


def test_local_classes(shop: Any) -> None:
    class Local(sl.Provider):
        name = "local"

        def next(self, context: sl.Context, cursor: Any) -> None: ...

    assert reference_of(Local) == f"local:{__name__}:test_local_classes.<locals>.Local"
    with pytest.raises(sl.ConfigError, match="move Local into a module"):
        load(reference_of(Local))
    Local.__module__ = "__main__"
    assert is_local(Local)
    hidden = shop.Orders
    shop.Orders = 5  # the name leads elsewhere
    assert is_local(hidden)


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("shop_of_tests", "write package.module:Class"),
        (":Orders", "write package.module:Class"),
        ("shop_of_tests:", "write package.module:Class"),
        ("no_shop_of_tests:Orders", "no module 'no_shop_of_tests'"),
        ("no_shop_of_tests.feeds:Orders", "no module 'no_shop_of_tests'"),
        ("broken_of_tests:Orders", "cannot be imported: No module named 'no_such_module_of_tests'; install"),
        ("raising_of_tests:Orders", "cannot be imported: ZeroDivisionError"),
        ("shop_of_tests:Order", "has no 'Order'; it has the providers Orders, made"),
        ("shop_of_tests:VALUE", "is the int 5, not a provider class"),
        ("shop_of_tests:Outer", "not a provider class"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_references_that_lead_nowhere(reference: str, complaint: str) -> None:
    with pytest.raises(sl.ConfigError, match=complaint):
        load(reference)


def test_the_digest_follows_the_source(shop: Any) -> None:
    digests = {source_digest(kind) for kind in (shop.Orders, shop.Outer.Inner, shop.made)}
    assert len(digests) == 3
    assert all(digest is not None and len(digest) == 32 for digest in digests)
    namespace: dict[str, Any] = {"sl": sl, "__name__": "nowhere_of_tests"}
    exec("class X(sl.Provider):\n    name = 'x'\n    def next(self, context, cursor): ...", namespace)
    assert source_digest(namespace["X"]) is None
    assert is_local(namespace["X"])
