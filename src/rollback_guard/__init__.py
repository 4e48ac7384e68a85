"""Watch a rollout, roll it back when it hurts, and check that this helped."""

__version__ = "0.1.0"
