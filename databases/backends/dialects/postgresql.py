"""What the three PostgreSQL drivers share: the dialect and the words of a transaction."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, pg_catalog
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect
from sqlalchemy.dialects.postgresql.json import JSONPathType
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import sqltypes
from sqlalchemy.sql.elements import BindParameter, ColumnClause

from databases.backends.common.driver import Arguments, Driver, RawConnection, Value
from databases.errors import ConfigurationError, TransactionStateError
from databases.urls import DatabaseURL

__all__ = [
    "RESET",
    "RESET_ROLES",
    "DeclaredStream",
    "PostgreSQLDialect",
    "begin_statement",
    "check_commit",
    "isolation_strength",
    "make_dialect",
    "read_isolation",
    "refuse_unknown",
    "strengths",
]

RESET_ROLES = "; RESET SESSION AUTHORIZATION; RESET ROLE"
RESET = f"SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL{RESET_ROLES}"
"""Makes a session as new, as far as the next user of the connection can tell."""

_cursor_numbers = itertools.count(1)
ISOLATION_LEVELS = ("serializable", "repeatable_read", "read_committed", "read_uncommitted")


class _Numeric(sqltypes.Numeric[Any]):
    """NUMERIC and FLOAT by value: the drivers decode by the column's own type."""

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        if self.asdecimal:
            return _to_decimal
        return _to_float


class _Float(sqltypes.Float[Any]):
    """As `_Numeric`."""

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return _to_decimal if self.asdecimal else _to_float


def _to_decimal(value: Any) -> Any:
    return Decimal(str(value)) if isinstance(value, float) else value


def _to_float(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


class _JSONPath(JSONPathType):
    """A path into JSON as PostgreSQL writes it: an array of text."""

    __visit_name__ = "json_path"


class _JSONIndex(sqltypes.JSON.JSONIndexType):
    """A key or a position in JSON."""


class _JSONIntIndex(sqltypes.JSON.JSONIntIndexType):
    """A position in JSON; said so, since a key is asked for in the same way."""

    __visit_name__ = "json_int_index"
    render_bind_cast = True


class _JSONStrIndex(sqltypes.JSON.JSONStrIndexType):
    """A key of JSON."""

    __visit_name__ = "json_str_index"
    render_bind_cast = True


class _CastArray(ARRAY[Any]):
    """An array whose elements the driver sends with a type of their own."""

    render_bind_cast = True


def _vector_processor(*_: object) -> Callable[[Any], Any]:
    return _read_vector


def _read_vector(value: Any) -> Any:
    return list(map(int, value.split())) if isinstance(value, str) else value


# Columns of the catalogs, which psycopg and psycopg2 give as text.
_VECTORS: dict[Any, Any] = {
    cls: type(cls.__name__, (cls,), {"result_processor": _vector_processor, "cache_ok": True})
    for cls in (pg_catalog.INT2VECTOR, pg_catalog.OIDVECTOR)
}


def _json_loads(value: Any, process: Callable[[Any], Any]) -> Any:
    # Where a program has set a codec on the connection it is decoded already.
    return process(value) if isinstance(value, (str, bytes)) or value is None else value


def _json_types(result_processor: Any) -> dict[Any, Any]:
    """Return the types of JSON columns with another *result_processor*."""
    return {
        generic: type(
            specific.__name__, (specific,), {"result_processor": result_processor, "cache_ok": True}
        )
        for generic, specific in {sqltypes.JSON: JSON, JSON: JSON, JSONB: JSONB}.items()
    }


def _text_processor(self: sqltypes.JSON, *about: Any) -> Callable[[Any], Any] | None:
    process = sqltypes.JSON.result_processor(self, *about)
    return None if process is None else functools.partial(_json_loads, process=process)


def _no_processor(*_: object) -> None:
    return None


_CAST, _ARGUMENTS = "databases_cast", "databases_arguments"
# Functions that take what they are given, and tell the server nothing of it.
_OF_ANY_TYPE = frozenset(
    "concat concat_ws format json_build_array json_build_object jsonb_build_array "
    "jsonb_build_object to_json to_jsonb".split()
)
_WIDER: dict[Any, tuple[type, ...]] = {
    sqltypes.Integer: (sqltypes.Numeric, sqltypes.Float),
    sqltypes.Date: (sqltypes.DateTime,),
}


class _Compiler(PGCompiler):
    """Casts the few parameters whose type nothing else in the statement tells."""

    # SQLAlchemy's visitors take what they pass on to each other as keywords.
    def visit_bindparam(self, bindparam: Any, *args: Any, **kw: Any) -> str:
        needs_cast = kw.pop(_CAST, False)
        text = str(super().visit_bindparam(bindparam, *args, **kw))  # type: ignore[no-untyped-call]
        if not needs_cast or bindparam.type._isnull or bindparam.expanding or "::" in text:
            return text
        type_ = bindparam.type
        # The literal's value is not part of the statement: leave room for any.
        wide = sqltypes.BigInteger() if type_._type_affinity is sqltypes.Integer else type_
        return f"{text}::{self.dialect.type_compiler_instance.process(wide)}"

    def visit_label(self, label: Any, *args: Any, **kw: Any) -> str:
        if isinstance(label.element, BindParameter):
            kw[_CAST] = True
        return str(super().visit_label(label, *args, **kw))  # type: ignore[no-untyped-call]

    def visit_function(self, func: Any, *args: Any, **kw: Any) -> str:
        if func.name.lower() in _OF_ANY_TYPE:
            kw[_ARGUMENTS] = True
        return str(super().visit_function(func, *args, **kw))

    def visit_clauselist(self, clauselist: Any, *args: Any, **kw: Any) -> str:
        if not kw.pop(_ARGUMENTS, False):
            return str(super().visit_clauselist(clauselist, *args, **kw))  # type: ignore[no-untyped-call]
        cast = {**kw, _CAST: True}
        return ", ".join(
            str(self.process(each, **(cast if isinstance(each, BindParameter) else kw)))
            for each in clauselist.clauses
        )

    def visit_binary(self, binary: Any, *args: Any, **kw: Any) -> str:
        left, right = binary.left, binary.right
        are_both = isinstance(left, BindParameter) and isinstance(right, BindParameter)
        infers = getattr(self.dialect, "infers_types", False)
        if are_both or (infers and (_narrows(left, right) or _narrows(right, left))):
            kw[_CAST] = True
        return str(super().visit_binary(binary, *args, **kw))  # type: ignore[no-untyped-call]


def _narrows(column: Any, parameter: Any) -> bool:
    """Tell whether the server would take *parameter*, beside *column*, for less than it is.

    asyncpg would send 1.5 as the integer 1, and a time of day not at all.
    """
    if not isinstance(column, ColumnClause) or not isinstance(parameter, BindParameter):
        return False
    wider = _WIDER.get(column.type._type_affinity)
    return wider is not None and isinstance(parameter.type, wider)


class PostgreSQLDialect(PGDialect):
    """PostgreSQL almost without casts around parameters: the server infers their types."""

    infers_types = True
    """Whether the driver leaves it to the server what type a parameter has."""
    driver = "databases"
    supports_statement_cache = True
    supports_native_decimal = True
    statement_compiler = _Compiler
    _backslash_escapes = False
    _has_native_hstore = True
    # asyncpg's classes, by which SQLAlchemy chooses its own in `run_sync`.
    dbapi_exception_translation_map = {  # noqa: RUF012  # as SQLAlchemy declares it
        "FeatureNotSupportedError": "NotSupportedError",
        "InsufficientResourcesError": "OperationalError",
        "IntegrityConstraintViolationError": "IntegrityError",
        "InternalServerError": "InternalError",
        "OperatorInterventionError": "OperationalError",
        "SyntaxOrAccessError": "ProgrammingError",
        "TransactionRollbackError": "OperationalError",
    }
    colspecs = {  # noqa: RUF012  # an instance variable of SQLAlchemy's
        **PGDialect.colspecs,
        **_VECTORS,
        **_json_types(_text_processor),
        sqltypes.Numeric: _Numeric,
        sqltypes.Float: _Float,
        sqltypes.JSON.JSONPathType: _JSONPath,
        sqltypes.JSON.JSONIndexType: _JSONIndex,
        sqltypes.JSON.JSONIntIndexType: _JSONIntIndex,
        sqltypes.JSON.JSONStrIndexType: _JSONStrIndex,
    }


class DecodingDialect(PostgreSQLDialect):
    """For drivers that decode JSON themselves; psycopg2 gives BYTEA as memoryview."""

    infers_types = False
    supports_statement_cache = True
    returns_native_bytes = False
    colspecs = {  # noqa: RUF012  # an instance variable of SQLAlchemy's
        **PostgreSQLDialect.colspecs,
        **_json_types(_no_processor),
        sqltypes.ARRAY: _CastArray,
    }


def make_dialect(*, decodes_json: bool) -> Dialect:
    """Return the dialect as programs compile with it: parameters have names."""
    cls: Any = DecodingDialect if decodes_json else PostgreSQLDialect
    dialect: Dialect = cls(paramstyle="pyformat")
    return dialect


def refuse_unknown(options: Mapping[str, Any], known: tuple[str, ...], engine: str) -> None:
    """Raise `ConfigurationError` for a transaction option that *engine* has not."""
    for name in options:
        if name not in known:
            raise ConfigurationError(
                f"cannot begin a transaction: {engine} has no option {name!r}; "
                f"it has {', '.join(known)}"
            )


def read_isolation(value: Any) -> str | None:
    """Return *value* as one of `ISOLATION_LEVELS`, in lower case with underscores."""
    if value is None:
        return None
    word = "_".join(str(value).lower().replace("-", " ").replace("_", " ").split())
    if word not in ISOLATION_LEVELS:
        raise ConfigurationError(
            f"cannot begin a transaction: {value!r} is no isolation level; "
            f"give one of {', '.join(ISOLATION_LEVELS)}"
        )
    return word


def read_options(options: Mapping[str, Any]) -> tuple[str | None, bool, bool]:
    """Return isolation, readonly and deferrable."""
    refuse_unknown(options, ("isolation", "readonly", "deferrable"), "PostgreSQL")
    return (
        read_isolation(options.get("isolation")),
        bool(options.get("readonly")),
        bool(options.get("deferrable")),
    )


def strengths(options: Mapping[str, Any]) -> dict[str, int]:
    """Return how much a transaction with *options* has of each; see `Driver.strengths`."""
    isolation, readonly, deferrable = read_options(options)
    level = isolation_strength(isolation or "read_committed")
    return {"isolation": level, "readonly": readonly, "deferrable": deferrable}


def isolation_strength(level: str) -> int:
    """Return how much isolation *level* gives, more for a stronger one."""
    return ("read_uncommitted", "read_committed", "repeatable_read", "serializable").index(level)


def begin_statement(options: Mapping[str, Any]) -> str:
    """Return BEGIN with the options of a transaction."""
    if not options:
        return "BEGIN"
    isolation, readonly, deferrable = read_options(options)
    words = ["BEGIN"]
    if isolation is not None:
        words.append("ISOLATION LEVEL " + isolation.upper().replace("_", " "))
    if readonly:
        words.append("READ ONLY")
    if deferrable:
        words.append("DEFERRABLE")
    return " ".join(words)


def check_commit(status: str | None) -> None:
    """Raise unless the server answered COMMIT with COMMIT."""
    if status == "ROLLBACK":
        raise TransactionStateError(
            "cannot commit: the transaction had failed and the server rolled it back; "
            "roll back after an error instead of going on"
        )


def libpq_arguments(url: DatabaseURL) -> dict[str, Any]:
    """Return what *url* says of the server, in libpq's words."""
    arguments: dict[str, Any] = {}
    if url.hosts:
        arguments["host"] = ",".join(host or "" for host, _ in url.hosts)
        ports = [str(port or 5432) for _, port in url.hosts]
        arguments["port"] = ",".join(ports)
    elif url.hostname:
        arguments["host"] = url.hostname
    if url.port and "port" not in arguments:
        arguments["port"] = str(url.port)
    if url.username is not None:
        arguments["user"] = url.username
    if url.password is not None:
        arguments["password"] = url.password
    if url.database:
        arguments["dbname"] = url.database
    return arguments


class DeclaredStream:
    """Rows of a cursor that was declared by SQL; the end of the transaction closes it."""

    def __init__(self, driver: Driver, raw: RawConnection) -> None:
        self._driver = driver
        self._raw = raw
        self._name = f"databases_{next(_cursor_numbers)}"
        self.names: Sequence[str] = ()

    async def declare(self, sql: str, args: Arguments) -> None:
        """Run *sql*, a query, and leave its rows on the server."""
        declaration = f"DECLARE {self._name} NO SCROLL CURSOR FOR {sql}"
        await self._driver.fetch(self._raw, declaration, args)

    async def fetch(self, size: int) -> Sequence[Sequence[Value]]:
        """Return the next rows; none at the end."""
        names, rows = await self._driver.fetch(self._raw, f"FETCH {size} FROM {self._name}", None)
        self.names = names
        if not rows:
            await self._driver.run(self._raw, f"CLOSE {self._name}")
        return rows

    def abandon(self) -> bool:
        """Give the rest up."""
        return True
