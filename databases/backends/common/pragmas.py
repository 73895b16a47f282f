"""Pragmas: the settings of an SQLite connection that may be given as options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from databases.errors import ConfigurationError

__all__ = ["PRAGMAS", "read_pragmas"]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Reads one of a few words, in any case; some have a number too."""

    words: tuple[str, ...]
    numbers: Mapping[str, str] | None = None

    def __call__(self, text: str) -> str:
        """Return the word that *text* means; raise ``ValueError`` if there is none."""
        word = text.lower()
        word = (self.numbers or {}).get(word, word)
        if word not in self.words:
            raise ValueError(text)
        return word

    @property
    def expected(self) -> str:
        """What it reads, for a message."""
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """Reads a whole number that is *least* or more."""

    least: int

    def __call__(self, text: str) -> str:
        """Return the number as SQLite reads it; raise ``ValueError`` if it is none."""
        number = int(text)
        if number < self.least:
            raise ValueError(text)
        return str(number)

    @property
    def expected(self) -> str:
        """What it reads, for a message."""
        return f"a whole number, {self.least} or more"


def _numbered(*words: str) -> Choice:
    return Choice(words, {str(number): word for number, word in enumerate(words)})


_SWITCH = Choice(
    ("on", "off"),
    {"1": "on", "true": "on", "yes": "on", "0": "off", "false": "off", "no": "off"},
)

# In the order in which they are sent: the others may have to wait for a lock.
PRAGMAS: Mapping[str, Choice | Number] = {
    "busy_timeout": Number(0),
    "auto_vacuum": _numbered("none", "full", "incremental"),
    "journal_mode": Choice(("delete", "truncate", "persist", "memory", "wal", "off")),
    "synchronous": _numbered("off", "normal", "full", "extra"),
    "foreign_keys": _SWITCH,
    "cache_size": Number(-(2**31)),
    "mmap_size": Number(0),
    "temp_store": _numbered("default", "file", "memory"),
    "wal_autocheckpoint": Number(0),
    "journal_size_limit": Number(-1),
    "recursive_triggers": _SWITCH,
    "trusted_schema": _SWITCH,
    "query_only": _SWITCH,
}
"""Every pragma that an option sets, with what reads its value."""


def read_pragmas(arguments: dict[str, Any]) -> dict[str, str]:
    """Take the pragmas out of *arguments*, in the order in which they are to be set.

    Raises `ConfigurationError` for a value that a pragma does not have.
    """
    found: dict[str, str] = {}
    for name, read in PRAGMAS.items():
        value = arguments.pop(name, None)
        if value is None:
            continue
        try:
            found[name] = read(str(value))
        except ValueError:
            raise ConfigurationError(
                f"cannot use the option {name!r}: {value!r} is not {read.expected}; correct it"
            ) from None
    return found
