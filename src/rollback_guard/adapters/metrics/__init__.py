"""Export what the guard sees and decides in Prometheus' format."""
