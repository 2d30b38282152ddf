"""Real gateways under load whose processes and whose database die at random moments, and what it did to the
books. The helpers are those of the tests: `tests/databases` and `tests/e2e` are on the path."""
