// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Braid's state as bytes, inside a sealed snapshot (spec/protocol.md §7). Only a state that could have been
//! stored loads: counters are in range, and collected chunks are distinct and fewer than complete. Values that follow
//! from others are not stored: public keys and ct1 are computed again when they are needed, identically on every machine.

use super::authenticator::Authenticator;
use super::decapsulator::{Ct1Received, EkSentCt1Received, HeaderSent, KeysSampled, KeysUnsampled};
use super::encapsulator::{
    BegunEncapsulation, Ct1Acknowledged, Ct1Sampled, Ct2Sampled, EkReceivedCt1Sampled, HeaderReceived, NoHeaderReceived,
};
use super::epoch::Epoch;
use super::erasure::{CODEWORDS, Codeword, Decoder};
use super::states::{Braid, State};
use super::values::{CT2_MAC_LEN, Ct1Encoder, Ct2Encoder, EkEncoder};
use crate::error::DecodeError;
use crate::primitives::{CT1_LEN, EK_HEADER_LEN, EK_VECTOR_LEN, KEM_SEED_LEN};
use crate::secret::Secret;
use crate::wire::{ChunkSize, Full, Reader, Writer};

/// Length in bytes of a state's number, epoch, root and MAC key.
const HEAD_LEN: usize = 1 + 4 + 32 + 32;
/// Length in bytes of an encoder's count.
const ISSUED_LEN: usize = 4;

impl Braid {
    pub(crate) fn stored_len(&self) -> usize {
        let parts = match &self.state {
            State::KeysUnsampled(_) => [0, 0, 0],
            State::KeysSampled(_) => [KEM_SEED_LEN, ISSUED_LEN, 0],
            State::HeaderSent(state) => [KEM_SEED_LEN, ISSUED_LEN, state.ct1.stored_len()],
            State::Ct1Received(_) => [KEM_SEED_LEN, ISSUED_LEN, CT1_LEN],
            State::EkSentCt1Received(state) => [KEM_SEED_LEN, CT1_LEN, state.ct2.stored_len()],
            State::NoHeaderReceived(state) => [state.header.stored_len(), 0, 0],
            State::HeaderReceived(_) => [EK_HEADER_LEN, 0, 0],
            State::Ct1Sampled(state) => [32 + EK_HEADER_LEN, ISSUED_LEN, state.ek.stored_len()],
            State::EkReceivedCt1Sampled(_) => [32 + EK_HEADER_LEN, ISSUED_LEN, EK_VECTOR_LEN],
            State::Ct1Acknowledged(state) => [32 + EK_HEADER_LEN, 0, state.ek.stored_len()],
            State::Ct2Sampled(_) => [CT2_MAC_LEN, ISSUED_LEN, 0],
            State::Dead => return 1,
        };
        parts.into_iter().fold(HEAD_LEN, usize::saturating_add)
    }

    pub(crate) fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        match &self.state {
            State::Dead => writer.u8(0),
            State::KeysUnsampled(state) => head(writer, 1, state.epoch, &state.authenticator),
            State::KeysSampled(state) => {
                head(writer, 2, state.epoch, &state.authenticator)?;
                writer.put(state.seed.expose())?;
                writer.u32(state.header.issued())
            }
            State::HeaderSent(state) => {
                head(writer, 3, state.epoch, &state.authenticator)?;
                writer.put(state.seed.expose())?;
                writer.u32(state.ek.issued())?;
                state.ct1.store(writer)
            }
            State::Ct1Received(state) => {
                head(writer, 4, state.epoch, &state.authenticator)?;
                writer.put(state.seed.expose())?;
                writer.u32(state.ek.issued())?;
                writer.put(&state.ct1)
            }
            State::EkSentCt1Received(state) => {
                head(writer, 5, state.epoch, &state.authenticator)?;
                writer.put(state.seed.expose())?;
                writer.put(&state.ct1)?;
                state.ct2.store(writer)
            }
            State::NoHeaderReceived(state) => {
                head(writer, 6, state.epoch, &state.authenticator)?;
                state.header.store(writer)
            }
            State::HeaderReceived(state) => {
                head(writer, 7, state.epoch, &state.authenticator)?;
                writer.put(&state.header)
            }
            State::Ct1Sampled(state) => {
                begun(writer, 8, &state.begun)?;
                writer.u32(state.ct1.issued())?;
                state.ek.store(writer)
            }
            State::EkReceivedCt1Sampled(state) => {
                begun(writer, 9, &state.begun)?;
                writer.u32(state.ct1.issued())?;
                writer.put(&state.ek_vector)
            }
            State::Ct1Acknowledged(state) => {
                begun(writer, 10, &state.begun)?;
                state.ek.store(writer)
            }
            State::Ct2Sampled(state) => {
                head(writer, 11, state.epoch, &state.authenticator)?;
                writer.put(&state.ct2.value())?;
                writer.u32(state.ct2.issued())
            }
        }
    }

    /// Loads a Braid. `chunk_size` is the session's, and is stored with it.
    #[inline(never)]
    pub(crate) fn load(chunk_size: ChunkSize, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        State::load(chunk_size, reader).map(|state| Self { chunk_size, state })
    }
}

impl State {
    fn load(chunk_size: ChunkSize, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = reader.u8()?;
        if number == 0 {
            return Ok(Self::Dead);
        }
        let epoch = Epoch::new(reader.u32()?).ok_or(DecodeError::Refused)?;
        let authenticator = Authenticator { root: secret(reader)?, mac_key: secret(reader)? };
        Ok(match number {
            1 => State::KeysUnsampled(KeysUnsampled { epoch, authenticator }),
            // Sending the first codeword entered this state.
            2 => State::KeysSampled(KeysSampled::resume(
                epoch,
                authenticator,
                secret(reader)?,
                chunk_size,
                issued(reader, 1)?,
            )),
            3 => State::HeaderSent(HeaderSent {
                epoch,
                authenticator,
                seed: secret(reader)?,
                ek: EkEncoder::unknown(chunk_size, issued(reader, 0)?),
                ct1: Decoder::load(chunk_size, reader, 1)?,
            }),
            4 => State::Ct1Received(Ct1Received {
                epoch,
                authenticator,
                seed: secret(reader)?,
                ek: EkEncoder::unknown(chunk_size, issued(reader, 0)?),
                ct1: *reader.array()?,
            }),
            5 => State::EkSentCt1Received(EkSentCt1Received {
                epoch,
                authenticator,
                seed: secret(reader)?,
                ct1: *reader.array()?,
                ct2: Decoder::load(chunk_size, reader, 1)?,
            }),
            6 => State::NoHeaderReceived(NoHeaderReceived {
                epoch,
                authenticator,
                header: Decoder::load(chunk_size, reader, 0)?,
            }),
            7 => State::HeaderReceived(HeaderReceived { epoch, authenticator, header: *reader.array()? }),
            8..=10 => {
                let begun =
                    BegunEncapsulation { epoch, authenticator, coins: secret(reader)?, header: *reader.array()? };
                let issued = if number == 10 { 0 } else { issued(reader, 1)? };
                let ct1 = Ct1Encoder::unknown(chunk_size, issued);
                match number {
                    8 => State::Ct1Sampled(Ct1Sampled { begun, ct1, ek: Decoder::load(chunk_size, reader, 0)? }),
                    9 => {
                        let ek_vector = *reader.array()?;
                        State::EkReceivedCt1Sampled(EkReceivedCt1Sampled { begun, ct1, ek_vector })
                    }
                    // At least the chunk that came with the acknowledgement, or the one that it repeated.
                    _ => {
                        let ek = Decoder::load(chunk_size, reader, 1)?;
                        State::Ct1Acknowledged(Ct1Acknowledged { begun, ct1, ek })
                    }
                }
            }
            11 => {
                let ct2 = reader.array()?;
                State::Ct2Sampled(Ct2Sampled {
                    epoch,
                    authenticator,
                    ct2: Ct2Encoder::resume(ct2, chunk_size, issued(reader, 0)?),
                })
            }
            _ => return Err(DecodeError::Refused),
        })
    }
}

fn head(writer: &mut Writer<'_>, number: u8, epoch: Epoch, authenticator: &Authenticator) -> Result<(), Full> {
    writer.u8(number)?;
    writer.u32(epoch.number())?;
    writer.put(authenticator.root.expose())?;
    writer.put(authenticator.mac_key.expose())
}

fn begun(writer: &mut Writer<'_>, number: u8, begun: &BegunEncapsulation) -> Result<(), Full> {
    head(writer, number, begun.epoch, &begun.authenticator)?;
    writer.put(begun.coins.expose())?;
    writer.put(&begun.header)
}

fn secret<const N: usize>(reader: &mut Reader<'_>) -> Result<Secret<N>, DecodeError> {
    reader.array().map(|bytes| Secret::new(*bytes))
}

/// Reads the number of codewords that an encoder has issued.
fn issued(reader: &mut Reader<'_>, at_least: u32) -> Result<u32, DecodeError> {
    let issued = reader.u32()?;
    if (at_least..=CODEWORDS).contains(&issued) { Ok(issued) } else { Err(DecodeError::Refused) }
}

impl<const LEN: usize, const CAPACITY: usize> Decoder<LEN, CAPACITY> {
    fn stored_len(&self) -> usize {
        self.count().saturating_mul(self.chunk_size().bytes().saturating_add(2)).saturating_add(1)
    }

    fn store(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.u8(u8::try_from(self.count()).map_err(|_| Full)?)?;
        self.codewords().try_for_each(|codeword| codeword.write(self.chunk_size(), writer))
    }

    /// Loads a decoder that is not complete: the last codeword would have ended the state.
    #[inline(never)]
    fn load(chunk_size: ChunkSize, reader: &mut Reader<'_>, at_least: usize) -> Result<Self, DecodeError> {
        let count = usize::from(reader.u8()?);
        let mut decoder = Self::new(chunk_size);
        if count < at_least || count >= decoder.needed() {
            return Err(DecodeError::Refused);
        }
        for _ in 0..count {
            let codeword = Codeword::read(chunk_size, reader)?;
            if !decoder.lacks(codeword.index) {
                return Err(DecodeError::Refused);
            }
            decoder.add(&codeword);
        }
        Ok(decoder)
    }
}
