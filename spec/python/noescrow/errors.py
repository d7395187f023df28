# SPDX-License-Identifier: MIT OR Apache-2.0
"""§10: failure. Input from the network fails as `Refused`; the other errors reveal what is public, or what only the
peer can cause."""


class Refused(Exception):
    """Any invalid input from the network, and a damaged snapshot."""


class TooManySkipped(Refused):
    """An authentic header that jumps too far ahead."""


class KeyGone(Refused):
    """An authentic header whose key is not kept: evicted, given up, or used before."""


class PrekeyGone(Refused):
    """The device does not keep a prekey of this id: a public fact that nobody vouches for."""


class Repeated(Refused):
    """The handshake was accepted before, on the last-resort key."""


class ReplayRecordFull(Refused):
    """Handshakes without a one-time prekey can no longer be distinguished from repetitions."""


class Expired(Refused):
    """A prekey of the bundle has expired."""


class UnexpectedIdentity(Refused):
    """The bundle is not that of the expected identity."""


class NewerVersion(Refused):
    """A snapshot of a version that this package does not know."""


class Rollback(Refused):
    """A snapshot older than the newest known."""


class Abandoned(Exception):
    """The Braid has failed permanently."""


class NotYetReceived(Exception):
    """This side has no sending chain yet."""


class TooLong(Exception):
    """A plaintext longer than MAX_PLAINTEXT_LEN."""


class ChainExhausted(Exception):
    """A counter of messages would wrap."""
