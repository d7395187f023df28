// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recorders with one fault each, which an exploration must flag.

use noescrow::Secret;
use noescrow::hazmat::{Call, Intercept};
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow_recorder::Recorder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecorderFault {
    /// None: the control of the controls.
    None,
    /// A message's AEAD key is derived from constants alone.
    KeyFromConstants,
    /// The chain keys of both ratchets never change.
    ConstantChainKeys,
    /// The chain key of the classical ratchet alone never changes. This exposes no message.
    ConstantClassicalChainKey,
    /// An AEAD key is masked, outside the recorded operations.
    MaskedKey,
    /// Tags are not checked.
    ChecksNoTag,
    /// Signatures are not checked.
    AcceptsSignatures,
}

fn mask(key: &Secret<32>) -> Secret<32> {
    Secret::new(key.expose().map(|byte| byte ^ 0x5A))
}

impl Intercept<Recorder> for RecorderFault {
    fn intercept(&self, recorder: &Recorder, call: &mut Call<'_>) {
        match (self, call) {
            (Self::KeyFromConstants, Call::Hkdf { info: info @ [b"noescrow-v1 message", ..], out, .. }) => {
                recorder.hkdf(&[0; 32], &[&[0; 32]], info, out);
            }
            (Self::MaskedKey, Call::Seal { key, nonce, ad, buffer, tag }) => {
                **tag = recorder.seal(&mask(key), nonce, ad, buffer);
            }
            (Self::MaskedKey, Call::Open { key, nonce, ad, buffer, tag, verdict }) => {
                **verdict = recorder.open(&mask(key), nonce, ad, buffer, tag);
            }
            (_, call) => {
                call.perform(recorder);
                self.change_output(call);
            }
        }
    }
}

impl RecorderFault {
    fn change_output(self, call: &mut Call<'_>) {
        match (self, call) {
            (Self::AcceptsSignatures, Call::Verify { verdict, .. }) => **verdict = Ok(()),
            (
                Self::ConstantChainKeys | Self::ConstantClassicalChainKey,
                Call::HmacPair { key, macs: (_, next), .. },
            ) => *next.expose_mut() = *key.expose(),
            (Self::ConstantChainKeys, Call::HkdfExpand { prk, info: [b"noescrow-v1 pq ck", _], out }) => {
                if let Some(next) = out.first_chunk_mut() {
                    *next = *prk.expose();
                }
            }
            (Self::ChecksNoTag, Call::Open { key, nonce, ad, buffer, verdict, .. }) if verdict.is_err() => {
                // Sealing a ciphertext applies the keystream, which decrypts it.
                let _ = RustCrypto.seal(key, nonce, ad, buffer);
                **verdict = Ok(());
            }
            _ => {}
        }
    }
}
