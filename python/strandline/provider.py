"""Providers: the user's classes that turn a source into pages."""

from __future__ import annotations

import inspect
import json
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, overload

from strandline import attributes
from strandline.context import Context
from strandline.errors import ConfigError
from strandline.fields import Field, as_json, read_fields, resolved
from strandline.page import Page, read_token
from strandline.secret import Secret
from strandline.walk import walk
from strandline.window import Window, resolve

if TYPE_CHECKING:
    from strandline.errors import Error

__all__ = ["Page", "Provider", "Secret", "provider"]

_RESERVED = frozenset(
    ("config", "read", "next", "pages", "around", "check", "estimate", "slices", "on_event", "classify")
)


class Provider:
    """A source. Subclasses set `name` and define one of `next(context, cursor)` and `pages(context, cursor)`.

    next() returns one Page, bare rows, or None; its cursor is where the last committed page ended, None at the start.
    pages() is a generator of them; its end is the end of the slice. Both may be async. Optional: around(context), a
    generator or a context manager whose value is context.client; estimate(window) -> int and slices(window) for the
    strategies BUDGET and CUSTOM; classify(exception) -> Error | None.

    Annotated names are configuration: keyword-only arguments of the constructor, checked, stored as JSON. Instances
    never change, because threads share them. A class is checked when it is made: ConfigError says what is wrong with
    it.

    name: in the ledger, and the default table. version: recorded with every plan. schema: a dataclass, Pydantic model,
    TypedDict, Arrow schema or {column: SQL type}; None infers it from the rows. primary_key: columns that identify a
    row. cursor_field: the column that decides which of two rows is newer. cursor_type: "time", "id", or "token" (goes
    on at the last token, no window). mode: "append" or "merge"; None is merge with a primary key, else append.
    contract: "evolve" or "freeze" for columns that are not declared. origin: where the first window starts. time_zone:
    of dates, texts and calendar slices. slice: "1 week", a timedelta, a number of ids, or a strategy as a mapping; None
    is one slice. lag: how far behind now an open window ends. lookback: how far before the watermark a window without a
    start begins. ordered: pages come in the order of the window, and Page(upto=) says how far; such a slice can be
    split while it is read. rate: pages per time over all workers, "10/s", "600/min" or "1000/h". rate_key: who shares
    it, the name where none is given. pool: who works the tasks. page_timeout: how long one page may take.
    max_attempts: failures since the last progress before a slice is given up. max_losses: lost leases since the last
    progress before it is given up. mutex_key: tasks of one key do not run at once; ("key", 3) lets three.
    deadline: when it is no longer wanted. backoff: pauses after failures, the last one repeats. labels: recorded with
    every plan. Params: a class that params are checked with.
    """

    name: ClassVar[str]
    version: ClassVar[str] = attributes.DEFAULTS["version"]
    schema: ClassVar[Any] = None
    primary_key: ClassVar[tuple[str, ...]] = ()
    cursor_field: ClassVar[str | None] = None
    cursor_type: ClassVar[str] = attributes.DEFAULTS["cursor_type"]
    mode: ClassVar[str | None] = None
    contract: ClassVar[Any] = attributes.DEFAULTS["contract"]
    streams: ClassVar[Any] = None
    origin: ClassVar[Any] = None
    time_zone: ClassVar[str] = attributes.DEFAULTS["time_zone"]
    slice: ClassVar[Any] = None
    lag: ClassVar[Any] = attributes.DEFAULTS["lag"]
    lookback: ClassVar[Any] = attributes.DEFAULTS["lookback"]
    ordered: ClassVar[bool] = False
    rate: ClassVar[Any] = None
    rate_key: ClassVar[str | None] = None
    pool: ClassVar[str] = attributes.DEFAULTS["pool"]
    page_timeout: ClassVar[Any] = attributes.DEFAULTS["page_timeout"]
    max_attempts: ClassVar[int] = attributes.DEFAULTS["max_attempts"]
    max_losses: ClassVar[int] = attributes.DEFAULTS["max_losses"]
    mutex_key: ClassVar[str | tuple[str, int] | None] = None
    deadline: ClassVar[Any] = None
    backoff: ClassVar[Any] = attributes.BACKOFF
    burst_length: ClassVar[Any] = attributes.DEFAULTS["burst_length"]
    burst_interval: ClassVar[Any] = attributes.DEFAULTS["burst_interval"]
    rest_length: ClassVar[Any] = attributes.DEFAULTS["rest_length"]
    guard: ClassVar[Any] = None
    labels: ClassVar[Mapping[str, Any]] = types.MappingProxyType({})
    Params: ClassVar[Any] = None

    __strandline_provider__: ClassVar[bool] = True
    __strandline_function__: ClassVar[Callable[..., Any] | None] = None
    _fields: ClassVar[Mapping[str, Field]] = types.MappingProxyType({})
    _abstract: ClassVar[bool] = True

    if TYPE_CHECKING:  # what a subclass may define; at run time their absence is how they are told apart

        def next(self, context: Context, cursor: Any) -> Any:
            """One page behind `cursor`; a page without a cursor is the last one."""

        def pages(self, context: Context, cursor: Any) -> Any:
            """The pages behind `cursor`, one after another."""

        def around(self, context: Context) -> Any:
            """What stays open while a slice is read; its value is context.client."""

        def check(self) -> Any:
            """Raises where the source cannot be used. For callers of your own: strandline does not ask it yet."""

        def estimate(self, window: Window) -> Any:
            """About how many records a window has, for the strategy BUDGET."""

        def slices(self, window: Window) -> Any:
            """The slices of a window in ascending order, for the strategy CUSTOM."""

        def classify(self, exception: BaseException) -> Error | None:
            """The error that an exception of this source stands for; None where the usual rules hold."""

    def __init_subclass__(cls, *, abstract: bool = False, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        # A class made inside a function may name types that only this function knows.
        inside = "<locals>" in cls.__qualname__
        local = sys._getframe(1).f_locals if inside else {}
        _read_class(cls, local, abstract)

    def __init__(self, *positional: Any, **config: Any) -> None:
        kind = type(self)
        if kind._abstract:
            raise ConfigError(f"{kind.__name__} is a base class; make a subclass with a name and next() or pages()")
        if positional:
            raise ConfigError(f"{kind.__name__} takes its configuration by keyword: {_signature(kind)}")
        for name in config:
            if name not in kind._fields:
                attributes_too = ", which is set in the class" if name in attributes.NAMES else ""
                raise ConfigError(
                    f"{kind.__name__} has no field {name!r}{attributes_too}; it is made as {_signature(kind)}"
                )
        for name, field in kind._fields.items():
            if name in config:
                self.__dict__[name] = field.take(config[name], kind.__name__)
            elif field.required:
                raise ConfigError(f"{kind.__name__} needs the field {name!r}; it is made as {_signature(kind)}")
            else:
                self.__dict__[name] = field.take(field.default, kind.__name__)

    @property
    def config(self) -> dict[str, Any]:
        """All fields as JSON values, defaults included, secrets as their references; a fresh copy."""
        return {name: as_json(self.__dict__[name]) for name in type(self)._fields}

    def read(
        self,
        window: Any = None,
        *,
        cursor: Any = None,
        params: Mapping[str, Any] | None = None,
        client: Any = None,
    ) -> Iterator[Page]:
        """The pages of one slice, as large as `window`, without a database; nothing is stored.

        window: as in `ingest`; without a start it begins at `origin`, without an end it stops now. cursor: where to go
        on; None is the beginning. client: given to the provider in place of what `around` would yield. Pages are
        fetched when they are asked for. Raises ConfigError for a window that cannot be resolved, and whatever the
        provider raises.
        """
        token = read_token(cursor)
        context = Context(window=self.read_window(window), params=self.checked_params(params), client=client)
        return walk(self, context, token)

    def checked_params(self, params: Mapping[str, Any] | None) -> Any:
        """`params` as `context.params` holds them: a mapping or, where the class has Params, one of those.

        Raises ConfigError for params that Params does not take.
        """
        if not isinstance(params, Mapping | None):
            raise ConfigError(f"params is {params!r}, a {type(params).__name__}; give a mapping")
        given = dict(params or {})
        if self.Params is None:
            return given
        try:
            return self.Params(**given)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.name} does not take these params: {error}") from error

    def read_window(self, window: Any = None) -> Window | None:
        """The window that `read` uses, its open sides closed; None for tokens. Raises ConfigError as `read` does."""
        if self.cursor_type == "token":
            if window is not None:
                raise ConfigError(
                    f"{self.name} goes on at its last token and has no window; leave window= out, or give cursor="
                )
            return None
        now = time.time_ns() // 1000
        lo, hi = resolve(window, cursor_type=self.cursor_type, time_zone=self.time_zone, now=now)
        if lo is None and self.origin is not None:
            lo, _ = resolve((self.origin, None), cursor_type=self.cursor_type, time_zone=self.time_zone, now=now)
        if hi is None and self.cursor_type == "time":
            hi = now - attributes.microseconds(self.lag, f"{self.name}.lag")
        if lo is None or hi is None:
            side = "start" if lo is None else "end"
            advice = ", or set origin" if lo is None else ""
            raise ConfigError(f"the window of {self.name} has no {side}: give window=(start, stop){advice}")
        return Window.from_bounds(lo, hi, self.cursor_type, self.time_zone)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"{type(self).__name__} cannot keep {name!r}: threads share a provider, so it holds no state. Carry a"
            " position in the cursor, and a client in around()"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} never changes; {name!r} stays")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Provider) and type(other) is type(self) and other.config == self.config

    def __hash__(self) -> int:
        return hash((type(self), json.dumps(self.config, sort_keys=True)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={self.__dict__[name]!r}' for name in type(self)._fields)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.config)


def _remade(kind: type[Provider], config: dict[str, Any]) -> Provider:
    return kind(**config)


def _read_class(cls: type[Provider], local: Mapping[str, Any], abstract: bool) -> None:
    """Finds the fields of a new class and checks everything about it."""
    namespace = vars(cls)
    where = cls.__name__
    if "__init__" in namespace:
        raise ConfigError(
            f"{where} defines __init__; the constructor takes its annotated fields, such as `base_url: str`"
        )
    module = sys.modules.get(cls.__module__)
    scope = {**(vars(module) if module is not None else {}), **local}
    own = read_fields(namespace, attributes.NAMES, scope, where)
    for name in own:
        if name in _RESERVED:
            raise ConfigError(f"{where} has a field {name!r}, which is a method of providers; choose another name")
    cls._fields = types.MappingProxyType({**cls._fields, **own})
    annotated = namespace.get("__annotations__", {})
    values = {
        name: value
        for name, value in namespace.items()
        if name not in annotated and not name.isupper() and not callable(value) and not _is_descriptor(value)
    }
    attributes.check_unknown(values, where)
    cls._abstract = abstract
    if abstract:
        return
    _check_methods(cls, where)
    attributes.check(cls)


def _is_descriptor(value: object) -> bool:
    return isinstance(value, (property, classmethod, staticmethod)) or hasattr(type(value), "__get__")


def _check_methods(cls: type[Provider], where: str) -> None:
    found = [name for name in ("next", "pages") if callable(getattr(cls, name, None))]
    if len(found) != 1:
        what = "defines both next() and pages()" if found else "defines neither next() nor pages()"
        raise ConfigError(
            f"{where} {what}; define one of them: next(self, context, cursor) returns a page, pages yields them"
        )
    for name, reason in attributes.HOOKS_NOT_YET.items():
        if getattr(cls, name, None) is not None:
            raise ConfigError(f"{where} defines {name}(), which this version of strandline does not call: {reason}")
    for name, arguments in (
        (found[0], ("self", "context", "cursor")),
        ("around", ("self", "context")),
        ("estimate", ("self", "window")),
        ("slices", ("self", "window")),
        ("classify", ("self", "exception")),
    ):
        method = inspect.getattr_static(cls, name, None)
        if not inspect.isfunction(method):
            continue
        try:
            inspect.signature(method).bind(*arguments)
        except TypeError:
            raise ConfigError(f"{where}.{name} must take ({', '.join(arguments)})") from None
    if found == ["next"] and _is_generator(inspect.getattr_static(cls, "next")):
        raise ConfigError(f"{where}.next is a generator; name it pages(), or return one page from it")


def _is_generator(function: object) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _signature(kind: type[Provider]) -> str:
    shown = ", ".join(
        f"{name}=..." if field.required else f"{name}={field.default!r}" for name, field in kind._fields.items()
    )
    return f"{kind.__name__}({shown})"


@overload
def provider(function: Callable[..., Any], /) -> type[Provider]: ...
@overload
def provider(**attributes: Any) -> Callable[[Callable[..., Any]], type[Provider]]: ...
def provider(function: Callable[..., Any] | None = None, /, **given: Any) -> Any:
    """Makes a Provider class of a function `f(context, cursor, *, field: type = default)`.

    A generator function becomes `pages`, any other `next`; keyword-only parameters are fields. `given` are attributes;
    the name is the function's where none is given. Raises ConfigError like a class statement would.
    """
    attributes.check_unknown(given, "@provider", strict=True)
    if function is not None:
        return _class_of(function, given)
    return lambda found: _class_of(found, given)


def _class_of(function: Callable[..., Any], given: Mapping[str, Any]) -> type[Provider]:
    if not inspect.isfunction(function):
        raise ConfigError(
            f"@provider is for functions, not for a {type(function).__name__}; subclass strandline.Provider instead"
        )
    parameters = list(inspect.signature(function).parameters.values())
    fields = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    if len(parameters) - len(fields) != 2 or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise ConfigError(f"{function.__name__} must take (context, cursor, *, field: type = default, ...)")
    namespace: dict[str, Any] = {
        "name": function.__name__,
        **given,
        "__doc__": function.__doc__,
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__strandline_function__": staticmethod(function),
        "__annotations__": {},
    }
    for parameter in fields:
        if parameter.annotation is parameter.empty:
            raise ConfigError(
                f"{function.__name__}: the field {parameter.name!r} has no type; annotate it, as in"
                f" {parameter.name}: str"
            )
        where = f"{function.__name__}: the field {parameter.name!r}"
        namespace["__annotations__"][parameter.name] = resolved(parameter.annotation, function.__globals__, where)
        if parameter.default is not parameter.empty:
            namespace[parameter.name] = parameter.default

    def call(self: Provider, context: Context, cursor: Any) -> Any:
        return function(context, cursor, **{parameter.name: self.__dict__[parameter.name] for parameter in fields})

    method = "pages" if _is_generator(function) else "next"
    call.__name__ = method
    call.__qualname__ = f"{function.__qualname__}.{method}"
    namespace[method] = call
    made = types.new_class(function.__name__, (Provider,), {}, lambda body: body.update(namespace))
    assert issubclass(made, Provider)
    return made
