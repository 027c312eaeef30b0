"""How improbable a point is under its series' own past: seasons, innovations, their tails, habituation, alarms."""
