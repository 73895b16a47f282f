"""Behaviour that holds on every driver, each test run once per driver."""
