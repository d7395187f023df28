# SPDX-License-Identifier: MIT OR Apache-2.0
"""Breaks the client's rules, one at a time, and shows that the vectors notice each.

    python3 mutants.py [DIRECTORY] [--only NAME] [--jobs N]        (default: ../vectors, 2)

A mutant is the client with one piece of text replaced. It replays the files that name its rule, then the others, and
stops at the first difference; intermediate values are not compared. It fails, or it stands in `EQUIVALENT` with the
reason why no input can tell it from the client.
"""

import argparse
import importlib.abc
import importlib.util
import json
import multiprocessing
import re
import signal
import sys
import time
from pathlib import Path

from mutations import ALL, CONTROLS, EQUIVALENT, Mutant

HERE = Path(__file__).parent
SECONDS = 30
"""A mutant that takes longer does not end."""
LEAVES = {"noescrow.errors", "noescrow.curve", "noescrow.mlkem", "noescrow.erasure"}
"""Modules with caches, which depend on no other but these."""
LABEL = re.compile(r"\b[A-Z]{2}(?:-[A-Z])?-?\d+(?:\.\d+)?")


class Sources(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the client and the replay from compiled text, some of it replaced."""

    def __init__(self):
        files = [*(HERE / "noescrow").glob("*.py"), HERE / "replay.py"]
        self.text = {str(file.relative_to(HERE)): file.read_text() for file in files}
        self.code = {name: compile(text, name, "exec") for name, text in self.text.items()}
        self.replaced: dict = {}
        self.leaves: dict = {}

    def file_of(self, module: str) -> str | None:
        for name in (module.replace(".", "/") + ".py", module.replace(".", "/") + "/__init__.py"):
            if name in self.text:
                return name
        return None

    def find_spec(self, fullname, path, target=None):
        file = self.file_of(fullname)
        if file is None:
            return None
        spec = importlib.util.spec_from_loader(fullname, self, is_package=file.endswith("__init__.py"))
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        file = self.file_of(module.__name__)
        exec(self.replaced.get(file) or self.code[file], module.__dict__)

    def mutated(self, mutant: Mutant | None):
        """The replay's module, on the mutated client."""
        self.replaced = {}
        if mutant:
            file = f"noescrow/{mutant.file}"
            count = self.text[file].count(mutant.old)
            if count != 1:
                raise ValueError(f"{mutant.name}: its text is in {file} {count} times")
            self.replaced[file] = compile(self.text[file].replace(mutant.old, mutant.new), file, "exec")
        for name in [name for name in sys.modules if name == "replay" or name.split(".")[0] == "noescrow"]:
            del sys.modules[name]
        changed = {"noescrow/" + mutant.file} if mutant else set()
        # A leaf that imports a changed one is loaded anew, too.
        if not changed & {self.file_of(leaf) for leaf in LEAVES}:
            sys.modules.update(self.leaves)
        module = importlib.import_module("replay")
        if not self.leaves and mutant is None:
            self.leaves = {name: sys.modules[name] for name in LEAVES}
        module.Replay.compares_values = False
        return module


SOURCES = Sources()
FILES: dict[str, list[dict]] = {}
NAMED: dict[str, set[str]] = {}
"""The labels that each file names, in its comment or at its events."""


def load(directory: Path) -> None:
    for file in sorted(directory.glob("*.json"), key=lambda file: file.stat().st_size):
        vectors = json.loads(file.read_text())
        FILES[file.name] = vectors["events"]
        texts = [vectors["comment"], *(event.get("why", "") for event in vectors["events"])]
        NAMED[file.name] = {label for text in texts for label in LABEL.findall(text)}


def base(rule: str) -> str:
    return rule.split(".")[0]


def files_of(rule: str) -> tuple[list[str], list[str]]:
    """The files that name the rule, those that name the very part of it first, and the others."""
    exact = [name for name in FILES if rule in NAMED[name]]
    near = [name for name in FILES if name not in exact and base(rule) in {base(label) for label in NAMED[name]}]
    named = exact + near
    return named, [name for name in FILES if name not in named]


class Endless(Exception):
    pass


def _endless(*_):
    raise Endless(f"more than {SECONDS} s")


def judge(mutant: Mutant | None) -> tuple[str, str, bool, float]:
    """The file and the difference that the mutant fails with, whether the file names its rule, and the time."""
    begun = time.monotonic()
    signal.signal(signal.SIGALRM, _endless)
    named, others = files_of(mutant.rule) if mutant else ([], list(FILES))
    name, signs = "", True
    try:
        replay = SOURCES.mutated(mutant)
        for name in named + others:
            signs = name in named
            signal.alarm(SECONDS)
            replay.Replay(FILES[name]).run()
    except ValueError:
        if not name:
            raise
        return name, "stopped with ValueError", signs, time.monotonic() - begun
    except Exception as error:
        return name, f"{type(error).__name__} {error}"[:150], signs, time.monotonic() - begun
    finally:
        signal.alarm(0)
    return "", "", False, time.monotonic() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=HERE / "../vectors")
    parser.add_argument("--only", help="the mutants whose name or rule begins so, with their differences")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="the mutants, by rule")
    options = parser.parse_args()
    begun = time.monotonic()
    if options.list:
        print("\n".join(f"{mutant.rule:10} {mutant.name}" for mutant in ALL))
        return 0
    load(options.directory)
    if not FILES:
        print(f"no vectors in {options.directory}")
        return 1
    sys.meta_path.insert(0, SOURCES)
    file, difference, *_ = judge(None)
    if difference:
        print(f"the client itself fails {file}: {difference}")
        return 1
    chosen = [m for m in ALL if not options.only or m.name.startswith(options.only) or m.rule.startswith(options.only)]
    excused = [m for m in EQUIVALENT if not options.only or m.name.startswith(options.only)]
    killed, by_rule, wrong = 0, 0, 0
    # Forked processes inherit what is loaded and cached.
    with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
        for mutant, (file, difference, named, seconds) in zip(chosen + excused + CONTROLS, pool.imap(judge, chosen + excused + CONTROLS)):
            if mutant in CONTROLS:
                if difference:
                    wrong += 1
                    print(f"control {mutant.name}: an equivalent mutant is said to fail {file}: {difference}")
            elif mutant in excused:
                if difference:
                    wrong += 1
                    print(f"{mutant.rule} {mutant.name}: listed as equivalent, and fails {file}: {difference}")
            elif difference:
                killed += 1
                by_rule += named
                if options.only:
                    print(f"{mutant.rule} {mutant.name}: {file}: {difference} ({seconds:.1f} s)")
            else:
                print(f"{mutant.rule} {mutant.name}: SURVIVES ({seconds:.1f} s)", flush=True)
    survivors = len(chosen) - killed
    print(
        f"{killed} of {len(chosen)} mutants fail, {by_rule} of them in a file that names their rule; {survivors} survive; "
        f"{len(excused)} are equivalent; {len(CONTROLS)} controls survive; {time.monotonic() - begun:.0f} s"
    )
    return 1 if survivors or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
