"""A real control plane on one machine, for the demo and the tests, and the demo itself."""
