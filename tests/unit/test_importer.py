from __future__ import annotations

import os.path
from pathlib import Path

import pytest

from databases.importer import ImportFromStringError, import_from_string


def test_attribute_is_found() -> None:
    assert import_from_string("os:path") is os.path


def test_dotted_attribute_is_found() -> None:
    assert import_from_string("os:path.join") is os.path.join


@pytest.mark.parametrize("text", ["", "os", ":", "os:", ":path"])
def test_malformed_string_is_named(text: str) -> None:
    with pytest.raises(ImportFromStringError) as caught:
        import_from_string(text)

    expected = f'Import string "{text}" must be in format "<module>:<attribute>".'
    assert str(caught.value) == expected


@pytest.mark.parametrize("module", ["nowhere_to_be_found", "os.nowhere"])
def test_missing_module_is_named(module: str) -> None:
    with pytest.raises(ImportFromStringError) as caught:
        import_from_string(f"{module}:anything")

    assert str(caught.value) == f'Could not import module "{module}".'


@pytest.mark.parametrize("attribute", ["nowhere", "path.nowhere", "path:join"])
def test_missing_attribute_is_named(attribute: str) -> None:
    with pytest.raises(ImportFromStringError) as caught:
        import_from_string(f"os:{attribute}")

    assert str(caught.value) == f'Attribute "{attribute}" not found in module "os".'


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import nowhere_to_be_found", ModuleNotFoundError),
        ("from os import nowhere", ImportError),
        ("1 / 0", ZeroDivisionError),
    ],
)
def test_error_inside_the_module_passes_through(
    source: str, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_that_fails.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(kind) as caught:
        import_from_string("module_that_fails:anything")

    assert not isinstance(caught.value, ImportFromStringError)
