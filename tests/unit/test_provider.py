"""Provider classes: fields, attributes, the decorator; what is wrong is said when the class is made."""

from __future__ import annotations

import datetime as dt
import functools
import pickle
from typing import Any, ClassVar, Literal

import pytest

import strandline as sl
from strandline import attributes
from strandline.provider import Provider, Secret, provider

pytestmark = pytest.mark.nodb


def make(_abstract: bool = False, **body: Any) -> type[Provider]:
    """A provider class with these attributes; `next` and a name are there unless they are taken away by None."""
    namespace: dict[str, Any] = {"name": "orders", "next": lambda self, context, cursor: None, **body}
    namespace = {key: value for key, value in namespace.items() if value is not None or key not in ("name", "next")}
    return type("Orders", (Provider,), namespace, abstract=_abstract)


class Shop(Provider):
    """One of every kind of field."""

    name = "shop"
    PAGE = 100
    currency: ClassVar[str] = "EUR"

    base_url: str
    token: Secret
    pages_at_most: int = 10
    patience: float = 1
    verbose: bool = False
    regions: list[str] = ["eu"]
    headers: dict[str, str | None] = {}
    since: str | None = None
    order: Literal["asc", "desc"] = "asc"
    anything: Any = None

    def next(self, context: sl.Context, cursor: Any) -> None:
        """Nothing."""

    @functools.cached_property
    def address(self) -> str:
        return self.base_url + "/v1"


def shop(**config: Any) -> Shop:
    return Shop(**{"base_url": "https://x", "token": "env:T", **config})


def test_fields_are_arguments_with_defaults() -> None:
    made = shop(patience=2, headers={"a": None}, regions=("us",))
    assert made.config == {
        "base_url": "https://x",
        "token": "env:T",
        "pages_at_most": 10,
        "patience": 2.0,
        "verbose": False,
        "regions": ["us"],
        "headers": {"a": None},
        "since": None,
        "order": "asc",
        "anything": None,
    }
    assert made.token == Secret("env:T")
    assert made.address == "https://x/v1"
    assert repr(made).startswith("Shop(base_url='https://x', token=Secret('env:T'), pages_at_most=10")


def test_the_configuration_makes_the_same_provider_again() -> None:
    made = shop(since="2013", anything={"a": [1, (2,)]})
    assert Shop(**made.config) == made == pickle.loads(pickle.dumps(made))
    assert hash(Shop(**made.config)) == hash(made)
    assert shop(since="2014") != made


def test_defaults_and_configuration_are_not_shared() -> None:
    first, second = shop(), shop()
    first.regions.append("us")
    first.config["headers"]["x"] = "y"
    assert second.regions == ["eu"]
    assert first.config["headers"] == {}


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"base_url": 7}, "the field 'base_url' is 7, a int; it wants str"),
        ({"pages_at_most": "7"}, "'pages_at_most' is '7', a str; it wants int"),
        ({"pages_at_most": True}, "'pages_at_most' is True, a bool; it wants int"),
        ({"pages_at_most": 1.5}, "it wants int"),
        ({"verbose": 1}, "it wants bool"),
        ({"patience": float("nan")}, "'patience' is nan, which JSON does not have"),
        ({"regions": "eu"}, "it wants list"),
        ({"regions": ["eu", 7]}, r"'regions'\[1\] is 7"),
        ({"headers": {"a": 1}}, r"'headers'\['a'\] is 1"),
        ({"headers": {1: "a"}}, "has the key 1"),
        ({"since": 2013}, "'since' is 2013"),
        ({"order": "up"}, "valid ones are 'asc', 'desc'"),
        ({"anything": object()}, "no JSON"),
        ({"token": "hunter2"}, "'token': a secret is given as a literal"),
        ({"token": 5}, "'token': a secret is given as a reference"),
        ({"base": "x"}, r"has no field 'base'; it is made as Shop\(base_url=..., token=..., pages_at_most=10"),
        ({"primary_key": ("id",)}, "'primary_key', which is set in the class"),
    ],
)
def test_wrong_configuration(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(sl.ConfigError, match=complaint) as caught:
        shop(**config)
    assert "hunter2" not in str(caught.value)


def test_required_and_positional() -> None:
    with pytest.raises(sl.ConfigError, match="needs the field 'token'"):
        Shop(base_url="x")
    with pytest.raises(sl.ConfigError, match=r"by keyword: Shop\(base_url=..., "):
        Shop("x")


def test_a_provider_keeps_no_state() -> None:
    with pytest.raises(AttributeError, match=r"holds no state.*cursor.*around"):
        shop().seen = 1
    with pytest.raises(AttributeError, match="stays"):
        del shop().base_url


def test_subclasses_inherit_fields_and_attributes() -> None:
    class Base(Provider, abstract=True):
        primary_key = ("id",)
        base_url: str

    class Child(Base):
        name = "child"
        size: int = 5

        def pages(self, context: sl.Context, cursor: Any) -> Any:
            yield []

    assert Child(base_url="x").config == {"base_url": "x", "size": 5}
    assert Child.primary_key == ("id",)
    with pytest.raises(sl.ConfigError, match="Base is a base class"):
        Base(base_url="x")
    with pytest.raises(sl.ConfigError, match="Provider is a base class"):
        Provider()


def test_annotations_may_name_what_only_the_function_knows() -> None:
    Side = Literal["left", "right"]  # noqa: N806 # a type

    class Local(Provider):
        name = "local"
        side: Side = "left"

        def next(self, context: sl.Context, cursor: Any) -> None: ...

    with pytest.raises(sl.ConfigError, match="'left', 'right'"):
        Local(side="top")


@pytest.mark.parametrize(
    ("annotation", "complaint"),
    [
        (dt.date, "is a date, which is not stored as JSON"),
        ("Nowhere", "'Nowhere', which cannot be resolved"),
        (dict[int, str], "keys of a stored dict are str"),
        (list[bytes], "is a bytes"),
        (set, "is a set"),
    ],
)
def test_fields_of_other_types(annotation: Any, complaint: str) -> None:
    with pytest.raises(sl.ConfigError, match=complaint):
        make(__annotations__={"field": annotation})


def test_a_default_of_another_type() -> None:
    with pytest.raises(sl.ConfigError, match="'size' is 'big'"):
        make(__annotations__={"size": int}, size="big")


def test_a_field_named_as_a_method() -> None:
    with pytest.raises(sl.ConfigError, match="is a method of providers"):
        make(__annotations__={"config": str})


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"name": None}, r'set name = "\.\.\."'),
        ({"name": ""}, "begins with a letter"),
        ({"name": "a b"}, "begins with a letter"),
        ({"name": "a>b"}, "begins with a letter"),
        ({"name": "7"}, "begins with a letter"),
        ({"name": "x" * 64}, "at most 63 bytes"),
        ({"name": 7}, "name is 7"),
        ({"next": None}, "neither next"),
        ({"pages": lambda self, context, cursor: iter(())}, "both next"),
        ({"next": lambda self, cursor: None}, r"next must take \(self, context, cursor\)"),
        ({"estimate": lambda self: 1}, r"estimate must take \(self, window\)"),
        ({"__init__": lambda self: None}, "defines __init__"),
        ({"on_event": lambda self, event: None}, "does not call"),
        ({"primarykey": ("id",)}, "'primarykey'.*did you mean 'primary_key'"),
        ({"cursorfield": "at"}, "did you mean 'cursor_field'"),
        ({"timezone": "UTC"}, "did you mean 'time_zone'"),
        ({"primary_key": "id"}, r"give a tuple of columns: \('id',\)"),
        ({"primary_key": ("id", "id")}, "names a column twice"),
        ({"primary_key": (1,)}, "tuple of column names"),
        ({"primary_key": None}, "tuple of column names"),
        ({"cursor_field": ""}, "cursor_field is ''"),
        ({"cursor_type": "snapshot"}, "snapshot providers are not in this version"),
        ({"cursor_type": "times"}, "did you mean 'time'"),
        ({"cursor_type": None}, "valid ones are 'time', 'id', 'token'"),
        ({"mode": "upsert"}, "valid ones are None, 'append', 'merge'"),
        ({"contract": "strict"}, "valid ones are 'evolve', 'freeze'"),
        ({"contract": {"columns": "freeze"}}, "in this version the valid ones"),
        ({"slice": "1 wek"}, 'slice: .*"wek" is unknown'),
        ({"slice": 5}, "slice: "),
        ({"slice": "1 day", "cursor_type": "id"}, "slice: "),
        ({"slice": {"strategy": "BUDGET", "max_records": 5}}, "define estimate"),
        ({"slice": {"strategy": "CUSTOM"}}, "define slices"),
        ({"time_zone": "Mars"}, 'time_zone: the time zone "Mars"'),
        ({"origin": dt.datetime(2013, 1, 1)}, "origin: .*no time zone"),  # noqa: DTZ001 # that is the point
        ({"origin": "soon"}, "origin: "),
        ({"origin": 5}, "origin: "),
        ({"origin": 5, "cursor_type": "token"}, "provider of tokens has no window"),
        ({"lag": 5}, "lag is 5; give a duration"),
        ({"lag": "-1 s"}, "not negative"),
        ({"lag": "1 month"}, "lag is '1 month'"),
        ({"lookback": "1 day"}, "append would store them twice"),
        ({"lookback": "1 day", "primary_key": ("id",), "mode": "append"}, "append would store them twice"),
        ({"lookback": "1 day", "cursor_type": "id", "primary_key": ("id",)}, "cursor_type 'id' has none"),
        ({"page_timeout": "soon"}, "page_timeout is 'soon'"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"max_losses": True}, "max_losses is True"),
        ({"backoff": "1 s"}, "tuple of durations"),
        ({"backoff": ()}, "tuple of durations"),
        ({"backoff": ("1 s", 2)}, r"backoff\[1\] is 2"),
        ({"primary_key": ("id", "_sl_batch")}, "primary_key names the column '_sl_batch'.*strandline's own"),
        ({"cursor_field": "_sl_loaded"}, "cursor_field names the column '_sl_loaded'"),
        ({"deadline": "tomorrow"}, "deadline is 'tomorrow'"),
        ({"deadline": dt.datetime(2030, 1, 1)}, "deadline is .*no time zone"),  # noqa: DTZ001 # that is the point
        ({"labels": ["a"]}, "labels is"),
        ({"labels": {"a": {1}}}, "labels is no JSON"),
        ({"pool": ""}, "pool is ''"),
        ({"version": 2}, "version is 2"),
        ({"Params": {"a": int}}, "give a class"),
        ({"rate": "fast"}, r"rate is 'fast'; give calls per time"),
        ({"rate": 10}, "rate is 10"),
        ({"rate": "10/m"}, 'rate is .10/m.: .*the unit "m" is unknown'),
        ({"rate_key": ""}, "rate_key is ''"),
        ({"mutex_key": 5}, "mutex_key is 5"),
        ({"mutex_key": ("warehouse",)}, "mutex_key is"),
        ({"mutex_key": ("warehouse", 0)}, "mutex_key has 0 slots"),
        ({"mutex_key": ("warehouse", True)}, "mutex_key has True slots"),
        ({"ordered": 1}, "ordered is 1"),
        ({"ordered": True, "cursor_type": "token"}, "a provider of tokens has none"),
    ],
)
def test_a_wrong_class(body: dict[str, Any], complaint: str) -> None:
    with pytest.raises(sl.ConfigError, match=complaint):
        make(**body)


@pytest.mark.parametrize("name", sorted(attributes.NOT_YET))
def test_what_is_not_there_yet_is_refused(name: str) -> None:
    with pytest.raises(
        sl.ConfigError, match=rf"Orders\.{name} is set, and this version of strandline does not act on it"
    ):
        make(**{name: "7 s"})
    make(**{name: attributes.DEFAULTS[name]})


def test_every_attribute_has_its_default() -> None:
    for name, default in attributes.DEFAULTS.items():
        assert getattr(make(), name) == default
    assert Provider.__doc__ is not None
    documented = set(attributes.DEFAULTS) - set(attributes.NOT_YET)
    assert not {name for name in documented if name not in Provider.__doc__}


def test_attributes_that_are_right() -> None:
    kind = make(
        primary_key=["id"],
        slice=dt.timedelta(days=7),
        lag=dt.timedelta(minutes=5),
        lookback="2 days",
        backoff=["1 s"],
        deadline="2 h",
        origin=dt.date(2013, 1, 1),
        time_zone="America/New_York",
        labels={"team": "data"},
        contract="freeze",
        mode="merge",
        rate="600/min",
        rate_key="shop",
        mutex_key=["warehouse", 3],
        ordered=True,
    )
    assert kind.mutex_key == ("warehouse", 3)
    assert (kind.primary_key, kind.backoff) == (("id",), ("1 s",))
    make(cursor_type="id", slice=1000, origin=1)
    make(cursor_type="token")
    make(slice={"strategy": "BUDGET", "max_records": 5}, estimate=lambda self, window: 1)
    make(name="größe.v2-x")


def test_constants_and_methods_of_your_own() -> None:
    make(PAGES=5, endpoint="/orders", page=lambda self: 1, _lags=3)


def test_a_generator_must_be_called_pages() -> None:
    def next_(self: Any, context: Any, cursor: Any) -> Any:
        yield []

    with pytest.raises(sl.ConfigError, match=r"next is a generator; name it pages"):
        make(next=next_)


# The decorator -------------------------------------------------------------------------------------------------------


@provider(primary_key=("id",), slice="1 week")
def weekly(context: sl.Context, cursor: int | None, *, start: int, step: int = 2) -> sl.Page:
    """Two pages."""
    number = start if cursor is None else cursor
    return sl.Page([{"id": number}], cursor=number + step if cursor is None else None)


@provider
def streamed(context: sl.Context, cursor: Any) -> Any:
    yield [{"id": 1}]


@provider(name="later")
async def later(context: sl.Context, cursor: Any) -> list[dict[str, int]]:
    return [{"id": 1}]


def test_a_function_becomes_a_class() -> None:
    assert issubclass(weekly, Provider)
    assert (weekly.name, weekly.primary_key, weekly.__doc__, weekly.__module__) == (
        "weekly",
        ("id",),
        "Two pages.",
        __name__,
    )
    made = weekly(start=1)
    assert made.config == {"start": 1, "step": 2}
    assert [page.rows for page in made.read("2013")] == [[{"id": 1}], [{"id": 3}]]
    assert pickle.loads(pickle.dumps(made)) == made
    assert [page.rows for page in streamed().read("2013")] == [[{"id": 1}]]
    assert [page.rows for page in later().read("2013")] == [[{"id": 1}]]


def test_wrong_functions() -> None:
    with pytest.raises(sl.ConfigError, match="needs the field 'start'"):
        weekly()
    with pytest.raises(sl.ConfigError, match=r"@provider sets 'primarykey'.*did you mean 'primary_key'"):
        provider(primarykey=("id",))
    with pytest.raises(sl.ConfigError, match="@provider sets 'zzz', which is no attribute"):
        provider(zzz=1)
    with pytest.raises(sl.ConfigError, match=r"must take \(context, cursor"):
        provider(lambda context: None)
    with pytest.raises(sl.ConfigError, match="has no type"):
        provider(lambda context, cursor, *, size=1: None)
    with pytest.raises(sl.ConfigError, match="is for functions"):
        provider(Shop)
