"""Every option that each driver takes, from its ``connect()`` signature."""

from __future__ import annotations

from databases.backends.common.options import (
    Option,
    OptionTable,
    boolean,
    integer,
    json_object,
    seconds,
)
from databases.backends.common.pragmas import PRAGMAS

__all__ = ["AIOMYSQL", "AIOPG", "AIOSQLITE", "ASYNCMY", "ASYNCPG", "PSYCOPG"]


def isolation_level(text: str) -> str | None:
    """Read SQLite's ``isolation_level``; ``none`` means autocommit, and no other one will do."""
    return None if text.lower() == "none" else text


def sqlite_autocommit(text: str) -> bool | int:
    """Read SQLite's ``autocommit``: true, false, or -1 for the old way."""
    return -1 if text == "-1" else boolean(text)


# What DatabaseURL has read itself.
_ADDRESS = tuple(Option(name, target="url") for name in ("host", "port", "unix_sock"))
_AIO_POOL = (Option("pool_recycle", integer, "pool", "max_lifetime"),)

_SERVER_SETTINGS = (
    "application_name",
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "DateStyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "IntervalStyle",
    "jit",
    "lock_timeout",
    "options",
    "plan_cache_mode",
    "role",
    "row_security",
    "search_path",
    "statement_timeout",
    "synchronous_commit",
    "timezone",
    "TimeZone",
    "transaction_timeout",
    "work_mem",
)

ASYNCPG = OptionTable(
    driver="asyncpg",
    pool_size_names=("min_size", "max_size"),
    tls="asyncpg",
    options=(
        *_ADDRESS,
        Option("dsn"),
        Option("user"),
        Option("password"),
        Option("passfile"),
        Option("service"),
        Option("servicefile"),
        Option("database"),
        Option("dbname", rename="database"),
        Option("loop"),
        Option("timeout", seconds),
        Option("connect_timeout", seconds, rename="timeout"),
        Option("statement_cache_size", integer),
        Option("max_cached_statement_lifetime", integer),
        Option("max_cacheable_statement_size", integer),
        Option("command_timeout", seconds),
        Option("direct_tls", boolean),
        Option("connection_class"),
        Option("record_class"),
        Option("server_settings", json_object),
        Option("target_session_attrs"),
        Option("krbsrvname"),
        Option("gsslib"),
        Option("init_size", integer, "pool", "min_size"),
        Option("max_inactive_connection_lifetime", seconds, "pool", "max_idle"),
        Option("init", target="pool"),
        Option("setup", target="pool"),
        Option("connect", target="pool"),
        *(Option(name, target="settings") for name in _SERVER_SETTINGS),
    ),
)

_LIBPQ = (
    *_ADDRESS,
    Option("dsn"),
    Option("user"),
    Option("password"),
    Option("passfile"),
    Option("service"),
    Option("database", rename="dbname"),
    Option("dbname"),
    Option("hostaddr"),
    Option("connect_timeout", integer),
    Option("client_encoding"),
    Option("options"),
    Option("application_name"),
    Option("fallback_application_name"),
    Option("keepalives", integer),
    Option("keepalives_idle", integer),
    Option("keepalives_interval", integer),
    Option("keepalives_count", integer),
    Option("tcp_user_timeout", integer),
    Option("replication"),
    Option("target_session_attrs"),
    Option("load_balance_hosts"),
    Option("channel_binding"),
    Option("gssencmode"),
    Option("gssdelegation"),
    Option("krbsrvname"),
    Option("gsslib"),
    Option("requiressl"),
    Option("requirepeer"),
    Option("require_auth"),
    Option("min_protocol_version"),
    Option("max_protocol_version"),
    Option("sslcompression", integer),
    Option("sslcertmode"),
    Option("sslcrldir"),
    Option("sslsni", integer),
    Option("sslkeylogfile"),
    Option("scram_client_key"),
    Option("scram_server_key"),
    Option("oauth_issuer"),
    Option("oauth_client_id"),
    Option("oauth_client_secret"),
    Option("oauth_scope"),
)

PSYCOPG = OptionTable(
    driver="psycopg",
    pool_size_names=("minsize", "maxsize"),
    tls="libpq",
    options=(
        *_LIBPQ,
        Option("conninfo"),
        Option("autocommit", boolean),
        Option("prepare_threshold", lambda text: None if text.lower() == "none" else int(text)),
        Option("context"),
        Option("row_factory"),
        Option("cursor_factory"),
    ),
)

AIOPG = OptionTable(
    driver="aiopg",
    pool_size_names=("minsize", "maxsize"),
    tls="libpq",
    options=(
        *_LIBPQ,
        *_AIO_POOL,
        Option("timeout", seconds),
        Option("enable_json", boolean),
        Option("enable_hstore", boolean),
        Option("enable_uuid", boolean),
        Option("echo", boolean),
        Option("loop"),
        Option("connection_factory"),
        Option("cursor_factory"),
    ),
)

_MYSQL = (
    *_ADDRESS,
    *_AIO_POOL,
    Option("user"),
    Option("password"),
    Option("unix_socket"),
    Option("charset"),
    Option("sql_mode"),
    Option("read_default_file"),
    Option("read_default_group"),
    Option("conv"),
    Option("use_unicode", boolean),
    Option("client_flag", integer),
    Option("init_command"),
    Option("autocommit", boolean),
    Option("echo", boolean),
    Option("local_infile", boolean),
    Option("program_name"),
    Option("server_public_key", lambda text: text.encode("ascii")),
)

AIOMYSQL = OptionTable(
    driver="aiomysql",
    pool_size_names=("minsize", "maxsize"),
    tls="mysql",
    options=(
        *_MYSQL,
        Option("db"),
        Option("database", rename="db"),
        Option("connect_timeout", seconds),
        Option("cursorclass"),
        Option("auth_plugin"),
        Option("loop"),
    ),
)

ASYNCMY = OptionTable(
    driver="asyncmy",
    pool_size_names=("minsize", "maxsize"),
    tls="mysql",
    options=(
        *_MYSQL,
        Option("database"),
        Option("db", rename="database"),
        Option("connect_timeout", seconds),
        Option("read_timeout", seconds),
        Option("password_creator"),
        Option("sock"),
        Option("cursor_cls"),
        Option("cursorclass", rename="cursor_cls"),
        Option("max_allowed_packet", integer),
        Option("auth_plugin_map"),
        Option("binary_prefix", boolean),
        Option("query_callback"),
        Option("stmt_cache_size", integer),
    ),
)

AIOSQLITE = OptionTable(
    driver="aiosqlite",
    pool_size_names=("minsize", "maxsize"),
    defaults={"max_size": None},
    options=(
        Option("timeout", seconds),
        Option("detect_types", integer),
        Option("isolation_level", isolation_level),
        Option("check_same_thread", boolean),
        Option("factory"),
        Option("cached_statements", integer),
        Option("uri", boolean),
        Option("autocommit", sqlite_autocommit),
        Option("iter_chunk_size", integer),
        Option("loop"),
        *(Option(name, read) for name, read in PRAGMAS.items()),
        # SQLite's own, which stay with the file name when ``uri`` is true.
        *(
            Option(name, target="url")
            for name in ("mode", "cache", "immutable", "vfs", "nolock", "psow", "modeof")
        ),
    ),
)
