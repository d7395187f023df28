# SPDX-License-Identifier: MIT OR Apache-2.0
"""§7.4, erasure code: a value as codewords, any k of which restore it."""

from dataclasses import dataclass, field

POLYNOMIAL = 0x1100B
"""x^16 + x^12 + x^3 + x + 1; x generates the multiplicative group."""


def _powers() -> tuple[list[int], list[int]]:
    powers, logs, x = [0] * 65_535, [0] * 65_536, 1
    for i in range(65_535):
        powers[i], logs[x] = x, i
        x <<= 1
        if x & 0x10000:
            x ^= POLYNOMIAL
    return powers, logs


POWERS, LOGS = _powers()


def multiply(a: int, b: int) -> int:
    return POWERS[(LOGS[a] + LOGS[b]) % 65_535] if a and b else 0


def coefficients(indices: list[int], at: int) -> list[int]:
    """Lagrange's coefficients: P(at) is the sum of coefficient times P(index). Subtraction is XOR."""
    result = []
    for i in indices:
        if at in indices:
            result.append(int(i == at))
            continue
        log = sum(LOGS[at ^ j] - LOGS[i ^ j] for j in indices if j != i)
        result.append(POWERS[log % 65_535])
    return result


def evaluate(codewords: dict[int, bytes], at: int) -> bytes:
    """Codeword `at` of the polynomial through `codewords`, element by element: 16 bits, big-endian."""
    length = len(next(iter(codewords.values())))
    elements = [0] * (length // 2)
    for coefficient, codeword in zip(coefficients(list(codewords), at), codewords.values()):
        if coefficient:
            for j in range(length // 2):
                elements[j] ^= multiply(coefficient, int.from_bytes(codeword[2 * j : 2 * j + 2], "big"))
    return b"".join(element.to_bytes(2, "big") for element in elements)


def chunk_count(length: int, chunk: int) -> int:
    return -(-length // chunk)


def codeword(value: bytes, chunk: int, index: int) -> bytes:
    k = chunk_count(len(value), chunk)
    padded = value.ljust(k * chunk, b"\0")
    return evaluate({t: padded[t * chunk : (t + 1) * chunk] for t in range(k)}, index)


@dataclass
class Decoder:
    """Collects codewords of a value of `length` bytes, in order of arrival."""

    length: int
    chunk: int
    codewords: dict[int, bytes] = field(default_factory=dict)

    @property
    def needed(self) -> int:
        return chunk_count(self.length, self.chunk)

    def add(self, index: int, codeword: bytes) -> bytes | None:
        """Returns the value once it is complete. The first codeword of an index is kept."""
        self.codewords.setdefault(index, codeword)
        if len(self.codewords) < self.needed:
            return None
        return b"".join(evaluate(self.codewords, t) for t in range(self.needed))[: self.length]
