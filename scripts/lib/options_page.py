"""Write docs/options.md from the option tables of the drivers.

    python scripts/lib/options_page.py

A test of the documentation says when that is due; `scripts/docs` does it by itself.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from databases.backends.common import option_tables, options
from databases.backends.common.options import Option, OptionTable, PoolOptions
from databases.backends.common.tls import TLS_NAMES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "options.md"

DRIVERS = {
    "asyncpg": ("PostgreSQL", "`postgresql://`, `postgresql+asyncpg://`"),
    "psycopg": ("PostgreSQL", "`postgresql+psycopg://`"),
    "aiopg": ("PostgreSQL", "`postgresql+aiopg://`"),
    "aiomysql": ("MySQL, MariaDB", "`mysql://`, `mariadb://`, `mysql+aiomysql://`"),
    "asyncmy": ("MySQL, MariaDB", "`mysql+asyncmy://`, `mariadb+asyncmy://`"),
    "aiosqlite": ("SQLite", "`sqlite://`, `sqlite+aiosqlite://`"),
}
"""Each driver with its databases and the schemes of its URLs, in the order of the page."""

VALUES: dict[Any, str] = {
    options.integer: "a whole number",
    options.seconds: "seconds",
    options.boolean: "true or false",
    options.json_object: "an object; in the URL as JSON",
    option_tables.isolation_level: "`none`",
    option_tables.sqlite_autocommit: "true or -1",
}
OBJECTS = frozenset(
    "conv connection_class connection_factory context cursor_cls cursor_factory cursorclass "
    "factory loop query_callback record_class row_factory sock init setup connect on_connect "
    "on_acquire on_release auth_plugin_map password_creator".split()
)
"""Options whose values are objects of Python, which no URL can hold."""

_ONLY_ON = "only true: what is to be kept or undone together goes into `transaction()`"
ABOUT = {
    "aiomysql.autocommit": _ONLY_ON,
    "aiopg.timeout": "longest time of any operation: aiopg's own limit",
    "aiosqlite.timeout": "longest wait for another process that writes; the default is 5",
    "asyncmy.autocommit": _ONLY_ON,
    "asyncpg.timeout": "longest wait for a new connection",
    "application_name": "the name that `pg_stat_activity` shows",
    "auto_vacuum": "pragma: whether a new file shrinks by itself",
    "autocommit": "leave it alone: transactions are the library's",
    "busy_timeout": "pragma: longest wait for another writer, in milliseconds; wins over `timeout`",
    "cache_size": "pragma: pages kept in memory, or KiB if negative",
    "cached_statements": "prepared statements kept for each connection",
    "charset": "`utf8mb4`, unless you say otherwise",
    "client_encoding": "encoding of text on the connection",
    "command_timeout": "longest time of any statement: asyncpg's own limit",
    "connect": "called in place of `asyncpg.connect`",
    "connect_timeout": "longest wait for a new connection",
    "direct_tls": "begin with TLS at once, without asking the server first",
    "foreign_keys": "pragma: enforce foreign keys, which SQLite does not do by itself",
    "init": "called with each new connection, as in asyncpg",
    "init_command": "SQL sent on each new connection",
    "isolation_level": "leave it alone: `transaction(mode=...)` says when locks are taken",
    "journal_mode": "pragma: with `wal`, readers go on while one writes",
    "journal_size_limit": "pragma: bytes that are left of a journal; -1: no limit",
    "local_infile": "allow `LOAD DATA LOCAL`",
    "log_values": "Whether the log shows the values of queries, at DEBUG",
    "max_queries": "also counts single queries: each is a use",
    "min_size": "the pool never closes more than leaves so many",
    "mmap_size": "pragma: bytes of the file to map into memory",
    "on_acquire": "called with the raw connection before each use",
    "on_connect": "called with each new raw connection; may be a coroutine function",
    "on_release": "called with the raw connection after each use",
    "options": "command-line options for the session: `-c statement_timeout=5s`",
    "password": "the password, or a function, also an asynchronous one, that returns it",
    "prepare_threshold": "uses after which a statement is prepared; `none`: never",
    "query_only": "pragma: refuse to write",
    "read_timeout": "longest wait for an answer of the server",
    "recursive_triggers": "pragma: triggers may set off themselves",
    "search_path": "the schemas in which names are looked up",
    "server_settings": "settings of the session, by name",
    "service": "a section of the service file",
    "setup": "called with a connection before each use, as in asyncpg",
    "slow_query_threshold": "Seconds from which on a query is logged at WARNING",
    "sql_mode": "the session's `sql_mode`",
    "statement_cache_size": "prepared statements kept for each connection; 0 behind a pooler",
    "statement_timeout": "the server stops a statement after so long",
    "synchronous": "pragma: how carefully writes are pushed to the disk",
    "target_session_attrs": "which of several hosts to take: `read-write`, `any`, ...",
    "temp_store": "pragma: where temporary tables are kept",
    "trusted_schema": "pragma: `off` for files that you did not make",
    "unix_socket": "path of the server's socket",
    "uri": "the name is a `file:` URI with options of its own",
    "wal_autocheckpoint": "pragma: pages after which a WAL is written back; 0: never",
}
"""What the commonest options do, in a few words, where the table does not say it."""

DEFAULTS = {"pre_ping": "after idleness", "query_cache_size": "`512`"}
"""What a default of None means, where it does not mean "none"."""

HEAD = """\
# Options per driver

<!-- Written by scripts/lib/options_page.py from the option tables. -->

Give an option in the URL or as a keyword of `Database`. Keywords win:

```python
from databases import Database

database = Database("sqlite:///example.db?timeout=30", max_size=5)
```

In a URL every value is text; it arrives as the kind of value that this page names.
What is *a Python object* can only be a keyword. A value that cannot work is an error:

```python
from databases.errors import ConfigurationError

try:
    await Database("sqlite:///example.db?timeout=soon").connect()
except ConfigurationError as error:
    print(error)
```

```text
cannot use the option 'timeout': 'soon' is not a number of seconds; correct it
```

An option that nobody knows is a warning that names it and the nearest known one.
"""

COMMON = """
## On every driver

[Pools and tuning](pools.md) says when to change them.
"""

TLS = """
## TLS, on every network driver

{names}. `ssl` and `sslmode` are described under
[TLS](connections_and_transactions.md#tls); the others name files and details of the
handshake, in the words of PostgreSQL's and of MySQL's own clients.
"""


def render() -> str:
    """Return the page."""
    tables = [getattr(option_tables, name) for name in option_tables.__all__]
    by_driver = {table.driver: table for table in tables}
    common = _common(tables)
    parts = [HEAD, COMMON, _common_table(common, tables), TLS.format(names=_names(TLS_NAMES))]
    for driver, (server, schemes) in DRIVERS.items():
        parts.append(f"\n## {driver}\n\nFor {server}: {schemes}.\n")
        parts.append(_driver_tables(by_driver[driver], common))
    return "".join(parts)


def _common(tables: Sequence[OptionTable]) -> list[Option]:
    """Return the options that every driver has, without its other names for them."""
    first, *others = tables
    return [
        option
        for name, option in first.by_name.items()
        if option.target in ("pool", "facade")
        and option.rename is None
        and all(table.by_name.get(name) == option for table in others)
    ]


def _common_table(common: Sequence[Option], tables: Sequence[OptionTable]) -> str:
    defaults = {field.name: field.default for field in dataclasses.fields(PoolOptions)}
    defaults["log_values"] = True
    meanings = _docstrings(PoolOptions)
    rows = []
    for option in common:
        name = option.name
        meaning = meanings.get(name) or ABOUT.get(name, "")
        default = DEFAULTS.get(name) or _text(defaults.get(name))
        for table in tables:
            if name in table.defaults:
                default += f"; {table.driver}: {_text(table.defaults[name])}"
        other = {
            each.name for table in tables for each in table.by_name.values() if each.rename == name
        }
        rows.append((f"`{name}`", _value(option), default, meaning, _names(sorted(other))))
    return _table(("option", "value", "default", "meaning", "other names"), rows)


def _driver_tables(table: OptionTable, common: Sequence[Option]) -> str:
    names = {option.name for option in common}
    own = [
        option
        for name, option in table.by_name.items()
        if name not in names
        and option.target in ("driver", "pool", "pragma")
        # Other names of common options are in their table.
        and not (option.target == "pool" and option.rename in names)
    ]
    rows = []
    further: dict[str, list[str]] = {}
    for option in own:
        meaning = ABOUT.get(f"{table.driver}.{option.name}") or ABOUT.get(option.name)
        if option.rename:
            meaning = f"the same as `{option.rename}`"
        if meaning is None:
            further.setdefault(_value(option), []).append(option.name)
        else:
            rows.append((f"`{option.name}`", _value(option), meaning))
    text = _table(("option", "value", "meaning"), rows)
    if further:
        text += "\nThese go to the driver, whose documentation describes them:\n\n"
        text += "".join(f"- {kind}: {_names(names)}\n" for kind, names in further.items())
    settings = [each.name for each in table.by_name.values() if each.target == "settings"]
    if settings:
        text += (
            f"\nSettings of the session, as PostgreSQL's manual describes them: "
            f"{_names(settings)}. So is every name with a dot: `app.tenant`.\n"
        )
    in_uri = [name for name, each in table.by_name.items() if each.target == "url"]
    in_uri = [name for name in in_uri if name not in ("host", "port", "unix_sock")]
    if in_uri:
        text += f"\nWith `uri=true` these stay in the file's URI: {_names(in_uri)}.\n"
    return text


def _value(option: Option) -> str:
    if option.name in OBJECTS:
        return "a Python object"
    if option.name == "prepare_threshold":
        return "a whole number, or `none`"
    return VALUES.get(option.convert) or str(getattr(option.convert, "expected", "text"))


def _text(default: Any) -> str:
    if default is None or default is dataclasses.MISSING:
        return "none"
    return f"`{default}`"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _docstrings(cls: type) -> Mapping[str, str]:
    """Return the string below each field of *cls*."""
    (body,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[field.target.id] = str(text.value.value).rstrip(".").replace("``", "`")
    return found


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
