"""Carry data one way: slot, observations, records, effects."""
