# SPDX-License-Identifier: MIT OR Apache-2.0
"""The calls in a Thumb binary, read from its disassembly: no recursion, and the greatest depth of the stack.

    calls.py ELF ENTRY

A function's frame is everything that it pushes and subtracts, wherever it does so. A call through a register counts as a call of each
function whose address is loaded into that register. What the program does not understand it prints instead of guessing: a change of
the stack pointer, a call through a register that is not loaded so, a branch to no function. It also prints each circle of calls. The
last lines are the deepest path; the exit code is 1 if anything else was printed.
"""
import re
import subprocess
import sys

HEAD = re.compile(r"^([0-9a-f]{8}) <.+>:$")
LINE = re.compile(r"^ *([0-9a-f]+):\t([0-9a-f ]+?) *\t(\S+)(?:\t([^;]*))?")
# The linker's filling after code that does not continue: it would be a branch.
PADDING = "d4d4"
ENDS = re.compile(r"(b(\.[nw])? |bx |pop.*pc|ldmia.*pc|udf|\.word|\.short|nop|bl )")
# Instructions that do not change their first operand.
READS = re.compile(r"(str|cmp|cmn|tst|teq|bl?x?$|b(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$|cb|tb|it|push|pop|stm|ldm|v|nop|udf)")
BRANCH = re.compile(r"(bl|b(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?)$")


def listing(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def registers(text):
    """How many there are in a list such as {r4, r5, s16-s31}."""
    count = 0
    for part in re.search(r"\{(.*)\}", text).group(1).split(","):
        ends = [int(number) for number in re.findall(r"\d+", part)]
        count += ends[1] - ends[0] + 1 if len(ends) == 2 else 1
    return count


def read(elf):
    """Per function's address: its name, its frame, whom it calls, and what was not understood."""
    names = {}
    for line in listing("arm-none-eabi-nm", "-C", elf):
        address, kind, name = line.split(" ", 2)
        if kind in "tTwW":
            names.setdefault(int(address, 16) & ~1, name)
    lines, words, functions, start, before = [], {}, {}, None, ""
    for line in listing("arm-none-eabi-objdump", "-d", elf):
        if head := HEAD.match(line):
            start = int(head.group(1), 16)
            functions[start] = {"name": names[start], "frame": 0, "calls": set(), "odd": [], "branches": []}
        elif match := LINE.match(line):
            address, op, args = int(match.group(1), 16), match.group(3).split(".")[0], (match.group(4) or "").strip()
            if match.group(3) == ".word":
                words[address] = int(args, 16)
            elif match.group(2) == PADDING and ENDS.match(before):
                continue
            else:
                lines.append((start, address, op, args))
            before = f"{match.group(3)} {args}"
            functions[start]["end"] = address
    loaded, unknown = {}, {}
    for start, address, op, args in lines:
        function = functions[start]
        held = loaded.setdefault(start, {})
        operands = [part.strip() for part in args.split("@")[0].split(",")]
        first = operands[0]
        value = None
        if op == "ldr" and (literal := re.search(r"\[pc.*?@ \(?([0-9a-f]+) <", args)):
            value = words.get(int(literal.group(1), 16))
        elif op == "movw":
            value = int(operands[1].lstrip("#"))
        elif op == "movt":
            value = held.get(first, {0}).copy().pop() & 0xFFFF | int(operands[1].lstrip("#")) << 16
        elif op in ("mov", "movs") and operands[1] in held:
            held[first] = held.get(first, set()) | held[operands[1]]
            unknown.setdefault(start, set()).discard(first)
        elif not READS.match(op):
            unknown.setdefault(start, set()).add(first)
        if value is not None:
            unknown.setdefault(start, set()).discard(first)
            held[first] = (set() if op == "movt" else held.get(first, set())) | {value}
        held.setdefault("all", []).append((op, operands))

        if op in ("push", "vpush") or op == "stmdb" and first == "sp!":
            function["frame"] += registers(args) * (8 if op == "vpush" and "{d" in args else 4)
        elif before := re.search(r"\[sp, #-(\d+)\]!", args):
            function["frame"] += int(before.group(1))
        elif op in ("sub", "subw") and first == "sp":
            if operands[-1].startswith("#"):
                function["frame"] += int(operands[-1][1:])
            elif len(sizes := held.get(operands[-1], set())) == 1:
                function["frame"] += max(sizes)
            else:
                function["odd"].append((address, op, args))
        elif op == "mov" and first == "sp":
            # To itself, rounded down; or, at the end, to the value that r7 saved.
            last = next((o, a) for o, a in reversed(held["all"][:-1]) if a[0] == operands[1])
            if last[0] == "bfc" and last[1][1] == "#0":
                function["frame"] += (1 << int(last[1][2][1:])) - 1
            elif not (last[0] in ("sub", "subw", "subs") and last[1][1] == "r7"):
                function["odd"].append((address, op, args))
        elif first == "sp" and not (op.startswith(("add", "cmp", "stm", "ldm"))):
            function["odd"].append((address, op, args))

        if BRANCH.match(op) or op.startswith("cb"):
            target = int(re.search(r"\b([0-9a-f]+) <", args).group(1), 16)
            function["branches"].append((address, op, target))
        elif op in ("blx", "bx") and first != "lr":
            # The value last written to it, in the order of the text, must have been such an address.
            if first in unknown.get(start, ()) and not function["name"].startswith("OUTLINED_FUNCTION"):
                function["odd"].append((address, op, first))
            function["branches"].append((address, op, first))
    through = []
    for start, function in functions.items():
        for address, op, target in function["branches"]:
            if isinstance(target, str):
                through.append((start, address, op, target))
                continue
            # Back to the first instruction: a loop, since a function that keeps anything on its stack saves it there.
            if start < target <= function["end"] or target == start and op != "bl" and function["frame"] == 0:
                continue
            if target in functions:
                function["calls"].add(target)
            else:
                function["odd"].append((address, op, f"to {target:x}"))
    for start, address, op, register in through:
        # A piece that the compiler shares among functions: they have loaded what the register holds.
        loaders = [start]
        if functions[start]["name"].startswith("OUTLINED_FUNCTION"):
            loaders += [caller for caller, function in functions.items() if start in function["calls"]]
        held = set().union(*(loaded[loader].get(register, set()) for loader in loaders))
        targets = {value - 1 for value in held if value & 1 and value - 1 in functions}
        functions[start]["calls"] |= targets
        if not targets:
            functions[start]["odd"].append((address, op, register))
    for function in functions.values():
        # Such a piece may keep only its return address: otherwise its callers' frames would be larger than they seem.
        if function["name"].startswith("OUTLINED_FUNCTION") and function["frame"] > 8:
            function["odd"].append((0, "frame", function["frame"]))
    return functions


def main():
    elf, entry = sys.argv[1:]
    functions = read(elf)
    circles, deepest, above = set(), {}, []

    def walk(start):
        above.append(start)
        best = (0, [])
        for target in sorted(functions[start]["calls"]):
            if target in above:
                circles.add(tuple(above[above.index(target) :]))
            else:
                if target not in deepest:
                    walk(target)
                best = max(best, deepest[target])
        above.pop()
        deepest[start] = (best[0] + functions[start]["frame"], [start, *best[1]])

    for start in functions:
        if start not in deepest:
            walk(start)
    odd = [(f["name"], *what) for f in functions.values() for what in f["odd"]]
    for name, address, op, args in odd:
        print(f"not understood: {address:x} in {name}: {op} {args}")
    for circle in sorted(circles):
        print("circle:", " > ".join(functions[start]["name"] for start in circle))
    (start,) = (start for start, function in functions.items() if function["name"] == entry)
    total, path = deepest[start]
    calls = sum(len(function["calls"]) for function in functions.values())
    print(f"{len(functions)} functions, {calls} callees: {len(circles)} circles; deepest stack: {total} bytes")
    for step in path:
        if functions[step]["frame"] >= 256:
            print(f"{functions[step]['frame']:8} {functions[step]['name']}")
    sys.exit(bool(odd or circles))


if __name__ == "__main__":
    main()
