"""The import path of earlier releases for the PostgreSQL compiler."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql.base import PGCompiler

__all__ = ["APGCompiler_psycopg2", "PGCompiler_psycopg"]


class PGCompiler_psycopg(PGCompiler):  # noqa: N801  # the name that programs import
    """SQLAlchemy's PostgreSQL compiler under the name that programs import."""


class APGCompiler_psycopg2(PGCompiler_psycopg):  # noqa: N801  # likewise
    """Fills Python-side defaults in, for programs that compile by themselves."""

    def construct_params(self, *args: Any, **kwargs: Any) -> Any:
        """Return the parameters, with the default of each column that was not given."""
        parameters = super().construct_params(*args, **kwargs)
        defaults: list[tuple[Any, Any]]
        if self.isinsert:
            defaults = [(column, column.default) for column in self.insert_prefetch]
        elif self.isupdate:
            defaults = [(column, column.onupdate) for column in self.update_prefetch]
        else:
            return parameters
        name_of = self._within_exec_param_key_getter
        for column, default in defaults:
            name = name_of(column)
            if parameters.get(name) is None and (default.is_callable or default.is_scalar):
                # SQLAlchemy wraps functions so that they take a context.
                parameters[name] = default.arg(None) if default.is_callable else default.arg
        return parameters
