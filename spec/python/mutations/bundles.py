# SPDX-License-Identifier: MIT OR Apache-2.0
"""HS-I1: one check that is left out within a bundle alone, by whoever parses it or only by whoever initiates."""

from .kinds import Mutant

_CHECKS = [
    ("ID-1.1", "a signing key", "curve", "check_signing_key", 1),
    ("ID-1.2", "an identity's DH key", "curve", "check_torsion", 1),
    ("PK-2.4", "a signed prekey's curve key", "curve", "check_torsion", 2),
    ("PK-2.4", "a one-time prekey's curve key", "curve", "check_torsion", 3),
    ("PK-2.5", "a signed prekey's KEM key", "mlkem", "check_ek", 1),
    ("PK-2.5", "a one-time prekey's KEM key", "mlkem", "check_ek", 2),
    ("ID-1.3", "a certificate", "primitives", "verify", 1),
    ("PK-2.6", "a signed prekey's signature", "primitives", "verify", 2),
    ("PK-2.6", "a one-time prekey's signature", "primitives", "verify", 3),
    ("KY-5", "a certificate's R and s", "curve", "check_signature", 1),
    ("KY-5", "R and s of a signed prekey's signature", "curve", "check_signature", 2),
    ("KY-5", "R and s of a one-time prekey's signature", "curve", "check_signature", 3),
]
"""Rule, what is checked, and which call of which function in a bundle checks it."""


def _without(statement: str, indent: str, module: str, function: str, call: int) -> str:
    """The statement, in which one call of the function checks nothing."""
    lines = [
        f"from . import {module} as checks",
        f"right, calls = checks.{function}, []",
        "def without(*given):",
        "    calls.append(given)",
        f"    return given[0] if len(calls) == {call} else right(*given)",
        f"checks.{function} = without",
        "try:",
        f"    {statement}",
        "finally:",
        f"    checks.{function} = right",
    ]
    return "".join(f"{indent}{line}\n" for line in lines)


def _mutants(rule: str, what: str, *where) -> list[Mutant]:
    indent = " " * 8
    initiating = "parsed = Bundle.from_bytes(bundle)"
    return [
        Mutant(rule, f"whoever initiates does not check {what}", "client.py", f"{indent}{initiating}\n", _without(initiating, indent, *where)),
        Mutant(rule, f"whoever parses a bundle does not check {what}", "prekeys.py", _BODY, _parsing(*where)),
    ]


_BODY = '        """HS-I1."""\n'


def _parsing(module: str, function: str, call: int) -> str:
    """At the beginning of the parser: it calls itself, once, without the check."""
    once = "if not hasattr(cls, 'inner'):\n"
    inner = _without("return cls.from_bytes(data)", " " * 12, module, function, call).replace("try:", "cls.inner = True\n            try:")
    inner = inner.replace("finally:", "finally:\n                del cls.inner")
    return f"{_BODY}        {once}{inner}"


MUTANTS = [mutant for check in _CHECKS for mutant in _mutants(*check)]
