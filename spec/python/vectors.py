# SPDX-License-Identifier: MIT OR Apache-2.0
"""Makes the vectors that tell a broken implementation from a right one.

    python3 vectors.py DIRECTORY [NAME...]
"""

import sys
import time
from pathlib import Path

from scenes import braid, braid_failures, chains, device_states, epochs, formulas, handshakes, keys, policy, sealing, session_states

MODULES = (keys, handshakes, chains, braid, braid_failures, epochs, sealing, session_states, device_states, policy, formulas)
ALL = [scene for module in MODULES for scene in module.ALL]


def main() -> int:
    directory, names = Path(sys.argv[1]), sys.argv[2:]
    directory.mkdir(parents=True, exist_ok=True)
    for scene in ALL:
        if names and scene.__name__ not in names:
            continue
        begun = time.monotonic()
        stage = scene()
        stage.write(directory)
        size = (directory / f"{stage.name}.json").stat().st_size
        print(f"{stage.name}.json: {len(stage.events)} events, {size} bytes, {time.monotonic() - begun:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
