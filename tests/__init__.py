"""Tests of the library: see conftest.py for the fixtures they share."""
