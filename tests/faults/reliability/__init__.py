"""The whole fault campaign: chapters of cases, a ledger of what was found, and the report made of it."""
