"""Values by the names of a mapped class's attributes, whose columns are named otherwise."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import registry, synonym

from databases import Database
from tests.conftest import MakeDatabase
from tests.support.outside import Outside
from tests.support.tables import defaulted, words

_THEN = datetime.datetime(2024, 2, 3, 4, 5, 6)


class Word:
    """Its attributes are of another language than its columns."""

    mot: Any
    sens: Any


class Crossed:
    """Each attribute bears the name of the other's column."""


class Defaulted:
    """Its columns have defaults."""

    nom: Any


_registry = registry()
_registry.map_imperatively(
    Word,
    words,
    properties={
        "mot": words.c.word,
        "sens": words.c.meaning,
        "signification": synonym("sens"),
    },
)
_registry.map_imperatively(
    Crossed, words, properties={"meaning": words.c.word, "word": words.c.meaning}
)
_registry.map_imperatively(Defaulted, defaulted, properties={"nom": defaulted.c.name})


async def test_insert(database: Database, outside: Outside) -> None:
    for word in ("un", "deux"):
        await database.execute(sa.insert(Word), {"mot": word, "sens": word[0]})
    await database.execute(sa.insert(Word), {"mot": "trois", "signification": "t"})
    await database.execute(sa.insert(Word), {"word": "quatre", "meaning": "q"})

    assert outside.rows(sa.select(words).order_by(words.c.meaning)) == [
        ("deux", "d"),
        ("quatre", "q"),
        ("trois", "t"),
        ("un", "u"),
    ]


async def test_update(database: Database, outside: Outside) -> None:
    for word in ("un", "deux"):
        outside.insert(words, {"word": word, "meaning": "?"})

    for word in ("un", "deux"):
        changed = await database.execute(
            sa.update(Word).where(Word.mot == word), {"sens": word.upper()}
        )
        assert changed == 1

    rows = outside.rows(sa.select(words).order_by(words.c.word))
    assert rows == [("deux", "DEUX"), ("un", "UN")]


async def test_an_attribute_with_the_name_of_another_column(
    database: Database, outside: Outside
) -> None:
    await database.execute(sa.insert(Crossed), {"word": "meaning", "meaning": "word"})
    await database.execute_many(sa.insert(Crossed), [{"word": "b", "meaning": "a"}])

    assert outside.rows(sa.select(words).order_by(words.c.word.desc())) == [
        ("word", "meaning"),
        ("a", "b"),
    ]


async def test_many_rows(database: Database, outside: Outside) -> None:
    await database.execute_many(
        sa.insert(Word), [{"mot": str(n), "sens": str(-n)} for n in range(1500)]
    )

    rows = outside.rows(sa.select(words))
    assert {int(word): int(meaning) for word, meaning in rows} == {n: -n for n in range(1500)}


async def test_many_changes_with_parameters_of_the_query(
    database: Database, outside: Outside
) -> None:
    await database.execute_many(
        sa.insert(Word), [{"mot": "un", "sens": "1"}, {"mot": "deux", "sens": "2"}]
    )
    query = sa.update(Word).where(Word.mot == sa.bindparam("key"), Word.sens != "never")

    await database.execute_many(
        query, [{"key": "un", "sens": "one"}, {"key": "deux", "sens": "two"}]
    )
    assert await database.execute(query, {"key": "un", "sens": "eins"}) == 1

    rows = outside.rows(sa.select(words).order_by(words.c.word))
    assert rows == [("deux", "two"), ("un", "eins")]


async def test_parameters_beside_values_of_the_query(database: Database, outside: Outside) -> None:
    outside.insert(words, {"word": "un", "meaning": "?"})
    query = words.update().where(words.c.word == sa.bindparam("key")).values(meaning="own")

    await database.execute(query, {"key": "un", "meaning": words.c.word + "!"})

    assert outside.rows(sa.select(words)) == [("un", "un!")]


async def test_defaults_are_applied(database: Database, outside: Outside) -> None:
    await database.execute(sa.insert(Defaulted), {"nom": "a"})
    await database.execute_many(sa.insert(Defaulted), [{"nom": "b"}, {"nom": "c"}])
    await database.execute(sa.update(Defaulted).where(Defaulted.nom == "c"), {"nom": "d"})

    rows = outside.rows(
        sa.select(
            defaulted.c.name, defaulted.c.constant, defaulted.c.echo, defaulted.c.changed
        ).order_by(defaulted.c.name)
    )
    assert rows == [
        ("a", 42, "echo of a", None),
        ("b", 42, "echo of b", None),
        ("d", 42, "echo of c", _THEN),
    ]
    assert len(set(outside.column(defaulted.c.token))) == 3


async def test_each_is_compiled_once(make_database: MakeDatabase) -> None:
    async with make_database(query_cache_size=10) as database:
        for word in ("un", "deux", "trois"):
            await database.execute(sa.insert(Word), {"mot": word, "sens": "?"})

        assert database.cache_stats().misses == 1


async def test_a_name_that_is_none_is_an_error(database: Database) -> None:
    for query in (sa.insert(Word), sa.update(Word)):
        with pytest.raises(sa.exc.CompileError, match="wort"):
            await database.execute(query, {"mot": "un", "wort": "eins"})
