# SPDX-License-Identifier: MIT OR Apache-2.0
"""Holds conversations between this package and the Rust crate, in both roles, and shows with controls that it can fail.

    python3 interop.py [--peer PATH] [--seed N] [--only SCENARIO | --control NAME | --list]

Without --control: all scenarios, then all controls, each of which must fail. With it: that control alone, which exits
with 1, as a failure does.
"""

import argparse
import sys
import time
from collections import Counter

import controls
import scenarios
from peer import DEFAULT_PEER, Environment
from scenarios import FAILURES


def run(scenario, command: list[str], seed: int) -> int:
    env = Environment(command, seed)
    try:
        return scenario(env)
    finally:
        env.rust.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="the built examples/peer; without it, cargo runs the peer")
    parser.add_argument("--seed", type=int, default=1)
    names = [scenario.__name__ for scenario in scenarios.ALL]
    parser.add_argument("--only", choices=names, help="one scenario, without controls")
    parser.add_argument("--control", choices=[control.name for control in controls.ALL])
    parser.add_argument("--list", action="store_true", help="print the names of the controls")
    options = parser.parse_args()
    command = [options.peer] if options.peer else DEFAULT_PEER
    named = {scenario.__name__: scenario for scenario in scenarios.ALL}
    if options.list:
        print("\n".join(f"{control.name:24} {control.what}" for control in controls.ALL))
        return 0
    if options.control:
        control = next(control for control in controls.ALL if control.name == options.control)
        failure = caught(control, named, command, options.seed)
        print(f"{control.name}: {control.what}: {failure or 'NOT DETECTED'}")
        return 1 if failure else 0

    begun, outcomes = time.monotonic(), Counter()
    print(f"{'scenario':14} {'opened':>6} {'s':>5}")
    for name, scenario in named.items():
        if options.only not in (None, name):
            continue
        clock = time.monotonic()
        try:
            result = f"{run(scenario, command, options.seed):6}"
            outcomes["passed"] += 1
        except FAILURES as failure:
            result = f"FAILED: {type(failure).__name__} {failure}"
            outcomes["failed"] += 1
        print(f"{name:14} {result} {time.monotonic() - clock:5.1f}", flush=True)
    for control in controls.ALL if options.only is None else []:
        failure = caught(control, named, command, options.seed)
        outcomes["controls detected" if failure else "controls NOT DETECTED"] += 1
        if failure is None:
            print(f"control {control.name}: {control.what}: NOT DETECTED by {control.scenario}")
    print(", ".join(f"{count} {what}" for what, count in outcomes.items()), f"in {time.monotonic() - begun:.0f} s")
    return 1 if outcomes["failed"] or outcomes["controls NOT DETECTED"] else 0


def caught(control, named: dict, command: list[str], seed: int) -> str | None:
    """How the control's scenario fails with the control in place."""
    with control.applied():
        try:
            run(named[control.scenario], command, seed)
        except FAILURES as failure:
            return f"{type(failure).__name__} {failure}".strip()
    return None


if __name__ == "__main__":
    sys.exit(main())
