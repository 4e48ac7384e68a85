"""Answer HTTP: health, metrics and the read-only API."""
