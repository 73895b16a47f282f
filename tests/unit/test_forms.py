"""Forms of expressions: they never take two statements for one, and know each parameter's place."""

from __future__ import annotations

import datetime
import warnings
from itertools import combinations
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import event, given, settings
from hypothesis import strategies as st

from databases.backends.common.forms import form_of
from tests.support.tables import accounts, notes

EXAMPLES = settings(max_examples=300, deadline=None, database=None)
things = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(20)),
    sa.Column("size", sa.Numeric(10, 2)),
    sa.Column("made", sa.DateTime),
    sa.Column("data", sa.JSON),
)
aliased = things.alias()
Draw = st.DrawFn

COLUMNS = st.sampled_from([things.c.id, things.c.name, things.c.size, notes.c.id, aliased.c.id])
VALUES: Any = st.sampled_from([1, 2, "a", "", None, 1.5, datetime.datetime(2024, 1, 1)])
LISTS = st.lists(st.integers(0, 3), max_size=3)


def _made(make: Any) -> Any:
    return make()


PARAMETERS: Any = st.sampled_from(
    [
        lambda: sa.bindparam("x"),
        lambda: sa.bindparam("x", 1),
        lambda: sa.bindparam("y", 1),
        lambda: sa.bindparam("x", type_=sa.String()),
        lambda: sa.bindparam("x", 1, unique=True),
        lambda: sa.bindparam("x", literal_execute=True),
        lambda: sa.bindparam("x", callable_=lambda: 1),
        lambda: sa.literal(1, sa.Numeric(10, 2)),
        lambda: sa.literal(1, sa.Numeric(12, 4)),
        lambda: sa.literal("a", sa.String(5)),
    ]
).map(_made)


@st.composite
def criteria(draw: Draw) -> Any:
    column, other = draw(COLUMNS), draw(st.one_of(VALUES, PARAMETERS, COLUMNS))
    number = draw(st.integers(0, 2))
    kind = draw(st.integers(0, 11))
    if kind == 0:
        return column.in_(draw(LISTS))
    if kind == 1:
        return column.is_(None)
    if kind == 2:
        return sa.or_(column == other, column != other)
    if kind == 3:
        return column + number > things.c.id - number
    if kind == 4:
        return column.op(draw(st.sampled_from(["~", "@@"])))(other)
    if kind == 5:
        return ~(column == other)
    if kind == 6:
        return things.c.data["a"] == sa.literal("b", sa.JSON())
    if kind == 7:
        return sa.func.lower(column) == other
    compare = draw(st.sampled_from(["__eq__", "__ne__", "__lt__", "__ge__"]))
    return getattr(column, compare)(number if other is None else other)


@st.composite
def selects(draw: Draw) -> Any:
    # Like applications, which ask for whole tables and for columns.
    columns = st.lists(st.one_of(COLUMNS, st.just(things)), min_size=1, max_size=3)
    query = sa.select(*draw(columns))
    steps: Any = [
        lambda: query.where(draw(criteria())),
        lambda: query.order_by(draw(COLUMNS)),
        lambda: query.order_by(draw(COLUMNS).desc()),
        lambda: query.limit(draw(st.integers(0, 3))),
        lambda: query.offset(draw(st.one_of(st.integers(0, 3), PARAMETERS))),
        lambda: query.group_by(draw(COLUMNS)),
        query.distinct,
        query.with_for_update,
        lambda: query.prefix_with("x"),
        lambda: query.set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL),
        lambda: query.params(x=draw(st.integers(0, 3))),
        lambda: query.execution_options(x=1),
        lambda: query.join_from(things, notes, things.c.id == notes.c.id),
    ]
    for step in draw(st.lists(st.sampled_from([0, 0, 0, *range(len(steps))]), max_size=4)):
        query = steps[step]()
    return query


@st.composite
def changes(draw: Draw) -> Any:
    table: Any = draw(st.sampled_from([things, notes]))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return table.insert()
    if kind == 1:
        return table.insert().values(id=draw(st.integers(0, 3)))
    if kind == 2:
        return table.insert().returning(table.c.id)
    return table.delete().where(draw(criteria()))


@EXAMPLES
@given(st.lists(st.one_of(selects(), selects(), changes()), min_size=2, max_size=8))
def test_what_has_one_form_has_one_cache_key(expressions: list[Any]) -> None:
    found = []
    for expression in expressions:
        form = form_of(expression)
        if form is None:
            event("no form")
            continue
        event("a form")
        key = expression._generate_cache_key()
        found.append((form[0], key))
        assert [id(each) for each in form[1]] == [id(each) for each in key.bindparams]

    for (form_a, key_a), (form_b, key_b) in combinations(found, 2):
        if form_a == form_b:
            event("the same form twice")
            assert key_a.key == key_b.key


@pytest.mark.parametrize(
    "make",
    [
        lambda n: notes.select().where(notes.c.id == n),
        lambda n: sa.select(notes.c.id, notes.c.text).where(notes.c.id > n, notes.c.text != "a"),
        lambda n: notes.select().order_by(notes.c.id.desc()).limit(n).offset(n),
        lambda n: sa.select(notes).where(notes.c.id.in_([n, n + 1])).order_by(notes.c.text),
        lambda n: notes.select().where(notes.c.text.is_(None), notes.c.id + n < 3),
        lambda n: notes.insert(),
        lambda n: accounts.delete().where(accounts.c.id == n),
    ],
)
def test_common_expressions_have_a_form_whatever_their_values(make: Any) -> None:
    forms = [form_of(make(number)) for number in (1, 2)]

    assert forms[0] is not None
    assert forms[1] is not None
    assert forms[0][0] == forms[1][0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: notes.select().distinct(),
        lambda: sa.select(sa.func.count()),
        lambda: sa.text("SELECT 1"),
        lambda: notes.select().with_for_update(),
        lambda: sa.union(notes.select(), notes.select()),
        lambda: notes.alias().select(),
        lambda: sa.select(notes).join(accounts, accounts.c.id == notes.c.id),
        lambda: notes.insert().values(text="a"),
        notes.update,
    ],
)
def test_others_have_none(make: Any) -> None:
    assert form_of(make()) is None


def test_a_parameter_that_is_there_twice_has_no_form() -> None:
    parameter: Any = sa.bindparam("x", 1)

    assert form_of(notes.select().where(notes.c.id == parameter, notes.c.id != parameter)) is None


@pytest.mark.parametrize("are_errors", [True, False])
def test_a_type_that_must_not_be_cached_has_none(*, are_errors: bool) -> None:
    class Careless(sa.TypeDecorator[str]):
        impl = sa.String

    with warnings.catch_warnings():
        warnings.simplefilter("error" if are_errors else "ignore")

        query = notes.select().where(notes.c.text == sa.literal("a", Careless()))

        assert form_of(query) is None
