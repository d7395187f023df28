// SPDX-License-Identifier: MIT OR Apache-2.0
//! The six states of the party that encapsulates in an epoch. Between the two steps of the encapsulation they store
//! `coins`, which are as secret as the key computed from them and are wiped at encaps2.

use super::authenticator::{Authenticator, kdf_ok, verifies};
use super::decapsulator::KeysUnsampled;
use super::epoch::{Epoch, EpochKey};
use super::erasure::Codeword;
use super::message::{Message, Payload};
use super::states::Change;
use super::values::{CT2_MAC_LEN, Ct1Encoder, Ct2Encoder, EkDecoder, HeaderDecoder, joined, split};
use crate::primitives::{CT1_LEN, EK_HEADER_LEN, EK_VECTOR_LEN, Primitives};
use crate::secret::Secret;
use crate::wire::ChunkSize;

/// The header is arriving.
#[derive(Debug)]
pub(super) struct NoHeaderReceived {
    pub(super) epoch: Epoch,
    pub(super) authenticator: Authenticator,
    pub(super) header: HeaderDecoder,
}

/// The header has arrived and is genuine.
#[derive(Debug)]
pub(super) struct HeaderReceived {
    pub(super) epoch: Epoch,
    pub(super) authenticator: Authenticator,
    pub(super) header: [u8; EK_HEADER_LEN],
}

/// An encapsulation between its two steps, with the inputs of the second. The epoch's key has been output.
#[derive(Debug)]
pub(super) struct BegunEncapsulation {
    pub(super) epoch: Epoch,
    /// Already updated with the epoch's key.
    pub(super) authenticator: Authenticator,
    pub(super) coins: Secret<32>,
    pub(super) header: [u8; EK_HEADER_LEN],
}

/// ct1 is being sent while ek_vector arrives.
#[derive(Debug)]
pub(super) struct Ct1Sampled {
    pub(super) begun: BegunEncapsulation,
    pub(super) ct1: Ct1Encoder,
    pub(super) ek: EkDecoder,
}

/// ek_vector has arrived, and ct1 is still being sent.
#[derive(Debug)]
pub(super) struct EkReceivedCt1Sampled {
    pub(super) begun: BegunEncapsulation,
    pub(super) ct1: Ct1Encoder,
    pub(super) ek_vector: [u8; EK_VECTOR_LEN],
}

/// The peer has ct1, and ek_vector is still arriving.
#[derive(Debug)]
pub(super) struct Ct1Acknowledged {
    pub(super) begun: BegunEncapsulation,
    /// No codeword of it is sent any more; MacCt covers its value.
    pub(super) ct1: Ct1Encoder,
    pub(super) ek: EkDecoder,
}

/// All values are computed, and ct2 is being sent.
#[derive(Debug)]
pub(super) struct Ct2Sampled {
    pub(super) epoch: Epoch,
    pub(super) authenticator: Authenticator,
    /// `ct2 || MacCt`.
    pub(super) ct2: Ct2Encoder,
}

impl NoHeaderReceived {
    pub(super) fn duplicate(&self) -> Self {
        Self { epoch: self.epoch, authenticator: self.authenticator.duplicate(), header: self.header.clone() }
    }

    pub(super) const fn new(epoch: Epoch, authenticator: Authenticator, chunk_size: ChunkSize) -> Self {
        Self { epoch, authenticator, header: HeaderDecoder::new(chunk_size) }
    }

    pub(super) fn receive<P: Primitives>(&self, primitives: &P, payload: &Payload) -> Change {
        let Payload::Hdr(codeword) = payload else { return Change::Nothing };
        if !self.header.lacks(codeword.index) {
            return Change::Nothing;
        }
        let Some(header_mac) = self.header.completed_by(codeword) else { return Change::Collect(*codeword) };
        primitives.step("BR-6");
        let (header, mac) = split(&header_mac);
        if verifies(primitives, &self.authenticator.mac_header(primitives, self.epoch, &header), &mac) {
            Change::HeaderComplete(header)
        } else {
            Change::Fail
        }
    }

    /// BR-6.
    pub(super) fn header_complete(self, header: [u8; EK_HEADER_LEN]) -> HeaderReceived {
        HeaderReceived { epoch: self.epoch, authenticator: self.authenticator, header }
    }
}

impl HeaderReceived {
    pub(super) fn duplicate(&self) -> Self {
        Self { epoch: self.epoch, authenticator: self.authenticator.duplicate(), header: self.header }
    }

    /// BR-7: computes ct1 with fresh coins, and the epoch's key, which the peer has after ct2 has arrived.
    pub(super) fn encapsulate<P: Primitives>(
        self,
        primitives: &P,
        chunk_size: ChunkSize,
        coins: Secret<32>,
    ) -> (Ct1Sampled, EpochKey) {
        let Self { epoch, authenticator, header } = self;
        let (ct1, shared_secret) = primitives.encaps1(&header, &coins);
        let key = kdf_ok(primitives, &shared_secret, epoch);
        let authenticator = authenticator.update(primitives, epoch, &key);
        let (ct1, ek) = (Ct1Encoder::known(&ct1, chunk_size), EkDecoder::new(chunk_size));
        let begun = BegunEncapsulation { epoch, authenticator, coins, header };
        (Ct1Sampled { begun, ct1, ek }, EpochKey { epoch, key })
    }
}

impl BegunEncapsulation {
    fn duplicate(&self) -> Self {
        let Self { epoch, authenticator, coins, header } = self;
        Self { epoch: *epoch, authenticator: authenticator.duplicate(), coins: coins.duplicate(), header: *header }
    }

    /// Computes ct1 again, after the state was restored.
    fn ct1<P: Primitives>(&self, primitives: &P) -> [u8; CT1_LEN] {
        primitives.encaps1(&self.header, &self.coins).0
    }

    /// Computes ct2 and MacCt, if ek_vector is the one that the header announced and passes the modulus check (FIPS 203
    /// §7.2).
    fn encaps2<P: Primitives>(&self, primitives: &P, ct1: &Ct1Encoder, ek_vector: &[u8; EK_VECTOR_LEN]) -> Change {
        match primitives.encaps2(&self.header, ek_vector, &self.coins) {
            Ok(ct2) => {
                let ct1 = ct1.value().unwrap_or_else(|| self.ct1(primitives));
                let mac = self.authenticator.mac_ciphertext(primitives, self.epoch, &ct1, &ct2);
                Change::Ct2Encapsulated(joined(&ct2, &mac))
            }
            Err(_) => Change::Fail,
        }
    }

    /// Wipes the coins.
    fn ct2_encapsulated(self, ct2_mac: &[u8; CT2_MAC_LEN], chunk_size: ChunkSize) -> Ct2Sampled {
        let ct2 = Ct2Encoder::new(ct2_mac, chunk_size);
        Ct2Sampled { epoch: self.epoch, authenticator: self.authenticator, ct2 }
    }
}

impl Ct1Sampled {
    pub(super) fn duplicate(&self) -> Self {
        Self { begun: self.begun.duplicate(), ct1: self.ct1.clone(), ek: self.ek.clone() }
    }

    /// Returns the next codeword of ct1.
    pub(super) fn next_codeword<P: Primitives>(&mut self, primitives: &P) -> Option<Codeword> {
        let Self { begun, ct1, .. } = self;
        ct1.next_codeword(|| begun.ct1(primitives))
    }

    pub(super) fn receive<P: Primitives>(&self, primitives: &P, payload: &Payload) -> Change {
        match payload {
            Payload::Ek(codeword) if self.ek.lacks(codeword.index) => {
                if self.ek.lacks_one() {
                    primitives.step("BR-10");
                    Change::EkComplete(*codeword)
                } else {
                    Change::Collect(*codeword)
                }
            }
            Payload::EkCt1Ack(codeword) => match self.ek.completed_by(codeword) {
                Some(ek_vector) => {
                    primitives.step("BR-9");
                    self.begun.encaps2(primitives, &self.ct1, &ek_vector)
                }
                None => {
                    primitives.step("BR-8");
                    Change::Ct1Acknowledged(*codeword)
                }
            },
            _ => Change::Nothing,
        }
    }

    /// BR-8. The chunk is added if it is new.
    pub(super) fn acknowledged(self, codeword: &Codeword) -> Ct1Acknowledged {
        let Self { begun, ct1, mut ek } = self;
        ek.add(codeword);
        Ct1Acknowledged { begun, ct1, ek }
    }

    /// BR-10. ek_vector is checked when it is used, at BR-12.
    pub(super) fn ek_complete(self, ek_vector: [u8; EK_VECTOR_LEN]) -> EkReceivedCt1Sampled {
        let Self { begun, ct1, ek: _ } = self;
        EkReceivedCt1Sampled { begun, ct1, ek_vector }
    }

    /// BR-9.
    pub(super) fn ct2_encapsulated(self, ct2_mac: &[u8; CT2_MAC_LEN]) -> Ct2Sampled {
        self.begun.ct2_encapsulated(ct2_mac, self.ct1.chunk_size())
    }
}

impl EkReceivedCt1Sampled {
    pub(super) fn duplicate(&self) -> Self {
        Self { begun: self.begun.duplicate(), ct1: self.ct1.clone(), ek_vector: self.ek_vector }
    }

    /// Returns the next codeword of ct1.
    pub(super) fn next_codeword<P: Primitives>(&mut self, primitives: &P) -> Option<Codeword> {
        let Self { begun, ct1, .. } = self;
        ct1.next_codeword(|| begun.ct1(primitives))
    }

    pub(super) fn receive<P: Primitives>(&self, primitives: &P, payload: &Payload) -> Change {
        let Payload::EkCt1Ack(_) = payload else { return Change::Nothing };
        primitives.step("BR-12");
        self.begun.encaps2(primitives, &self.ct1, &self.ek_vector)
    }

    /// BR-12.
    pub(super) fn ct2_encapsulated(self, ct2_mac: &[u8; CT2_MAC_LEN]) -> Ct2Sampled {
        self.begun.ct2_encapsulated(ct2_mac, self.ct1.chunk_size())
    }
}

impl Ct1Acknowledged {
    pub(super) fn duplicate(&self) -> Self {
        Self { begun: self.begun.duplicate(), ct1: self.ct1.clone(), ek: self.ek.clone() }
    }

    pub(super) fn receive<P: Primitives>(&self, primitives: &P, payload: &Payload) -> Change {
        match payload {
            Payload::EkCt1Ack(codeword) if self.ek.lacks(codeword.index) => match self.ek.completed_by(codeword) {
                Some(ek_vector) => {
                    primitives.step("BR-11");
                    self.begun.encaps2(primitives, &self.ct1, &ek_vector)
                }
                None => Change::Collect(*codeword),
            },
            _ => Change::Nothing,
        }
    }

    /// BR-11.
    pub(super) fn ct2_encapsulated(self, ct2_mac: &[u8; CT2_MAC_LEN]) -> Ct2Sampled {
        self.begun.ct2_encapsulated(ct2_mac, self.ek.chunk_size())
    }
}

impl Ct2Sampled {
    pub(super) fn duplicate(&self) -> Self {
        Self { epoch: self.epoch, authenticator: self.authenticator.duplicate(), ct2: self.ct2.clone() }
    }

    /// The state waits for the next epoch: a peer in that epoch has ct2.
    pub(super) fn receive<P: Primitives>(&self, primitives: &P, message: &Message) -> Change {
        match self.epoch.next() {
            Some(next) if message.epoch == next => {
                primitives.step("BR-13");
                Change::NextEpoch(next)
            }
            _ => Change::Nothing,
        }
    }

    /// BR-13: the roles swap.
    pub(super) fn next_epoch(self, epoch: Epoch) -> KeysUnsampled {
        KeysUnsampled { epoch, authenticator: self.authenticator }
    }
}
