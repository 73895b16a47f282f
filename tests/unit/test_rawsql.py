from __future__ import annotations

import re
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databases.backends.common.rawsql import (
    MYSQL,
    POSTGRESQL,
    SQLITE,
    Style,
    Syntax,
    check_parameters,
    expand,
    list_lengths,
    parse,
    render,
)
from databases.errors import ParameterError

ENGINES = pytest.mark.parametrize(
    "syntax", [POSTGRESQL, MYSQL, SQLITE], ids=["postgresql", "mysql", "sqlite"]
)


def bound(
    sql: str, values: dict[str, Any], syntax: Syntax = POSTGRESQL, style: Style = "numeric_dollar"
) -> tuple[str, list[Any]]:
    parsed = parse(sql, syntax)
    check_parameters(parsed.names, values)
    text, order = render(parsed, style, list_lengths(parsed, values))
    return text, expand(order, values)


def names(sql: str, syntax: Syntax) -> set[str]:
    return set(parse(sql, syntax).names)


@ENGINES
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT :a",
        "SELECT x=:a",
        "SELECT (:a)",
        "SELECT 1,:a",
        "SELECT :a::int",
        "SELECT 'it''s', :a",
        "SELECT 'x':: text, :a",
        'SELECT ":n", :a',
        "SELECT /* :n */ :a",
        "SELECT /* ' */ :a /* ' */",
        "SELECT -- :n\n :a",
        "SELECT 1 -- ' \n, :a",
        "SELECT ':n', :a",
        "SELECT ':n''', :a, ':n'",
        "SELECT x->>'y' :a",
        "SET @x := :a",
        "SELECT :a\n",
        "SELECT '%', :a % 2",
        "SELECT 12:30, x:n, :a",
        r"SELECT \:n, :a",
        ":a",
    ],
)
def test_only_the_parameter_is_found(sql: str, syntax: Syntax) -> None:
    assert names(sql, syntax) == {"a"}


@ENGINES
@pytest.mark.parametrize(
    "sql",
    [
        "",
        ":",
        "::",
        ":1",
        "a[1:2]",
        "a[i:j]",
        "x::text",
        "x :: text",
        "@v := 1",
        "':n",
        '":n',
        "/* :n",
        "-- :n",
        r"\:n",
        r"\:\:n",
        ":::n",
    ],
)
def test_no_parameter_is_found(sql: str, syntax: Syntax) -> None:
    assert names(sql, syntax) == set()


@pytest.mark.parametrize(
    ("sql", "syntax", "expected"),
    [
        # PostgreSQL: E-strings, dollar quotes, nesting comments
        (r"SELECT E'\':n', :a", POSTGRESQL, {"a"}),
        (r"SELECT '\', :a", POSTGRESQL, {"a"}),
        (r"SELECT se'\', :a", POSTGRESQL, {"a"}),
        ("SELECT $$ :n $$, :a", POSTGRESQL, {"a"}),
        ("SELECT $t$ :n $$ :n $t$, :a", POSTGRESQL, {"a"}),
        ("SELECT x$y$, :a, z$y$", POSTGRESQL, {"a"}),
        ("/* /* :n */ :n */ :a", POSTGRESQL, {"a"}),
        ("/* /* :n */ :a", POSTGRESQL, set()),
        ("SELECT x # :a", POSTGRESQL, {"a"}),
        ("SELECT x[:a]", POSTGRESQL, {"a"}),
        ("SELECT x[:a:5]", POSTGRESQL, {"a"}),
        ("SELECT j ? :a, j ?| :b, j @> :c", POSTGRESQL, {"a", "b", "c"}),
        ("--:n\n:a", POSTGRESQL, {"a"}),
        # MySQL: backslashes, # and the blank after --
        (r"SELECT '\':n', :a", MYSQL, {"a"}),
        (r'SELECT "\":n", :a', MYSQL, {"a"}),
        ("SELECT 'x\\", MYSQL, set()),
        ("SELECT `:n`, :a # :n", MYSQL, {"a"}),
        ("SELECT 5--:a", MYSQL, {"a"}),
        ("-- :n\n:a", MYSQL, {"a"}),
        ("/* /* :n */ :a", MYSQL, {"a"}),
        ("SELECT $$, :a, $$", MYSQL, {"a"}),
        # SQLite: brackets, no backslashes
        ("SELECT [:n], `:n`, :a", SQLITE, {"a"}),
        (r"SELECT '\', :a", SQLITE, {"a"}),
        ("/* /* :n */ :a", SQLITE, {"a"}),
        ("SELECT :größe", SQLITE, {"größe"}),
    ],
)
def test_quoting_of_each_engine(sql: str, syntax: Syntax, expected: set[str]) -> None:
    assert names(sql, syntax) == expected


@pytest.mark.parametrize(
    ("style", "expected", "arguments"),
    [
        ("numeric_dollar", "$1 $2 $1", [1, 2]),
        ("qmark", "? ? ?", [1, 2, 1]),
        ("format", "%s %s %s", [1, 2, 1]),
    ],
)
def test_each_style_writes_its_parameters(
    style: Style, expected: str, arguments: list[int]
) -> None:
    assert bound(":a :b :a", {"a": 1, "b": 2}, style=style) == (expected, arguments)


def test_order_without_lists_is_plain_names() -> None:
    _, order = render(parse("x = :a AND y IN (:b)", SQLITE), "qmark")

    assert order == ("a", "b")
    assert all(type(name) is str for name in order)


def test_percent_is_doubled_for_format() -> None:
    assert bound("'%s' % :a", {"a": 1}, style="format") == ("'%%s' %% %s", [1])


def test_percent_is_kept_where_the_driver_does_not_undo_it() -> None:
    assert render(parse("'%s' %", MYSQL), "format", double_percent=False) == ("'%s' %", ())


@pytest.mark.parametrize("style", ["numeric_dollar", "qmark"])
def test_percent_is_kept_elsewhere(style: Style) -> None:
    assert bound("x % 2 LIKE '%%'", {}, style=style) == ("x % 2 LIKE '%%'", [])


@pytest.mark.parametrize(
    "text", ["IN :ids", "IN (:ids)", "in  ( :ids )", "NOT IN :ids", "IN\n:ids"]
)
@pytest.mark.parametrize("kind", [list, tuple, set])
def test_list_spreads_after_in(text: str, kind: type) -> None:
    sql, arguments = bound(f"x {text} AND y", {"ids": kind([1, 2])})

    assert "".join(sql.split()).lower() == (
        "x" + "".join(text.split()).lower().replace("(", "").replace(")", "") + "andy"
    ).replace(":ids", "($1,$2)")
    assert arguments == [1, 2]


@pytest.mark.parametrize(("style", "mark"), [("qmark", "?"), ("format", "%s")])
def test_list_spreads_in_every_style(style: Style, mark: str) -> None:
    sql, arguments = bound("x = :a AND y IN :ids", {"a": 0, "ids": [1, 2]}, style=style)

    assert sql == f"x = {mark} AND y IN ({mark}, {mark})"
    assert arguments == [0, 1, 2]


def test_list_elsewhere_is_one_argument() -> None:
    assert bound("x = ANY(:ids)", {"ids": [1, 2]}) == ("x = ANY($1)", [[1, 2]])


def test_list_in_both_places_is_given_both_ways() -> None:
    sql, arguments = bound("x IN :ids OR y = ANY(:ids) OR z IN (:ids)", {"ids": [1, 2]})

    assert sql == "x IN ($1, $2) OR y = ANY($3) OR z IN ($1, $2)"
    assert arguments == [1, 2, [1, 2]]


def test_scalar_after_in_is_one_argument() -> None:
    assert bound("x IN (:a) AND y IN (:b, :c)", {"a": 1, "b": 2, "c": 3}) == (
        "x IN ($1) AND y IN ($2, $3)",
        [1, 2, 3],
    )


@pytest.mark.parametrize("text", ["x.in :a", "begin :a", "@in :a", "-- in\n:a", "'x in' :a"])
def test_a_word_that_ends_in_in_is_no_operator(text: str) -> None:
    assert not parse(text, SQLITE).list_names


def test_empty_list_takes_the_column_type_on_postgresql() -> None:
    sql, arguments = bound("x IN :ids AND y NOT IN (:ids)", {"ids": []})

    assert sql == "x = ANY ('{}') AND y <> ALL ('{}')"
    assert arguments == []


@pytest.mark.parametrize("operand", ["1", "'a'", "NULL"])
def test_empty_list_is_never_in_and_always_not_in(operand: str) -> None:
    sql, arguments = bound(
        f"SELECT {operand} IN :ids, {operand} NOT IN (:ids), NOT {operand} IN :ids",
        {"ids": []},
        SQLITE,
        "qmark",
    )

    connection = sqlite3.connect(":memory:")
    try:
        assert connection.execute(sql, arguments).fetchone() == (0, 1, 1)
    finally:
        connection.close()


def test_escaped_colon_is_a_colon() -> None:
    assert bound(r"SELECT '12\:30', x\:\:int", {}) == ("SELECT '12:30', x::int", [])


@pytest.mark.parametrize(
    ("sql", "syntax"), [(r"SELECT 'a\\:b'", MYSQL), (r"SELECT E'a\\:b'", POSTGRESQL)]
)
def test_backslashes_that_mean_something_to_the_server_are_kept(sql: str, syntax: Syntax) -> None:
    assert render(parse(sql, syntax), "qmark") == (sql, ())


def test_dollar_numbers_beside_names_are_an_error() -> None:
    with pytest.raises(ParameterError, match=r"both \$1 and :name"):
        bound("SELECT $1, :a", {"a": 1})


@ENGINES
def test_dollar_numbers_alone_are_left(syntax: Syntax) -> None:
    assert render(parse("SELECT $1, ?", syntax), "qmark") == ("SELECT $1, ?", ())


def test_dollar_numbers_in_quotes_are_left() -> None:
    assert bound("SELECT '$1', :a", {"a": 1}) == ("SELECT '$1', $1", [1])


def test_missing_and_surplus_names_are_told_without_values() -> None:
    with pytest.raises(ParameterError) as caught:
        check_parameters(parse(":a :b :c", SQLITE).names, {"a": 1, "d": "hidden"})

    message = str(caught.value)
    assert message.startswith("cannot bind: no value for 'b', 'c'")
    assert "no parameter 'd'" in message
    assert "hidden" not in message


def test_only_missing_names_are_told() -> None:
    with pytest.raises(ParameterError, match="no value for 'a'") as caught:
        check_parameters({"a"}, {})

    assert "surplus" not in str(caught.value)


def test_only_surplus_names_are_told() -> None:
    with pytest.raises(ParameterError, match="no parameter 'a'") as caught:
        check_parameters((), {"a": 1})

    assert "no value" not in str(caught.value)


@pytest.mark.parametrize("names", [("a", "b"), {"b", "a"}, ["b", "a"]])
def test_names_that_agree_pass(names: Any) -> None:
    check_parameters(names, {"a": None, "b": 1})


@pytest.mark.parametrize("quote", ["'", '"', "$$", "/*", "--", "\\", "E'\\", "(", ":", "[", "in "])
@ENGINES
def test_hostile_text_takes_linear_time(quote: str, syntax: Syntax) -> None:
    parse(quote * 20_000, syntax)


plain_text = st.text(alphabet="abE ':\"`[]$\\%?*/-#\n(),12in", max_size=40)


@given(plain_text)
def test_text_without_parameters_keeps_all_but_escaped_colons(text: str) -> None:
    parsed = parse(text, SQLITE)
    if parsed.names:
        return

    assert render(parsed, "qmark") == (text.replace("\\:", ":"), ())


@ENGINES
@given(text=plain_text)
def test_pieces_make_up_the_text(syntax: Syntax, text: str) -> None:
    parsed = parse(text, syntax)

    rebuilt = parsed.literals[0]
    for occurrence, literal in zip(parsed.occurrences, parsed.literals[1:], strict=True):
        rebuilt += f"{occurrence.opening}:{occurrence.name}{occurrence.closing}{literal}"

    # An escaped colon outside literals has lost its backslash.
    assert re.sub(r"\\+:", ":", rebuilt) == re.sub(r"\\+:", ":", text)


@given(st.text(max_size=40))
def test_quoted_text_is_left_alone(text: str) -> None:
    literal = "'" + text.replace("'", "''").replace("\\:", "") + "'"
    if "\\:" in literal:
        return

    assert bound(f"SELECT {literal}, :a", {"a": 1}) == (f"SELECT {literal}, $1", [1])
