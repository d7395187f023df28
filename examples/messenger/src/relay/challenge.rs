// SPDX-License-Identifier: MIT OR Apache-2.0
//! Challenges that need not be stored until they are used, so that nobody can fill a table with them: the time until which
//! one is valid (8 bytes), a random number (8), and the first half of an HMAC of both and the account (16).

use super::sql::{Answer, Failure};
use hmac::{Hmac, KeyInit, Mac};
use noescrow::device::CHALLENGE_NONCE_LEN;
use noescrow::relay::AccountName;
use sha2::Sha256;

/// How long a challenge can be answered, in seconds.
const VALID: i64 = 60;
/// Length in bytes of what the HMAC authenticates, besides the account.
const CLEAR_LEN: usize = 16;

/// Length in bytes of a [`ChallengeKey`].
pub const KEY_LEN: usize = 32;

/// The key with which the server recognizes its own challenges. It opens nothing. Whoever has it can make challenges, which
/// only the account's owner can answer.
pub struct ChallengeKey(pub [u8; KEY_LEN]);

impl ChallengeKey {
    /// Makes a challenge for the owner of an account, whether there is such an account or not.
    pub fn challenge(&self, account: &AccountName, now: i64) -> Answer<[u8; CHALLENGE_NONCE_LEN]> {
        let mut challenge = random::<CHALLENGE_NONCE_LEN>()?;
        challenge[..8].copy_from_slice(&now.saturating_add(VALID).to_be_bytes());
        let mac = self.mac(account, &challenge)?.finalize().into_bytes();
        challenge[CLEAR_LEN..].copy_from_slice(&mac[..CHALLENGE_NONCE_LEN - CLEAR_LEN]);
        Ok(challenge)
    }

    /// Checks that a challenge is of this server, for this account, and not too old. Returns until when it is valid.
    pub fn check(&self, account: &AccountName, challenge: &[u8; CHALLENGE_NONCE_LEN], now: i64) -> Answer<i64> {
        let mac = self.mac(account, challenge)?;
        mac.verify_truncated_left(&challenge[CLEAR_LEN..]).map_err(|_| Failure::Unauthorized)?;
        let until = challenge.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        if until > now { Ok(until) } else { Err(Failure::Unauthorized) }
    }

    fn mac(&self, account: &AccountName, challenge: &[u8; CHALLENGE_NONCE_LEN]) -> Answer<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|error| Failure::Database(error.into()))?;
        Ok(mac.chain_update(&challenge[..CLEAR_LEN]).chain_update(account.as_str()))
    }
}

/// Returns bytes of the system's generator.
pub fn random<const N: usize>() -> Answer<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Database(error.into()))?;
    Ok(bytes)
}
