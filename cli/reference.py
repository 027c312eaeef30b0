"""What is generated from the settings model: `.env.example`, so that it cannot drift (a test compares)."""

from __future__ import annotations

import sys

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from schemas.settings import PREFIX, Settings


def env_example() -> str:
    """Return every setting with its meaning and default, commented out; secrets stay empty."""
    lines = [
        "# Every setting of AIRRA with its default. Copy what you change into the environment, or into a TOML file",
        "# that AIRRA_SETTINGS names (there the names are lower case, without the prefix).",
        "",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr) or default is None or default is PydanticUndefined:
            shown = ""
        elif isinstance(default, tuple):
            shown = ",".join(default)
        else:
            shown = str(default).lower() if isinstance(default, bool) else str(default)
        lines += [f"# {field.description}", f"# {PREFIX}{name.upper()}={shown}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(env_example())
