# SPDX-License-Identifier: MIT OR Apache-2.0
"""CX-1, LG-1, LG-2, RT-1 and AV-2."""

from .kinds import of

_EXPECTED = "        expected += [(self.header_keys[step], number) for step, number in self.kept if step != self.step]\n"

MUTANTS = [
    *of(
        "labels.py",
        ("LG-1", "L_LOGIN with another letter", 'v1 server login"', 'v1 server login?"'),
        ("LG-1.2", "L_CHALLENGE with another letter", 'v1 login challenge"', 'v1 login challenge?"'),
        ("LG-2", "L_ACCESS with another letter", 'v1 access key"', 'v1 access key?"'),
    ),
    *of(
        "wire.py",
        ("CX-1", "lengths of 4 bytes", "u64(len(part)) + part for part in (sender", "u32(len(part)) + part for part in (sender"),
        ("CX-1", "no lengths", "u64(len(part)) + part for part in (sender", "part for part in (sender"),
        ("CX-1", "another version", 'return u8(1) + b"".join(u64', 'return u8(0) + b"".join(u64'),
        ("CX-1", "the recipient first", "for part in (sender, recipient, conversation))", "for part in (recipient, sender, conversation))"),
    ),
    *of(
        "identity.py",
        ("LG-1", "a login without the suite", "labels.L_LOGIN + labels.SUITE + challenge", "labels.L_LOGIN + challenge"),
        ("LG-1.2", "a challenge without lengths", "len(part).to_bytes(8) + part for part in (server, account)", "part for part in (server, account)"),
        ("LG-1.2", "lengths of 4 bytes", "len(part).to_bytes(8) + part for part in (server, account)", "len(part).to_bytes(4) + part for part in (server, account)"),
        ("LG-1.2", "the account first", "for part in (server, account)", "for part in (account, server)"),
        ("LG-1.2", "the nonce first", "primitives.sha256(labels.L_CHALLENGE + b", "primitives.sha256(labels.L_CHALLENGE + nonce + b"),
        ("LG-2", "the key first", "labels.L_ACCESS + access_key", "access_key + labels.L_ACCESS"),
    ),
    *of(
        "double.py",
        ("RT-1.1", "one tag fewer", "for number in range(first, first + EXPECTED_TAGS)]", "for number in range(first, first + EXPECTED_TAGS - 1)]"),
        ("RT-1.1", "tags from Nr + 1", "for number in range(first, first + EXPECTED_TAGS)]", "for number in range(first + 1, first + EXPECTED_TAGS + 1)]"),
        ("RT-1.1", "no kept keys of the current step", "            expected += [(key, number) for step, number in self.kept if step == self.step]\n", ""),
        ("RT-1.2", "one tag fewer", "for number in range(EXPECTED_TAGS)]", "for number in range(EXPECTED_TAGS - 1)]"),
        ("RT-1.2", "no tags of the next header key", "for number in range(EXPECTED_TAGS)]", "for number in range(0)]"),
        ("RT-1.3", "no kept keys of earlier steps", _EXPECTED, ""),
        ("AV-2", "counts an end that is given up", "    def jump(self, which: str | int, header: Header) -> int:\n", "    def jump(self, which: str | int, header: Header) -> int:\n        if which == NEXT and self.receiving:\n            return max(0, header.previous_chain_length - self.receiving.number) + header.number\n"),
        ("AV-2", "does not count the old chain's end", "        return self._missing_at_end(which, header) + self._missing(which, header)\n\n    def receive_step", "        return self._missing(which, header)\n\n    def receive_step"),
    ),
    *of(
        "triple.py",
        ("AV-2", "the sum of both", "return max(0, missing, self.double.jump(which, header) if is_new else 0)", "return max(0, missing) + (self.double.jump(which, header) if is_new else 0)"),
        ("AV-2", "the Double Ratchet alone", "return max(0, missing, self.double.jump(which, header) if is_new else 0)", "return max(0, self.double.jump(which, header) if is_new else 0)"),
        ("AV-2", "the sparse ratchet alone", "return max(0, missing, self.double.jump(which, header) if is_new else 0)", "return max(0, missing)"),
        ("AV-2", "counts the message itself", "missing = header.sparse_number - 1 - self", "missing = header.sparse_number - self"),
    ),
]
