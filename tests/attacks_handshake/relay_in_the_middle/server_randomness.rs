// SPDX-License-Identifier: MIT OR Apache-2.0
//! B20: what a server sends does not reach the generator, and a generator that is stuck repeats no key across peers.

use crate::forger::{CT, EK};
use crate::recording::{Party, RecordedDevice, RecordedSession, RecordingRng};
use crate::support::NOW;
use crate::support::generators::Stuck;
use noescrow::error::{AcceptError, DecryptError};
use noescrow::hazmat::AcceptFromAnyone;
use noescrow::primitives::{Primitives, RustCrypto};
use noescrow::{Bundle, InitiateOptions, Opened, Sealed};
use rand_chacha::rand_core::{Rng, TryCryptoRng, TryRng};
use std::collections::HashSet;
use std::convert::Infallible;
use std::path::Path;

/// A generator that mixes in the server's bytes, as Telegram's clients did.
struct Mixed(RecordingRng, [u8; 32]);

impl TryRng for Mixed {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        bytes.iter_mut().zip(self.1.iter().cycle()).for_each(|(byte, theirs)| *byte ^= theirs);
        Ok(())
    }
}

impl TryCryptoRng for Mixed {}

#[test]
fn b20_draws_do_not_depend_on_what_the_server_sent() {
    let bundles = |served: u64| {
        let mut bob = Party::new(10 + served);
        bob.bundle(served.is_multiple_of(2))
    };
    let drawn = |served: u64| {
        let mut alice = Party::new(20);
        let (_, hello) = alice.initiate(&bundles(served)).unwrap();
        (alice.rng.drawn.clone(), hello[EK].to_vec())
    };
    let first = drawn(0);
    assert!((1..6).all(|served| drawn(served) == first));
    // No function that receives takes a generator: decryption and acceptance cannot draw.
    type Accept = fn(&mut RecordedDevice, Sealed<'static>) -> Result<(RecordedSession, Vec<u8>), AcceptError>;
    type Decrypt = fn(&mut RecordedSession, Sealed<'static>) -> Result<Opened<Vec<u8>>, DecryptError>;
    let (_, _): (Accept, Decrypt) = (AcceptFromAnyone::accept, RecordedSession::decrypt);
    // Control: if the server's bytes are mixed in, EK changes with them.
    let mixed = |served: u64| {
        let bytes = bundles(served);
        let alice = Party::new(20);
        let bundle = Bundle::from_bytes(&alice.primitives, &bytes).unwrap();
        let mut rng = Mixed(RecordingRng::new(20), RustCrypto.sha256(&[&bytes]));
        alice.device.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut rng).unwrap().1[EK].to_vec()
    };
    assert_ne!(mixed(0), mixed(1));
}

/// With a stuck generator, EK and coins repeat, and with them all messages to one prekey. Messages to different peers
/// have only EK in common: every key depends on the peer's keys.
#[test]
fn b20_a_stuck_generator_repeats_no_key_across_peers() {
    let alice = Party::new(30);
    let to = |seed: u64| {
        let bundle = Bundle::from_bytes(&RustCrypto, &Party::new(seed).bundle(true)).unwrap();
        alice.primitives.clear();
        let (_, hello) =
            alice.device.initiate(bundle, b"hello", InitiateOptions::unverified(NOW), &mut Stuck(7)).unwrap();
        let operations = alice.primitives.operations.borrow();
        let keys: HashSet<_> =
            operations.iter().filter(|one| one.name == "seal").map(|one| one.inputs[0].clone()).collect();
        (hello, keys)
    };
    let ((one, keys), (other, other_keys)) = (to(31), to(32));
    assert_eq!(one[EK], other[EK]);
    assert_eq!(keys.len(), 3);
    assert!(keys.is_disjoint(&other_keys));
    assert_ne!(one[CT], other[CT]);
    // Control, and the limit: to the same prekeys again, all of it repeats.
    assert_eq!(to(31), (one, keys));
}

/// Names of generators, clocks and environments, through which a value that nobody passed in could enter a key.
const SOURCES: [&str; 9] =
    ["getrandom", "OsRng", "SysRng", "thread_rng", "from_os_rng", "ThreadRng", "SystemTime", "Instant", "std::env"];

fn sources_in(text: &str) -> Vec<&'static str> {
    SOURCES.into_iter().filter(|source| text.contains(source)).collect()
}

#[test]
fn b20_the_crate_contains_no_generator_and_no_clock() {
    fn walk(folder: &Path, texts: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Tests may ask for the time.
            if path.ends_with("tests") || path.ends_with("tests.rs") {
                continue;
            }
            if path.is_dir() {
                walk(&path, texts);
            } else {
                texts.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    walk(&root.join("src"), &mut texts);
    assert!(texts.len() > 20);
    assert!(texts.iter().all(|text| sources_in(text).is_empty()));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let linked = manifest.split("[dev-dependencies]").next().unwrap();
    assert!(sources_in(linked).is_empty());
    // Controls: a clock is found; the development dependencies have a generator.
    assert_eq!(sources_in("let now = std::time::Instant::now();"), ["Instant"]);
    assert_eq!(sources_in(&manifest), ["thread_rng"]);
}
