// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hostile peers whose messages are authentic and make the Braid fail.

use super::super::forge::Forgery;
use super::super::handshake::at;
use super::super::json::hex_of;
use super::super::{NOW, deliver, send};
use super::header::{CHUNK, TYPE};
use super::{ABANDONED, Scene, accept, accept_as, beyond_modulus, deliver_bytes, initiate};
use noescrow::primitives::{Primitives, RustCrypto};

/// Types of the Braid's messages.
const EK_CT1_ACK: u8 = 3;
const CT2: u8 = 5;
/// Messages after which a tampered Braid has failed.
const ENOUGH: usize = 40;

impl Scene {
    /// A hostile initiator's last chunk of `header || MacHdr`.
    pub(super) fn spoiled_header_mac(&mut self) {
        let first = self.stage.play(initiate("Mac header A", &self.bob.bundle(None), NOW, 32));
        self.stage.play(accept("Mac header B", &first));
        for chunk in 1..3 {
            let sent = self.stage.play(send("Mac header A", b"chunk", b""));
            let spoil = if chunk == 2 { 1 } else { 0 };
            let bytes = Forgery::of(&self.stage, &sent).with(|forgery| forgery.header[CHUNK] ^= spoil);
            let delivered = self.stage.play(deliver_bytes("Mac header B", &bytes, b""));
            assert_eq!(delivered.contains_key("abandoned"), chunk == 2);
            assert!(delivered.contains_key("plaintext"));
        }
        self.abandoned("Mac header A", "Mac header B", "BR-6: MacHdr does not verify");
    }

    /// The message that made it fail is returned; then every operation fails.
    fn abandoned(&mut self, hostile: &str, victim: &str, why: &str) {
        let sent = self.stage.play(send(hostile, b"still here?", b""));
        self.refuse(deliver(victim, &sent, b""), why, ABANDONED);
        self.refuse(send(victim, b"no", b""), why, ABANDONED);
    }

    /// A hostile encapsulator's `ct2 || MacCt`.
    pub(super) fn spoiled_ciphertext_mac(&mut self) {
        let [hostile, victim] = ["Mac ciphertext B", "Mac ciphertext A"];
        let first = self.stage.play(initiate(victim, &self.bob.bundle(None), NOW, 256));
        self.stage.play(accept(hostile, &first));
        for _ in 0..ENOUGH {
            let sent = self.stage.play(send(hostile, b"ping", b""));
            let forgery = Forgery::of(&self.stage, &sent);
            let spoils = forgery.header[TYPE] == CT2;
            let bytes = forgery.with(|forgery| forgery.header[CHUNK + 128] ^= u8::from(spoils));
            let delivered = self.stage.play(deliver_bytes(victim, &bytes, b""));
            assert_eq!(delivered.contains_key("abandoned"), spoils);
            if spoils {
                return self.abandoned(hostile, victim, "BR-5: MacCt does not verify");
            }
            let sent = self.stage.play(send(victim, b"pong", b""));
            self.stage.play(deliver(hostile, &sent, b""));
        }
        panic!("it did not fail");
    }

    /// A hostile decapsulator's key, with the right hash under the right MAC, and a coefficient of q.
    pub(super) fn key_beyond_the_modulus(&mut self) {
        let [hostile, victim] = ["Modulus A", "Modulus B"];
        let first = self.stage.play(initiate(hostile, &self.bob.bundle(None), NOW, 256));
        let values = self.stage.values(at(&first));
        let bytes = |step: &str, name: &str| hex_of(&values[step][name]).unwrap();
        let (header, mut ek_vector, mac_key) =
            (bytes("BR-1", "header"), bytes("BR-1", "ek_vector"), bytes("SP-I1", "mac_key"));
        beyond_modulus(&mut ek_vector);
        let hash = libcrux_sha3::sha256(&[&ek_vector, &header[..32]].concat());
        let header = [&header[..32], &hash].concat();
        let info = b"noescrow-v1_ML-KEM-768_SHA-256:ekheader";
        let mac = RustCrypto.hmac(&mac_key, &[info, &1u64.to_be_bytes(), &header]);
        let forged = Forgery::of(&self.stage, &first).put(CHUNK, &[&header[..], mac.expose()].concat());
        let accepted = self.stage.play(accept_as(victim, &forged));
        assert!(accepted.contains_key("plaintext"));

        ek_vector.resize(5 * 256, 0);
        for (index, chunk) in ek_vector.chunks(256).enumerate() {
            let sent = self.stage.play(send(victim, b"ping", b""));
            self.stage.play(deliver(hostile, &sent, b""));
            let sent = self.stage.play(send(hostile, b"pong", b""));
            let forged = Forgery::of(&self.stage, &sent).with(|forgery| {
                let message =
                    [&[EK_CT1_ACK], &1u32.to_be_bytes()[..], &u16::try_from(index).unwrap().to_be_bytes(), chunk];
                forgery.header[TYPE..CHUNK + 256].copy_from_slice(&message.concat());
            });
            let delivered = self.stage.play(deliver_bytes(victim, &forged, b""));
            assert_eq!(delivered.contains_key("abandoned"), index == 4, "{delivered:?}");
        }
        self.abandoned(hostile, victim, "BR-11: a coefficient of the key is q");
    }
}
