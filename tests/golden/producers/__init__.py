"""How each producer is started, and what it is asked afterwards."""
