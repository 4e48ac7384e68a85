"""What SREs try rules with before production: unit tests, backtests, questions to a real server."""
