"""Which actions apply, what they risk, and which one is proposed."""
