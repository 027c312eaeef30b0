"""The same work in other stream processors: a z-score with state per series, on the same messages, durably configured alike."""
