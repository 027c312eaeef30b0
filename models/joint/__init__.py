"""One score of a service from all its kinds: how far they are from what they usually are together."""
