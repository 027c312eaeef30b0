"""Loaded by the interpreter of a process that is to be struck: this folder stands on its PYTHONPATH."""

import os

if os.environ.get("FAULT_POINT") or os.environ.get("FAULT_SEEN"):
    from tests.faults.points.strike import install

    install()
