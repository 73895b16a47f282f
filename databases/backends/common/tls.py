"""One meaning of ``sslmode=`` and ``ssl=`` for every network driver."""

from __future__ import annotations

import enum
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from databases.errors import ConfigurationError

__all__ = [
    "MAY_DECLINE",
    "TLS_NAMES",
    "TLSDialect",
    "TLSMode",
    "TLSOptions",
    "ssl_context",
    "tls_arguments",
    "tls_mode",
    "tls_options",
]

TLSDialect = Literal["asyncpg", "libpq", "mysql"]
"""Whose spelling the driver takes: asyncpg's, libpq's keywords, or a context."""


class TLSMode(enum.IntEnum):
    """How much is asked of the connection, in libpq's six words."""

    DISABLE = 0  # clear text
    ALLOW = 1  # encrypted if the server insists
    PREFER = 2  # encrypted if the server can
    REQUIRE = 3  # encrypted, whoever the server is
    VERIFY_CA = 4  # encrypted, certificate signed by a known authority
    VERIFY_FULL = 5  # and made out for the host we asked for

    @property
    def word(self) -> str:
        """The mode as libpq writes it."""
        return self.name.lower().replace("_", "-")


MODE_NAMES = ("ssl", "sslmode", "ssl_mode")
"""Options that say how much is asked; the last one given wins over the URL's."""

# Our field to the names it is given by: libpq's, then MySQL's.
_FILE_NAMES = {
    "ca": ("sslrootcert", "ssl_ca"),
    "capath": ("ssl_capath",),
    "cert": ("sslcert", "ssl_cert"),
    "key": ("sslkey", "ssl_key"),
    "password": ("sslpassword", "ssl_key_password"),
    "crl": ("sslcrl", "ssl_crl"),
    "cipher": ("ssl_cipher",),
}
_IDENTITY_NAMES = ("ssl_check_hostname", "ssl_verify_identity")
_HANDSHAKE_NAMES = {
    "min_version": "ssl_min_protocol_version",
    "max_version": "ssl_max_protocol_version",
    "negotiation": "sslnegotiation",
}
_DICT_NAMES = frozenset(_FILE_NAMES) | {"check_hostname", "verify_mode"}

TLS_NAMES = (
    *MODE_NAMES,
    *(name for names in _FILE_NAMES.values() for name in names),
    *_IDENTITY_NAMES,
    *_HANDSHAKE_NAMES.values(),
)
"""Every option that this module reads."""

MAY_DECLINE = "databases_tls_may_decline"
"""Beside a context: whether a server without TLS is accepted all the same."""

_WORDS = {mode.word: mode for mode in TLSMode} | {
    "disabled": TLSMode.DISABLE,
    "preferred": TLSMode.PREFER,
    "required": TLSMode.REQUIRE,
    "verify-identity": TLSMode.VERIFY_FULL,
    "true": TLSMode.VERIFY_FULL,
    "false": TLSMode.DISABLE,
}

# Where systems keep the authorities they trust, when Python does not know.
_SYSTEM_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True)
class TLSOptions:
    """What was asked for, whichever way it was spelled."""

    mode: TLSMode | None = None
    context: ssl.SSLContext | None = None
    system_authorities: bool = False
    """Whether ``ssl=True`` asked for the authorities the system trusts."""
    ca: str | None = None
    capath: str | None = None
    cert: str | None = None
    key: str | None = None
    password: str | None = None
    crl: str | None = None
    cipher: str | None = None
    min_version: str | None = None
    max_version: str | None = None
    negotiation: str | None = None

    def __repr__(self) -> str:
        return f"TLSOptions(mode={self.mode!r})"

    @property
    def is_silent(self) -> bool:
        """Whether nothing was asked for at all."""
        return self == TLSOptions()


def tls_mode(given: Mapping[str, Any]) -> TLSMode | None:
    """Return how much TLS *given* asks for; None when it says nothing.

    From `TLSMode.REQUIRE` on, a connection in clear text must be refused.
    """
    return tls_options(given).mode


def tls_options(given: Mapping[str, Any]) -> TLSOptions:
    """Read every TLS option of *given*.

    Raises `ConfigurationError` for a word nobody knows and for two options
    that contradict each other.
    """
    fields: dict[str, Any] = {
        field: value
        for field, names in _FILE_NAMES.items()
        for name in names
        if (value := given.get(name)) is not None
    }
    modes: dict[str, TLSMode] = {}
    for name in MODE_NAMES:
        value = given.get(name)
        if isinstance(value, ssl.SSLContext):
            return TLSOptions(mode=_mode_of_context(value), context=value)
        if value is not None and value != {}:
            modes[name] = _read_mode(name, value, fields)
    if len(set(modes.values())) > 1:
        said = " and ".join(f"{name}={mode.word}" for name, mode in modes.items())
        raise ConfigurationError(f"cannot set up TLS: {said} contradict each other; give one")
    mode = next(iter(modes.values()), None)
    check_identity = any(_is_true(given.get(name)) for name in _IDENTITY_NAMES)
    if fields.get("ca") == "system":  # libpq's word for what ssl=True means
        del fields["ca"]
        fields["system_authorities"] = check_identity = True
    fields["mode"] = _completed(mode, fields, check_identity=check_identity)
    for field, name in _HANDSHAKE_NAMES.items():
        fields[field] = given.get(name)
    if fields.get("ca"):
        fields["system_authorities"] = False
    for field in ("ca", "capath", "cert", "key", "crl"):
        if field in fields:
            fields[field] = os.fspath(fields[field])
    return TLSOptions(**fields)


def tls_arguments(given: Mapping[str, Any], dialect: TLSDialect) -> dict[str, Any]:
    """Return *given* with its TLS options in the words of the driver.

    Only the names of `TLS_NAMES` are replaced. Nothing is added when nothing
    was asked for, so that the driver's own default stands.
    """
    if given.keys().isdisjoint(TLS_NAMES):
        return dict(given)
    tls = tls_options(given)
    arguments = {name: value for name, value in given.items() if name not in TLS_NAMES}
    if tls.is_silent:
        return arguments
    if dialect == "mysql":
        arguments["ssl"] = ssl_context(tls)
        if tls.mode in (TLSMode.ALLOW, TLSMode.PREFER):
            arguments[MAY_DECLINE] = True
    elif dialect == "asyncpg":
        arguments.update(_asyncpg_arguments(tls, arguments))
    else:
        if tls.context is not None:
            raise ConfigurationError(
                "cannot set up TLS: this driver takes no ssl.SSLContext; "
                "give sslmode= and sslrootcert= instead"
            )
        arguments.update(_libpq_arguments(tls))
    return arguments


def ssl_context(tls: TLSOptions) -> ssl.SSLContext | None:
    """Return the context that *tls* asks for; None for clear text.

    ``prefer`` and ``allow`` give a context too: whether the server may decline
    is for the driver, which sees the server's answer.
    """
    if tls.context is not None:
        return tls.context
    if tls.mode is None or tls.mode is TLSMode.DISABLE:
        return None
    try:
        if tls.mode >= TLSMode.VERIFY_CA:
            context = ssl.create_default_context(cafile=tls.ca, capath=tls.capath)
            context.check_hostname = tls.mode is TLSMode.VERIFY_FULL
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.minimum_version = _version(tls.min_version or "TLSv1.2")
        if tls.max_version:
            context.maximum_version = _version(tls.max_version)
        if tls.cert:
            # An empty password rather than none: OpenSSL would ask on the
            # terminal and block the process.
            context.load_cert_chain(tls.cert, tls.key, password=tls.password or "")
        if tls.crl:
            context.load_verify_locations(cafile=tls.crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        if tls.cipher:
            context.set_ciphers(tls.cipher)
    except OSError as error:  # ssl.SSLError is one
        files = [name for name in (tls.ca, tls.capath, tls.cert, tls.key, tls.crl) if name]
        about = f" with {', '.join(map(repr, files))}" if files else ""
        raise ConfigurationError(
            f"cannot set up TLS{about}: {error}; check that the files exist and are PEM"
        ) from error
    return context


def _asyncpg_arguments(tls: TLSOptions, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if tls.context is not None:
        return {"ssl": tls.context}
    files = _libpq_arguments(tls)
    word = files.pop("sslmode", None)
    if tls.system_authorities and files.keys() == {"sslrootcert"}:
        return {"ssl": True}  # asyncpg knows how to ask the system
    if not files:
        return {"ssl": False if word == "disable" else word}
    if arguments.get("dsn"):
        raise ConfigurationError(
            f"cannot set up TLS: {', '.join(files)} stand beside a dsn; put them into the dsn"
        )
    # asyncpg takes the names of certificate files in a DSN only.
    query = files if word is None else {"sslmode": word, **files}
    return {"dsn": f"postgresql://?{urlencode(query)}"}


def _libpq_arguments(tls: TLSOptions) -> dict[str, str]:
    if tls.capath or tls.cipher:
        name = "ssl_capath" if tls.capath else "ssl_cipher"
        raise ConfigurationError(
            f"cannot set up TLS: {name} means nothing to this driver; "
            "give sslrootcert=, or with asyncpg ssl=SSLContext"
        )
    found = {
        "sslmode": tls.mode.word if tls.mode is not None else None,
        "sslrootcert": _system_ca_file() if tls.system_authorities else tls.ca,
        "sslcert": tls.cert,
        "sslkey": tls.key,
        "sslpassword": tls.password,
        "sslcrl": tls.crl,
        "ssl_min_protocol_version": tls.min_version,
        "ssl_max_protocol_version": tls.max_version,
        "sslnegotiation": tls.negotiation,
    }
    return {name: value for name, value in found.items() if value is not None}


def _completed(
    mode: TLSMode | None, fields: Mapping[str, Any], *, check_identity: bool
) -> TLSMode | None:
    """Return *mode* with what certificates and flags imply, as libpq does.

    Files without a mode are asked-for TLS; ``require`` with an authority
    verifies it.
    """
    has_authority = bool(fields.get("ca") or fields.get("capath"))
    if mode is None and (has_authority or fields.get("cert") or check_identity):
        mode = TLSMode.REQUIRE
    if mode is TLSMode.REQUIRE and has_authority:
        mode = TLSMode.VERIFY_CA
    if mode is not None and mode >= TLSMode.REQUIRE and check_identity:
        mode = TLSMode.VERIFY_FULL
    return mode


def _read_mode(name: str, value: Any, fields: dict[str, Any]) -> TLSMode:
    """Return the mode that *value* asks for; what comes with it goes into *fields*."""
    if isinstance(value, Mapping):
        return _read_dict(name, value, fields)
    mode = _read_word(name, value)
    if str(value).lower() == "true":
        fields["system_authorities"] = True
    return mode


def _read_word(name: str, value: Any) -> TLSMode:
    if isinstance(value, bool):
        return TLSMode.VERIFY_FULL if value else TLSMode.DISABLE
    if isinstance(value, str):
        mode = _WORDS.get(value.strip().lower().replace("_", "-"))
        if mode is not None:
            return mode
    known = ", ".join(each.word for each in TLSMode)
    raise ConfigurationError(
        f"cannot set up TLS: {name}={value!r} is no mode; give one of {known}, true or false"
    )


def _read_dict(name: str, value: Mapping[str, Any], fields: dict[str, Any]) -> TLSMode:
    unknown = sorted(str(key) for key in value if key not in _DICT_NAMES)
    if unknown:
        raise ConfigurationError(
            f"cannot set up TLS: {name} has no key {unknown[0]!r}; "
            f"give some of {', '.join(sorted(_DICT_NAMES))}"
        )
    fields.update({key: value[key] for key in _FILE_NAMES if value.get(key) is not None})
    verify = value.get("verify_mode")
    if verify is None:
        verifies = bool(value.get("ca") or value.get("capath"))
    else:
        verifies = str(verify).lower() not in ("none", "false", "0", "no", str(ssl.CERT_NONE))
    if not verifies:
        # An authority that is not to be used would raise REQUIRE to VERIFY_CA.
        fields.pop("ca", None)
        fields.pop("capath", None)
        return TLSMode.REQUIRE
    checks_name = value.get("check_hostname")
    if checks_name is None or _is_true(checks_name):
        return TLSMode.VERIFY_FULL
    return TLSMode.VERIFY_CA


def _mode_of_context(context: ssl.SSLContext) -> TLSMode:
    if context.verify_mode is not ssl.CERT_REQUIRED:
        return TLSMode.REQUIRE
    return TLSMode.VERIFY_FULL if context.check_hostname else TLSMode.VERIFY_CA


def _is_true(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() in ("true", "1", "yes", "on")
    return bool(value)


def _version(word: str) -> ssl.TLSVersion:
    try:
        return ssl.TLSVersion[word.replace(".", "_")]
    except KeyError:
        raise ConfigurationError(
            f"cannot set up TLS: {word!r} is no version of the protocol; give TLSv1.2 or TLSv1.3"
        ) from None


def _system_ca_file() -> str:
    found = ssl.get_default_verify_paths().cafile
    for path in (found, *_SYSTEM_CA_FILES):
        if path and Path(path).exists():
            return path
    return "system"  # libpq 16 and newer ask OpenSSL then
