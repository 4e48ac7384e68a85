"""Show the guard at work on a small real shop: two releases, a feature flag, customers, a Prometheus, and the guard.

Nothing is staged but the customers. What is shown is read from the guard's own API, and what it claims is checked
against the shop before the demo calls itself a success.
"""
