"""Test rule files: promtool's unit tests, and whole incidents played through the functions that run live."""
