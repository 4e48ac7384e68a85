"""Decide: pure functions over frozen values, with no clock, no I/O and no framework."""
