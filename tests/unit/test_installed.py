"""What is installed uses nothing of what only a checkout has."""

import subprocess
import sys

from cli.main import COMMANDS

CODE = """
import sys
from importlib import import_module
sys.modules["tests"] = sys.modules["bench"] = None  # no import of these succeeds
for name in sys.argv[1:]:
    import_module(name)
"""


def test_every_command_is_there_without_benchmarks_and_tests() -> None:
    modules = sorted({*COMMANDS.values(), "cli.main"})
    done = subprocess.run([sys.executable, "-c", CODE, *modules], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
