# SPDX-License-Identifier: MIT OR Apache-2.0
"""§10: failure. What the network sent fails as `Refused`; the others tell what is public, or what the peer alone can
cause."""


class Refused(Exception):
    """Whatever the network sent, and a damaged snapshot."""


class TooManySkipped(Refused):
    """An authentic header that jumps too far."""


class PrekeyUsed(Refused):
    """The one-time prekey was made here and is no longer here."""


class Repeated(Refused):
    """The handshake was accepted before, on the last-resort key."""


class ReplayRecordFull(Refused):
    """No handshake without a one-time prekey can be told from a repetition any more."""


class Expired(Refused):
    """A prekey of the bundle has expired."""


class Rollback(Refused):
    """A snapshot older than the newest known."""


class Abandoned(Exception):
    """The Braid has failed, for good."""


class NotYetReceived(Exception):
    """This side has no chain to send on yet."""


class TooLong(Exception):
    """A plaintext longer than MAX_PLAINTEXT_LEN."""


class ChainExhausted(Exception):
    """A counter of messages must not wrap."""
