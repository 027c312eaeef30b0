"""Which service is guilty, and of what."""
