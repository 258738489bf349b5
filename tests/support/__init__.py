"""What the tests on the real API server share: a client, operator and simulator as processes, a world of both."""
