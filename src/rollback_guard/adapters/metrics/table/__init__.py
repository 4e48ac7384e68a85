"""The table of all metrics, by what they tell of."""
