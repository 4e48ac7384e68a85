"""Execute and inspect actions, one module per type."""
