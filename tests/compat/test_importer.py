"""``databases.importer``: the function and the messages of its errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from databases import Database
from databases.importer import ImportFromStringError, import_from_string


def test_import_returns_the_attribute() -> None:
    assert import_from_string("databases.core:Database") is Database


def test_import_follows_dots_in_the_attribute() -> None:
    assert import_from_string("databases.core:Database.connect") is Database.connect


@pytest.mark.parametrize("text", ["databases", "databases.core", "databases:", ":Database", ""])
def test_text_without_both_parts_is_an_error_that_shows_the_format(text: str) -> None:
    with pytest.raises(ImportFromStringError) as caught:
        import_from_string(text)

    expected = f'Import string "{text}" must be in format "<module>:<attribute>".'
    assert str(caught.value) == expected


def test_unknown_module_is_an_error_that_names_it() -> None:
    with pytest.raises(ImportFromStringError) as caught:
        import_from_string("databases.nowhere:Database")

    assert str(caught.value) == 'Could not import module "databases.nowhere".'


def test_unknown_attribute_is_an_error_that_names_it_and_the_module() -> None:
    with pytest.raises(ImportFromStringError) as caught:
        import_from_string("databases.core:Nothing")

    assert str(caught.value) == 'Attribute "Nothing" not found in module "databases.core".'


def test_import_error_inside_the_module_passes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compat_broken_module.py").write_text("import compat_missing_module\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ImportError) as caught:
        import_from_string("compat_broken_module:anything")

    assert not isinstance(caught.value, ImportFromStringError)
    assert "compat_missing_module" in str(caught.value)
    assert "compat_broken_module" not in sys.modules


def test_import_from_string_error_is_an_exception() -> None:
    assert issubclass(ImportFromStringError, Exception)
