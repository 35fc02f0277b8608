"""``python -m tests.fake_vasp FOLDER``: install there and print what a shell needs to know."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tests.fake_vasp.install import install

if len(sys.argv) < 2:
    sys.exit("usage: python -m tests.fake_vasp FOLDER [POTENTIAL ...]")
for name, value in install(Path(sys.argv[1]).resolve(), sys.argv[2:] or None).environment.items():
    print(f"export {name}={shlex.quote(value)}")
