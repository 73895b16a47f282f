"""For the tests of programs: databases made for a run, and what was sent to them.

With pytest, use the fixtures of `databases.testing.plugin`, which are loaded
by themselves; they stand on what is here.
"""

from __future__ import annotations

from databases.testing.created import Schema, temporary_database

__all__ = ["Schema", "temporary_database"]
