"""Days made of a recording, and the real pipeline over them: how often an incident opens though nothing is wrong."""
