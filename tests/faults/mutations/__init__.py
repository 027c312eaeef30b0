"""Each safeguard of the harness and of the loop, taken out one at a time: some test must fail."""
