"""The URL of a database: its parts, and copies with other parts."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, unquote_plus

from sqlalchemy.engine import URL

from databases.errors import ConfigurationError

__all__ = ["DatabaseURL"]

_ANATOMY = re.compile(
    r"(?:(?P<scheme>[A-Za-z][\w+.\-]*):)?(?://(?P<netloc>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.DOTALL,
)
_SECRET_NAME = re.compile(r"pass(word|wd|phrase)|pwd|secret|token", re.IGNORECASE)
_STARS = "********"
# Characters that would end the path, or be dropped from it, unquoted. Others
# stay as written: SQLAlchemy does not decode the name of a database.
_UNSAFE_IN_PATH = re.compile(r"[%?#\x00-\x1f\x7f]|^ | $")
_NETLOC_PARTS = ("username", "password", "hostname", "port")

Host = tuple[str, int | None]


class DatabaseURL:
    """Read a database URL: ``dialect+driver://user:password@host:port/database?option=value``.

    Accepts a string, another `DatabaseURL` or a ``sqlalchemy.URL``. Raises
    `ConfigurationError` for text that is no URL. ``str()`` gives the text as it
    was written, ``repr()`` hides the password.
    """

    _url: str
    _components: SplitResult
    _hosts: list[Host]

    def __init__(self, url: str | DatabaseURL | URL) -> None:
        if isinstance(url, DatabaseURL):
            # Read once: a Database, its backend and its pool each have one.
            self._url, self._components, self._hosts = url._url, url._components, url._hosts
            return
        if isinstance(url, URL):
            text = _text_of_sqlalchemy_url(url)
        elif isinstance(url, str):
            text = url
        else:
            raise TypeError(
                f"Invalid type for DatabaseURL. Expected str or DatabaseURL, got {type(url)}"
            )
        self._url = text
        self._components = _split(text)
        self._hosts = _read_hosts(self._components)

    @property
    def components(self) -> SplitResult:
        """The five parts of the URL, as written."""
        return self._components

    @property
    def scheme(self) -> str:
        """Dialect and driver, ``postgresql+asyncpg``."""
        return self._components.scheme

    @property
    def dialect(self) -> str:
        """The scheme up to the plus sign, ``postgresql``."""
        return self.scheme.partition("+")[0]

    @property
    def driver(self) -> str:
        """The scheme after the plus sign; empty when there is none."""
        return self.scheme.partition("+")[2]

    @property
    def userinfo(self) -> bytes | None:
        """User and password as written, ``b"user:pass%40word"``; None without a user."""
        username, password = _credentials(self.netloc)
        if not username:
            return None
        return (f"{username}:{password}" if password else username).encode("utf-8")

    @property
    def username(self) -> str | None:
        """The user, decoded; None when the URL has none."""
        username = _credentials(self.netloc)[0]
        return None if username is None else unquote(username)

    @property
    def password(self) -> str | None:
        """The password, decoded; None when the URL has none before the host."""
        password = _credentials(self.netloc)[1]
        return None if password is None else unquote(password)

    @property
    def hosts(self) -> list[Host]:
        """Every host with its port or None, in the order they are to be tried.

        They stand before the path, else in the option ``host`` (which may be
        the directory of a Unix socket), else in ``unix_sock``.
        """
        return [(host, port) for host, port in self._hosts if host]

    @property
    def hostname(self) -> str | None:
        """The first host; None when the URL has none."""
        hosts = self.hosts
        return hosts[0][0] if hosts else None

    @property
    def port(self) -> int | None:
        """The first host's port; None leaves it to the driver."""
        return self._hosts[0][1] if self._hosts else None

    @property
    def netloc(self) -> str:
        """User, password, hosts and ports, as written."""
        return self._components.netloc

    @property
    def database(self) -> str:
        """The name of the database, or the file, decoded; empty when there is none."""
        return unquote(self._components.path.removeprefix("/"))

    @property
    def options(self) -> dict[str, str]:
        """The query, decoded; the last of equal names counts, empty values do not."""
        return _options_of(self._components)

    @cached_property
    def obscure_password(self) -> str:
        """The URL with stars in place of every password."""
        components = self._components
        text = self._url
        netloc, query = components.netloc, _obscured_query(components.query)
        userinfo, at, hosts = netloc.rpartition("@")
        username, colon, password = userinfo.partition(":")
        if password:
            netloc = f"{username}{colon}{_STARS}{at}{hosts}"
        if (netloc, query) != (components.netloc, components.query):
            text = _joined(components._replace(netloc=netloc, query=query))
        return text

    def replace(self, **parts: Any) -> DatabaseURL:
        """Return a copy with other *parts*.

        They are ``username``, ``password``, ``hostname``, ``port``,
        ``database``, ``dialect`` and ``driver``, given plain and quoted here,
        and the parts of ``components``, taken as written. None removes a part;
        without a user name there is no password either. What is not named
        stays, the options included.
        """
        components = self._components
        written = {name: parts.pop(name) or "" for name in SplitResult._fields if name in parts}
        components = components._replace(**written)
        if "dialect" in parts or "driver" in parts:
            dialect, _, driver = components.scheme.partition("+")
            dialect = parts.pop("dialect", dialect)
            driver = parts.pop("driver", driver)
            components = components._replace(scheme=f"{dialect}+{driver}" if driver else dialect)
        if "database" in parts:
            database = parts.pop("database")
            path = "" if database is None else "/" + _quoted_path(database)
            components = components._replace(path=path)
        netloc_parts = {name: parts.pop(name) for name in _NETLOC_PARTS if name in parts}
        if parts:
            raise ConfigurationError(
                f"cannot replace {', '.join(map(repr, sorted(parts)))}: a URL has no such part; "
                f"give some of {', '.join(_NETLOC_PARTS)}, database, dialect, driver, "
                f"{', '.join(SplitResult._fields)}"
            )
        if netloc_parts:
            components = components._replace(netloc=_new_netloc(components.netloc, netloc_parts))
        return type(self)(_joined(components))

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.obscure_password!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (str, DatabaseURL)):
            return self._url == str(other)
        return NotImplemented

    def __hash__(self) -> int:
        # Of the text alone: the URL is equal to the string it came from.
        return hash(self._url)


def _split(text: str) -> SplitResult:
    # Line ends and leading blanks come from environment files; the standard
    # library drops them as well.
    cleaned = re.sub(r"[\t\r\n]", "", text).lstrip("".join(map(chr, range(33))))
    # Not urlsplit(): it refuses several hosts with brackets, and names the
    # password in its errors.
    match = _ANATOMY.fullmatch(cleaned)
    assert match is not None  # every part may be empty
    if cleaned and not match["scheme"]:
        raise ConfigurationError(
            "cannot read the database URL: it has no scheme; "
            "write it as dialect://user:password@host:port/database"
        )
    parts = match.groupdict(default="")
    if parts["netloc"] and "@" in parts["fragment"]:
        raise ConfigurationError(
            "cannot read the database URL: a '#' stands before the host; "
            "write %23 for it in a user name or password"
        )
    parts["scheme"] = parts["scheme"].lower()
    return SplitResult(**parts)


def _options_of(components: SplitResult) -> dict[str, str]:
    return dict(parse_qsl(components.query)) if components.query else {}


def _joined(components: SplitResult) -> str:
    scheme, netloc, path, query, fragment = components
    if path and not path.startswith("/"):
        path = "/" + path
    text = f"{scheme}://{netloc}{path}"
    if query:
        text += f"?{query}"
    if fragment:
        text += f"#{fragment}"
    return text


def _text_of_sqlalchemy_url(url: URL) -> str:
    # SQLAlchemy neither quotes nor decodes the database, so it goes in apart.
    text = url._replace(database=None).render_as_string(hide_password=False)
    if url.database is None:
        return text
    return str(DatabaseURL(text).replace(database=url.database))


def _credentials(netloc: str) -> tuple[str | None, str | None]:
    """Return user and password as written, None for what is not there."""
    userinfo, at, _ = netloc.rpartition("@")
    if not at:
        return None, None
    username, colon, password = userinfo.partition(":")
    return username, password if colon else None


def _read_hosts(components: SplitResult) -> list[Host]:
    """Return hosts and ports; a port without a host has the host ``""``."""
    # What looks like a host may be half a password with a raw '/' or '?' in
    # it. Then an '@' comes later, and the text must not be shown.
    secret = "@" in components.path or "@" in components.query
    written = components.netloc.rpartition("@")[2]
    hosts = [_read_host(each, secret=secret) for each in written.split(",")] if written else []
    if any(host for host, _ in hosts):
        return hosts
    options = _options_of(components)
    listed = options.get("host") or options.get("unix_sock")
    ports = [_read_port(each, secret=secret) for each in options.get("port", "").split(",")]
    if not listed:
        return hosts or ([("", ports[0])] if ports[0] is not None else [])
    default = hosts[0][1] if hosts else None
    found: list[Host] = []
    for position, each in enumerate(listed.split(",")):
        # A bare IPv6 address has colons of its own.
        bare = each.startswith("/") or (each.count(":") > 1 and not each.startswith("["))
        host, port = (each, None) if bare else _read_host(each, secret=secret)
        if port is None:
            port = ports[position] if position < len(ports) else ports[-1]
        found.append((host, default if port is None else port))
    return found


def _read_host(text: str, *, secret: bool) -> Host:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigurationError(
                "cannot read the database URL: a bracket of an IPv6 host is not closed; "
                "write it as [::1]:5432"
            )
        return host.lower(), _read_port(rest[1:], secret=secret)
    host, _, port = text.partition(":")
    host = unquote(host)
    return host if host.startswith("/") else host.lower(), _read_port(port, secret=secret)


def _read_port(text: str, *, secret: bool) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= 65535:
        return int(text)
    shown = "the port" if secret else f"the port {text!r}"
    raise ConfigurationError(
        f"cannot read the database URL: {shown} is no number from 0 to 65535; correct it, "
        "and percent-encode special characters in user name and password"
    )


def _new_netloc(netloc: str, parts: dict[str, Any]) -> str:
    username, password = _credentials(netloc)
    if "username" in parts:
        value = parts["username"]
        username = None if value is None else quote(value, safe="")
        # Without a user the old password would be sent for somebody else.
        password = None if value is None else password
    if "password" in parts:
        value = parts["password"]
        password = None if value is None else quote(value, safe="")
    written = netloc.rpartition("@")[2]
    if "hostname" in parts or "port" in parts:
        hosts = [_read_host(each, secret=True) for each in written.split(",")]
        if "hostname" in parts:
            port = hosts[0][1]
            hosts = [(each, port) for each in (parts["hostname"] or "").split(",")]
        if "port" in parts:
            port = None if parts["port"] is None else _read_port(str(parts["port"]), secret=False)
            hosts = [(host, port) for host, _ in hosts]
        written = ",".join(_written_host(host, port) for host, port in hosts)
    if username is None and password is None:
        return written
    userinfo = username or ""
    if password is not None:
        userinfo += f":{password}"
    return f"{userinfo}@{written}"


def _written_host(host: str, port: int | None) -> str:
    host = host.removeprefix("[").removesuffix("]")
    text = f"[{host}]" if ":" in host else quote(host, safe="%" if "%" in host else "")
    return text if port is None else f"{text}:{port}"


def _quoted_path(database: str) -> str:
    return _UNSAFE_IN_PATH.sub(lambda match: f"%{ord(match[0]):02X}", database)


def _obscured_query(query: str) -> str:
    pieces = query.split("&")
    for position, piece in enumerate(pieces):
        name, equals, value = piece.partition("=")
        if value and _SECRET_NAME.search(unquote_plus(name)):
            pieces[position] = f"{name}{equals}{_STARS}"
    return "&".join(pieces)
