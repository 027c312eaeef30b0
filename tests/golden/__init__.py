"""Bytes that real producers wrote, what the producers say of them, and the program that recorded both (record.py)."""
