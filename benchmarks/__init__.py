"""Measure this library beside its drivers by hand and beside its peers."""
