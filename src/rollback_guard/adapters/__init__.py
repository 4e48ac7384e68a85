"""Touch the outside world: one module per thing that is touched."""
