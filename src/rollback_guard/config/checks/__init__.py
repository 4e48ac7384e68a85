"""Cross-checks over a parsed configuration, one per module."""
