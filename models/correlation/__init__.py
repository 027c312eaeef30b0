"""Which signals make one incident, and when it is over."""
