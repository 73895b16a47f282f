"""For the tests of programs: databases made for a run, and what was sent to them.

With pytest, use the fixtures of `databases.testing.plugin`, which are loaded
by themselves; they stand on what is here.
"""

from __future__ import annotations

from databases.testing.created import Schema, temporary_database
from databases.testing.statements import assert_num_queries, captured_statements

__all__ = ["Schema", "assert_num_queries", "captured_statements", "temporary_database"]
