"""Options of a URL and of keywords, turned into typed arguments of pool and driver."""

from __future__ import annotations

import difflib
import json
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

from databases.backends.common.tls import MODE_NAMES, TLS_NAMES, TLSDialect, tls_arguments
from databases.errors import ConfigurationError
from databases.urls import DatabaseURL

__all__ = [
    "Option",
    "OptionTable",
    "PoolOptions",
    "boolean",
    "facade_option",
    "given_options",
    "integer",
    "seconds",
    "split_options",
    "sqlite_filename",
    "without_facade_options",
]

Hook = Callable[..., Any]
Converter = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """How the pool behaves, on every driver."""

    min_size: int = 1
    """Connections that ``connect()`` opens and the pool keeps."""
    max_size: int | None = 10
    """Most connections at once; None sets no bound."""
    max_idle: float | None = 300.0
    """Seconds after which an unused connection is closed; None keeps it."""
    max_lifetime: float | None = None
    """Seconds after which a connection is replaced; None keeps it."""
    max_queries: int | None = None
    """Loans after which a connection is replaced; None keeps it."""
    pre_ping: bool | None = None
    """Ping at every loan (True), never (False), or after idleness (None)."""
    acquire_timeout: float | None = None
    """Longest wait for a free connection, in seconds; None waits for ever."""
    max_waiting: int | None = None
    """Most tasks that may wait for a connection; None sets no bound."""
    cleanup_timeout: float = 5.0
    """Seconds that a returned connection has to become clean."""
    leak_warning_after: float | None = None
    """Seconds after which the log says who still holds a connection; None never does."""
    debug: bool = False
    """Whether it also says where the connection was acquired."""
    query_cache_size: int | None = None
    """Statements whose text is remembered, per database; None: 512; 0: none."""
    reset: Literal["auto", "always"] | Hook = "auto"
    """When session state is forgotten, or what forgets it (asyncpg)."""
    on_connect: Hook | None = None
    on_acquire: Hook | None = None
    on_release: Hook | None = None
    init: Hook | None = None
    """asyncpg's: awaited with each new connection."""
    setup: Hook | None = None
    """asyncpg's: awaited with a connection before each loan."""
    connect: Hook | None = None
    """asyncpg's: makes a connection in place of ``asyncpg.connect``."""


@dataclass(frozen=True, slots=True)
class Option:
    """One name that may be given, and where its value goes.

    *target* is the driver's ``connect()``, the pool, PostgreSQL's
    ``server_settings``, TLS, or the URL itself, which has read it already;
    ``facade``: `Database` reads it and no backend is given it.
    *rename* is the name there, when it is another one.
    """

    name: str
    convert: Converter = str
    target: Literal["driver", "facade", "pool", "settings", "tls", "url"] = "driver"
    rename: str | None = None


@dataclass(frozen=True, slots=True)
class OptionTable:
    """Every option of one driver."""

    driver: str
    options: tuple[Option, ...]
    pool_size_names: tuple[str, str]
    """How this driver's pool spells the least and the most connections."""
    tls: TLSDialect | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `PoolOptions` that differ for this driver."""
    by_name: Mapping[str, Option] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        options = [*FACADE_OPTIONS.values(), *POOL_OPTIONS, *self.options]
        if self.tls is not None:
            options += [Option(name, tls_word, target="tls") for name in MODE_NAMES]
            options += [Option(name, str, "tls") for name in TLS_NAMES if name not in MODE_NAMES]
        object.__setattr__(self, "by_name", {option.name: option for option in options})


def integer(text: str) -> int:
    """Read a whole number."""
    return int(text)


def seconds(text: str) -> float:
    """Read a number of seconds, 0 or more."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def boolean(text: str) -> bool:
    """Read true or false, yes or no, on or off, 1 or 0."""
    word = text.lower()
    if word in ("true", "1", "yes", "on", "t", "y"):
        return True
    if word in ("false", "0", "no", "off", "f", "n"):
        return False
    raise ValueError(text)


def tls_word(text: str) -> bool | str:
    """Read ``ssl``: true or false, other words as they are written."""
    return {"true": True, "false": False}.get(text.lower(), text)


def json_object(text: str) -> dict[str, Any]:
    """Read an object in JSON."""
    value = json.loads(text)
    if isinstance(value, dict):
        return value
    raise ValueError(text)


_EXPECTED: dict[Converter, str] = {
    integer: "a whole number",
    seconds: "a number of seconds",
    boolean: "true or false",
    json_object: "an object in JSON",
}

FACADE_OPTIONS = {
    "log_values": Option("log_values", boolean, "facade"),
    "slow_query_threshold": Option("slow_query_threshold", seconds, "facade"),
}
POOL_OPTIONS = (
    Option("min_size", integer, "pool"),
    Option("minsize", integer, "pool", "min_size"),
    Option("max_size", integer, "pool"),
    Option("maxsize", integer, "pool", "max_size"),
    Option("max_idle", seconds, "pool"),
    Option("max_lifetime", seconds, "pool"),
    Option("max_queries", integer, "pool"),
    Option("pre_ping", boolean, "pool"),
    Option("acquire_timeout", seconds, "pool"),
    Option("max_waiting", integer, "pool"),
    Option("cleanup_timeout", seconds, "pool"),
    Option("leak_warning_after", seconds, "pool"),
    Option("debug", boolean, "pool"),
    Option("query_cache_size", integer, "pool"),
    Option("reset", str, "pool"),
    Option("on_connect", str, "pool"),
    Option("on_acquire", str, "pool"),
    Option("on_release", str, "pool"),
)
_HOOKS = frozenset({"on_connect", "on_acquire", "on_release", "init", "setup", "connect"})
_ZERO_IS_NONE = frozenset({"max_size", "max_idle", "max_lifetime", "max_queries"})
_NONE_TELLS = _ZERO_IS_NONE | {"pre_ping", "acquire_timeout", "max_waiting"}
_DEFAULTS = PoolOptions()
_SIZES = {"min_size": 0, "minsize": 0, "max_size": 1, "maxsize": 1}


def facade_option(url: DatabaseURL, name: str, given: Any = None) -> Any:
    """Return the option *name* of `Database`: *given*, or what *url* says, or None.

    Raises `ConfigurationError` for a value that cannot work.
    """
    value = url.options.get(name) if given is None else given
    return _pool_value(FACADE_OPTIONS[name], value)


def without_facade_options(url: DatabaseURL) -> DatabaseURL:
    """Return *url* as a backend is given it."""
    if FACADE_OPTIONS.keys().isdisjoint(url.options):
        return url
    kept = [
        part for part in url.components.query.split("&") if part.split("=")[0] not in FACADE_OPTIONS
    ]
    return url.replace(query="&".join(kept))


def given_options(
    url: DatabaseURL, keywords: Mapping[str, Any], table: OptionTable
) -> dict[str, Any]:
    """Return the options that *url* and *keywords* give, and no others.

    Those of the URL come with their type. Keywords win and stay as they are;
    only the sizes of the pool come as numbers, under the driver's own names.
    A name that nobody knows is a warning; see `split_options` for keywords.
    """
    from_url = _options_of_url(url, table)
    from_keywords: dict[str, Any] = {}
    for name, given in keywords.items():
        if name not in table.by_name:
            _warn_unknown(name, f"given to {table.driver}", table)
        value = given
        if name in _SIZES and isinstance(given, str):
            value = _converted(table.by_name[name], given)
        elif name == "server_settings" and isinstance(given, Mapping):
            value = {**from_url.get(name, {}), **given}
        elif name in table.by_name and table.by_name[name].target == "settings":
            from_url.get("server_settings", {}).pop(name, None)
        from_keywords[_given_name(name, table)] = value
    if any(name in from_keywords for name in MODE_NAMES):
        for name in MODE_NAMES:
            from_url.pop(name, None)
    return {**from_url, **from_keywords}


def split_options(
    given: Mapping[str, Any], table: OptionTable, accepts: Callable[[str], bool] | None = None
) -> tuple[PoolOptions, dict[str, Any]]:
    """Part *given* into the pool's options and the driver's arguments.

    TLS comes in the driver's own words. *accepts* tells whether the driver,
    which may be newer than the table, takes a name; what it does not is left
    out. Raises `ConfigurationError` for a value that cannot work.
    """
    pool: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    settings: dict[str, str] = {}
    for name, value in given.items():
        option = table.by_name.get(name)
        if option is None and accepts is not None and not accepts(name):
            continue
        target = "driver" if option is None else option.target
        renamed = name if option is None else option.rename or name
        if target == "facade":
            continue
        if target == "pool":
            assert option is not None
            if renamed == "max_size" == table.pool_size_names[1] and value in (0, "0"):
                raise _bad_value("max_size", value, "1 or more")
            # The pool's own name wins over a driver's name for the same thing.
            if name == renamed or renamed not in given:
                pool[renamed] = _pool_value(option, value)
        elif target == "settings":
            settings[name] = str(value)
        elif name == renamed or renamed not in given:
            arguments[renamed] = value
    if settings:
        arguments["server_settings"] = {**settings, **(arguments.get("server_settings") or {})}
    if table.tls is not None:
        arguments = tls_arguments(arguments, table.tls)
    return _pool_options(pool, table), arguments


def sqlite_filename(url: DatabaseURL, given: Mapping[str, Any], table: OptionTable) -> str:
    """Return what ``sqlite3.connect`` opens for *url*.

    With ``uri`` true, the options that are SQLite's own (``mode``, ``cache``,
    ``vfs``, ...) stay with the file name, as in SQLAlchemy.
    """
    filename = url.database or ":memory:"
    mine = {
        name: value
        for name, value in url.options.items()
        if name not in table.by_name or table.by_name[name].target == "url"
    }
    if not mine:
        return filename
    if given.get("uri"):
        return f"{filename}{'&' if '?' in filename else '?'}{urlencode(mine, safe=':/')}"
    for name in mine:
        if name in table.by_name:
            warnings.warn(
                f"option {name!r} is ignored: it belongs to SQLite's file: URIs; add uri=true",
                UserWarning,
                stacklevel=_caller_level(),
            )
    return filename


def _options_of_url(url: DatabaseURL, table: OptionTable) -> dict[str, Any]:
    found: dict[str, Any] = {}
    settings: dict[str, str] = {}
    for name, text in url.options.items():
        option = table.by_name.get(name)
        if option is None and "." in name and table.tls == "asyncpg":
            option = Option(name, target="settings")  # a custom setting: app.tenant
        if option is None:
            _warn_unknown(name, f"in the URL, {table.driver} has none such", table)
        elif option.target == "settings":
            settings[name] = text
        elif option.target not in ("url", "facade"):
            found[_given_name(name, table)] = _converted(option, text)
    if settings:
        found["server_settings"] = {**settings, **found.get("server_settings", {})}
    return found


def _given_name(name: str, table: OptionTable) -> str:
    position = _SIZES.get(name)
    return name if position is None else table.pool_size_names[position]


def _converted(option: Option, text: str) -> Any:
    if option.name in _HOOKS:
        raise ConfigurationError(
            f"cannot use the option {option.name!r}: it is a function; "
            "give it to Database() as a keyword"
        )
    try:
        return option.convert(text)
    except ValueError:
        expected = _EXPECTED.get(option.convert) or getattr(
            option.convert, "expected", "a value it takes"
        )
        raise ConfigurationError(
            f"cannot use the option {option.name!r}: {text!r} is not {expected}; correct it"
        ) from None


def _pool_value(option: Option, value: Any) -> Any:
    if isinstance(value, str):
        value = _converted(option, value)
    name = option.rename or option.name
    if value is None or name == "reset":
        return value
    if name in _HOOKS:
        if not callable(value):
            raise _bad_value(option.name, value, "a function")
        return value
    if option.convert is boolean:
        if not isinstance(value, bool):
            raise _bad_value(option.name, value, "true or false")
        return value
    return _pool_number(option, name, value)


def _pool_number(option: Option, name: str, value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise _bad_value(option.name, value, _EXPECTED[option.convert])
    if option.name == "pool_recycle":
        return value if value >= 0 else None
    if value < 0:
        raise _bad_value(name, value, "0 or more")
    if value == float("inf") or (value == 0 and name in _ZERO_IS_NONE):
        return None
    if option.convert is integer and not isinstance(value, int):
        raise _bad_value(option.name, value, _EXPECTED[integer])
    return value


def _pool_options(pool: dict[str, Any], table: OptionTable) -> PoolOptions:
    # None is "the default" where a field has no other meaning for it.
    told = {name: value for name, value in pool.items() if value is not None or name in _NONE_TELLS}
    options = {**table.defaults, **told}
    reset = options.get("reset", "auto")
    if not callable(reset) and reset not in ("auto", "always"):
        raise _bad_value("reset", reset, "auto, always or a function")
    least = options.get("min_size", _DEFAULTS.min_size)
    most = options.get("max_size", _DEFAULTS.max_size)
    if most is not None and least > most:
        if "max_size" in pool:
            raise ConfigurationError(
                f"cannot make a pool: min_size={least} is more than max_size={most}; "
                "lower the one or raise the other"
            )
        options["max_size"] = least
    return PoolOptions(**options)


def _bad_value(name: str, value: Any, expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"cannot use the option {name!r}: {value!r} is not {expected}; correct it"
    )


def _warn_unknown(name: str, what: str, table: OptionTable) -> None:
    near = difflib.get_close_matches(name, table.by_name, n=1)
    advice = f"; did you mean {near[0]!r}?" if near else ""
    warnings.warn(
        f"unknown option {name!r} {what}{advice}", UserWarning, stacklevel=_caller_level()
    )


def _caller_level() -> int:
    """Return the stacklevel, for our caller, of the first frame outside this package."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None:
        if not str(frame.f_globals.get("__name__")).startswith("databases."):
            break
        frame = frame.f_back
        level += 1
    return level
