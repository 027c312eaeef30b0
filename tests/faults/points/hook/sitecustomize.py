"""Loaded by the interpreter of a process that is to be struck: this folder stands on its PYTHONPATH."""

import os

if any(name.startswith("FAULT_") for name in os.environ):
    from tests.faults.points.strike import install

    install()
