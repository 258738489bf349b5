"""Captions of the simulated tasks: who speaks in a channel, what each task makes of it, and a stream to read."""
