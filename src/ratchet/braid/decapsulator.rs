// SPDX-License-Identifier: MIT OR Apache-2.0
//! The five states of the party that generates an epoch's key pair and decapsulates. They store the pair's seed, 64
//! bytes, instead of the 2,400 bytes of the private key, which are equally secret; and the public parts that must still
//! be sent. What the seed determines is computed when it is needed: at BR-1, and again after the state was restored.

use super::authenticator::{Authenticator, kdf_ok, verifies};
use super::epoch::{Epoch, EpochKey};
use super::erasure::Codeword;
use super::message::Payload;
use super::states::Change;
use super::values::{CT2_MAC_LEN, Ct1Decoder, Ct2Decoder, EkEncoder, HeaderEncoder, joined, split};
use crate::primitives::{CT1_LEN, KEM_SEED_LEN, Primitives};
use crate::secret::Secret;
use crate::wire::ChunkSize;

/// The state holds only the epoch and the authenticator.
#[derive(Debug)]
pub(super) struct KeysUnsampled {
    pub(super) epoch: Epoch,
    pub(super) authenticator: Authenticator,
}

/// There is a key pair, and its header is being sent.
#[derive(Debug)]
pub(super) struct KeysSampled {
    pub(super) epoch: Epoch,
    pub(super) authenticator: Authenticator,
    pub(super) seed: Secret<KEM_SEED_LEN>,
    /// `header || MacHdr`.
    pub(super) header: HeaderEncoder,
    /// ek_vector, of which nothing has been sent. Storing it does not enlarge a session, because later states are
    /// larger. Computing it again would cost a second key generation per epoch.
    pub(super) ek: EkEncoder,
}

/// The peer has the header. ek_vector is being sent while ct1 arrives.
#[derive(Debug)]
pub(super) struct HeaderSent {
    pub(super) epoch: Epoch,
    pub(super) authenticator: Authenticator,
    pub(super) seed: Secret<KEM_SEED_LEN>,
    pub(super) ek: EkEncoder,
    pub(super) ct1: Ct1Decoder,
}

/// ct1 has arrived. ek_vector is still being sent, with the acknowledgement.
#[derive(Debug)]
pub(super) struct Ct1Received {
    pub(super) epoch: Epoch,
    pub(super) authenticator: Authenticator,
    pub(super) seed: Secret<KEM_SEED_LEN>,
    pub(super) ek: EkEncoder,
    pub(super) ct1: [u8; CT1_LEN],
}

/// The peer has ek_vector. ct2 is arriving.
#[derive(Debug)]
pub(super) struct EkSentCt1Received {
    pub(super) epoch: Epoch,
    pub(super) authenticator: Authenticator,
    pub(super) seed: Secret<KEM_SEED_LEN>,
    pub(super) ct1: [u8; CT1_LEN],
    pub(super) ct2: Ct2Decoder,
}

impl KeysUnsampled {
    pub(super) fn duplicate(&self) -> Self {
        Self { epoch: self.epoch, authenticator: self.authenticator.duplicate() }
    }

    /// BR-1: takes a fresh seed. The key pair is generated for the first codeword.
    pub(super) fn generate(self, chunk_size: ChunkSize, seed: Secret<KEM_SEED_LEN>) -> KeysSampled {
        KeysSampled::resume(self.epoch, self.authenticator, seed, chunk_size, 0)
    }
}

impl KeysSampled {
    pub(super) fn duplicate(&self) -> Self {
        Self {
            epoch: self.epoch,
            authenticator: self.authenticator.duplicate(),
            seed: self.seed.duplicate(),
            header: self.header.clone(),
            ek: self.ek.clone(),
        }
    }

    /// Creates the state with `issued` codewords of the header already sent.
    pub(super) const fn resume(
        epoch: Epoch,
        authenticator: Authenticator,
        seed: Secret<KEM_SEED_LEN>,
        chunk_size: ChunkSize,
        issued: u32,
    ) -> Self {
        let (header, ek) = (HeaderEncoder::unknown(chunk_size, issued), EkEncoder::unknown(chunk_size, 0));
        Self { epoch, authenticator, seed, header, ek }
    }

    /// Returns the next codeword of the header.
    pub(super) fn next_codeword<P: Primitives>(&mut self, primitives: &P) -> Option<Codeword> {
        let Self { epoch, authenticator, seed, header, ek } = self;
        header.next_codeword(|| {
            let (header, ek_vector) = primitives.incremental_public(seed);
            ek.learn(&ek_vector);
            joined(&header, &authenticator.mac_header(primitives, *epoch, &header))
        })
    }

    pub(super) fn receive<P: Primitives>(&self, primitives: &P, payload: &Payload) -> Change {
        let Payload::Ct1(codeword) = payload else { return Change::Nothing };
        primitives.step("BR-2");
        Change::BeginCt1(*codeword)
    }

    /// BR-2: a peer that sends ct1 has the header.
    pub(super) fn begin_ct1(self, codeword: &Codeword) -> HeaderSent {
        let Self { epoch, authenticator, seed, header: _, ek } = self;
        let mut ct1 = Ct1Decoder::new(ek.chunk_size());
        ct1.add(codeword);
        HeaderSent { epoch, authenticator, seed, ek, ct1 }
    }
}

impl HeaderSent {
    pub(super) fn duplicate(&self) -> Self {
        Self {
            epoch: self.epoch,
            authenticator: self.authenticator.duplicate(),
            seed: self.seed.duplicate(),
            ek: self.ek.clone(),
            ct1: self.ct1.clone(),
        }
    }

    /// Returns the next codeword of ek_vector.
    pub(super) fn next_codeword<P: Primitives>(&mut self, primitives: &P) -> Option<Codeword> {
        let Self { seed, ek, .. } = self;
        ek.next_codeword(|| primitives.incremental_public(seed).1)
    }

    pub(super) fn receive<P: Primitives>(&self, primitives: &P, payload: &Payload) -> Change {
        match payload {
            Payload::Ct1(codeword) if self.ct1.lacks(codeword.index) => {
                if self.ct1.lacks_one() {
                    primitives.step("BR-3");
                    Change::Ct1Complete(*codeword)
                } else {
                    Change::Collect(*codeword)
                }
            }
            _ => Change::Nothing,
        }
    }

    /// BR-3. ct1 is not authenticated yet; MacCt covers it.
    pub(super) fn ct1_complete(self, ct1: [u8; CT1_LEN]) -> Ct1Received {
        Ct1Received { epoch: self.epoch, authenticator: self.authenticator, seed: self.seed, ek: self.ek, ct1 }
    }
}

impl Ct1Received {
    pub(super) fn duplicate(&self) -> Self {
        Self {
            epoch: self.epoch,
            authenticator: self.authenticator.duplicate(),
            seed: self.seed.duplicate(),
            ek: self.ek.clone(),
            ct1: self.ct1,
        }
    }

    /// Returns the next codeword of ek_vector. The acknowledgement must continue, so the codewords begin again.
    pub(super) fn next_codeword<P: Primitives>(&mut self, primitives: &P) -> Option<Codeword> {
        let Self { seed, ek, .. } = self;
        ek.next_codeword_again(|| primitives.incremental_public(seed).1)
    }

    pub(super) fn receive<P: Primitives>(
        &self,
        primitives: &P,
        payload: &Payload,
        key: &mut Option<EpochKey>,
    ) -> Change {
        let Payload::Ct2(codeword) = payload else { return Change::Nothing };
        primitives.step("BR-4");
        // With chunks of 256 bytes the first codeword is the whole value, and BR-5 follows immediately.
        match Ct2Decoder::new(self.ek.chunk_size()).completed_by(codeword) {
            Some(ct2) => agree(primitives, self.epoch, &self.authenticator, &self.seed, &self.ct1, &ct2, key),
            None => Change::BeginCt2(*codeword),
        }
    }

    /// BR-4: a peer that sends ct2 has ek_vector.
    pub(super) fn begin_ct2(self, codeword: &Codeword) -> EkSentCt1Received {
        let Self { epoch, authenticator, seed, ek, ct1 } = self;
        let mut ct2 = Ct2Decoder::new(ek.chunk_size());
        ct2.add(codeword);
        EkSentCt1Received { epoch, authenticator, seed, ct1, ct2 }
    }
}

impl EkSentCt1Received {
    pub(super) fn receive<P: Primitives>(
        &self,
        primitives: &P,
        payload: &Payload,
        key: &mut Option<EpochKey>,
    ) -> Change {
        match payload {
            Payload::Ct2(codeword) if self.ct2.lacks(codeword.index) => match self.ct2.completed_by(codeword) {
                Some(ct2) => agree(primitives, self.epoch, &self.authenticator, &self.seed, &self.ct1, &ct2, key),
                None => Change::Collect(*codeword),
            },
            _ => Change::Nothing,
        }
    }
}

/// BR-5: outputs the epoch's key if the encapsulator's authenticator covers the ciphertext. The roles swap: the next
/// state is NoHeaderReceived of the next epoch.
fn agree<P: Primitives>(
    primitives: &P,
    epoch: Epoch,
    authenticator: &Authenticator,
    seed: &Secret<KEM_SEED_LEN>,
    ct1: &[u8; CT1_LEN],
    ct2_mac: &[u8; CT2_MAC_LEN],
    output: &mut Option<EpochKey>,
) -> Change {
    primitives.step("BR-5");
    let (ct2, mac) = split(ct2_mac);
    let shared_secret = primitives.incremental_decapsulate(seed, ct1, &ct2);
    let key = kdf_ok(primitives, &shared_secret, epoch);
    let updated = authenticator.update(primitives, epoch, &key);
    let genuine = verifies(primitives, &updated.mac_ciphertext(primitives, epoch, ct1, &ct2), &mac);
    match epoch.next() {
        Some(next) if genuine => {
            *output = Some(EpochKey { epoch, key });
            Change::Agreed(next, updated)
        }
        _ => Change::Fail,
    }
}
