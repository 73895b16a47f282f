"""Find the object that a string such as ``"package.module:Class"`` names."""

from __future__ import annotations

import importlib
from typing import Any

from databases.errors import ConfigurationError, DriverNotInstalledError

__all__ = ["ImportFromStringError", "import_driver", "import_from_string"]


class ImportFromStringError(ConfigurationError):
    """An import string that is malformed or names nothing."""


def import_from_string(import_str: str) -> Any:
    """Return the attribute that *import_str* names, as ``module:attribute``.

    The attribute may be dotted. Raises `ImportFromStringError` when there is
    no such module or attribute; an ``ImportError`` raised inside the module
    passes through, since what is missing then is another one.
    """
    module_name, _, attribute = import_str.partition(":")
    if not module_name or not attribute:
        raise ImportFromStringError(
            f'Import string "{import_str}" must be in format "<module>:<attribute>".'
        )
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise ImportFromStringError(f'Could not import module "{module_name}".') from None
    try:
        for name in attribute.split("."):
            found = getattr(found, name)
    except AttributeError:
        raise ImportFromStringError(
            f'Attribute "{attribute}" not found in module "{module_name}".'
        ) from None
    return found


def import_driver(module_name: str, *, extra: str | None = None) -> Any:
    """Return the driver package *module_name*, which *extra* installs.

    Raises `DriverNotInstalledError`, naming the extra, when it is missing.
    """
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise DriverNotInstalledError(
            f"cannot use the driver {module_name}: {error.name} is not installed; "
            f"pip install databases[{extra or module_name}]"
        ) from error
