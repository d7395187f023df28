// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every bound of the messenger layer, and why.

use core::time::Duration;

pub use super::log::{IDS_KEPT, IDS_KEPT_OF_A_PEER};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Number of sessions that are kept with a peer: the one on which messages are sent, and four on which late messages may
/// still come. Two simultaneous initiations and two recoveries leave four behind.
pub const SESSIONS_OF_A_PEER: usize = 5;
/// Time after which a session ends that another one has succeeded: how long a server keeps mail.
pub const SUCCEEDED_KEPT: Duration = Duration::from_secs(30 * DAY);
/// Number of messages on later sessions after which a session ends that another one has succeeded. It is the number of
/// messages that a session waits for, [`MAX_SKIPPED_KEYS`](crate::MAX_SKIPPED_KEYS).
pub const SUCCEEDED_MESSAGES: u32 = 2_000;
/// Number of first messages of a peer that are opened in an hour. Each costs a prekey and ends an older session. An
/// honest peer begins a session an hour at most.
pub const HANDSHAKES_AN_HOUR: usize = 4;
/// Number of peers that nobody has accepted: they wrote first, and nothing was sent to them. The next one takes the place
/// of the one that was silent longest. One that the application has named, or whose identity claims to be a peer, does not
/// count.
pub const STRANGERS: usize = 256;
/// Number of new identities that are opened in an hour: a quarter of [`STRANGERS`], so that a flood of them deletes nothing
/// that a stranger wrote within four hours. Another one waits at the server.
pub const NEW_IDENTITIES_AN_HOUR: usize = 64;
/// Number of rejected identities that are remembered of a peer, the newest. Each was shown to the user, who has compared or
/// asked, so more are not to be expected; an identity that is forgotten is shown once more.
pub const REJECTED_IDENTITIES: usize = 16;
/// Number by which the epoch of a peer's new session may exceed the highest one known with it. A peer that skips more
/// would use up the epochs; one that has a state of a year more than we do skips at most 1,827: four demanded sessions a
/// day, and one after a restoring. A session of a higher epoch is on probation.
pub const EPOCH_JUMP: u32 = 1 << 16;
/// Number by which the epoch that a probe proposes may exceed the highest one known with the peer. A thief of a session's
/// state can probe, so it is less than [`EPOCH_JUMP`]: 16 sessions have to be stolen before the peer puts the next one on
/// probation. It is more than what two years of such sessions skip, 3,653.
pub const PROBE_JUMP: u32 = 1 << 12;
/// Time without anything from a peer, since a message was sent to it, after which the next message begins a new session:
/// one of the two may have been restored from an older state.
pub const SILENCE: Duration = Duration::from_secs(7 * DAY);
/// Time between two new sessions that this layer demands with one peer.
pub const RECOVERY_INTERVAL: Duration = Duration::from_secs(HOUR);
/// Number of new sessions that this layer demands with one peer in a day.
pub const RECOVERIES_A_DAY: usize = 4;
/// Number of new sessions that this layer demands in a day with all peers. Each fetches a bundle, and so uses up another
/// device's prekey.
pub const ALL_RECOVERIES_A_DAY: u32 = 100;
/// Number of first messages of a peer that have demanded a new session each and demand no other one, the newest. A thief of
/// an unanswered session can repeat its messages; for 17 sessions he needs 17 thefts.
pub const REFUSED_OPENINGS: usize = 16;
/// Time between two probes on one session.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(HOUR);
/// Time between two messages to one peer that its own messages cause: answers and receipts. An honest peer asks for one
/// [an hour](PROBE_INTERVAL) at most. A peer that asks without end learns no more than once an hour that this device is
/// there.
pub const ANSWER_INTERVAL: Duration = Duration::from_secs(HOUR);
/// Time for which prekeys are kept that are older than the last restoring: as long as a signed prekey after its
/// replacement.
pub const OLD_PREKEYS_KEPT: Duration = Duration::from_secs(14 * DAY);
/// Number of offered login nonces that are known. So many exchanges may be on their way at once, or in a connection that
/// somebody delays.
pub const OFFERED_NONCES: usize = 8;
/// The greatest witness that raises the generation. No store gets so far. One that is greater was not written by this
/// layer, and would leave no generation for the steps to come.
pub const GREATEST_WITNESS: u64 = 1 << 63;
/// Maximum length in bytes of a peer's name.
pub const NAME_LEN: usize = 256;
/// Number of routing tags that are kept of a session: of the messages to come, 16, and of late ones. The session of
/// another late message is found by its header key.
pub const TAGS_OF_A_SESSION: usize = 128;
/// Number of header keys that one sweep tries for a message whose tag nobody expects, those most recently heard first: 2
/// to 4 ms of HMACs.
pub const HEADER_KEYS_OF_A_SWEEP: usize = 4_096;
/// Number of sweeps in a minute. With more, junk from a server would keep a device busy.
pub const SWEEPS_A_MINUTE: usize = 10;
/// Number of ended sessions of a peer whose first messages are recognized.
pub const ENDED_OPENINGS: usize = 16;
/// Time for which the first messages of an ended session are recognized: as long as a signed prekey can be used to
/// initiate, and kept after that.
pub const ENDED_OPENINGS_KEPT: Duration = Duration::from_secs(49 * DAY);
/// Number of messages of a peer that were sent without knowing our unanswered session after which that is replaced.
pub const UNHEARD_MESSAGES: u8 = 2;
/// Time after the beginning of an unanswered session from which on messages count that were sent without knowing it.
/// Earlier ones were on their way.
pub const UNHEARD_AFTER: Duration = Duration::from_secs(60);
