// SPDX-License-Identifier: MIT OR Apache-2.0
//! The committed corpora of the fuzz targets, run through the targets' own bodies (`fuzz/src/lib.rs`): inputs that
//! fuzzing found worth keeping are run every time. With a planted bug each body must fail on its corpus.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    dead_code,
    missing_docs,
    missing_debug_implementations,
    reason = "a test states its expectations"
)]

#[path = "../../../../fuzz/src/lib.rs"]
mod bodies;

use bodies::Bug;
use std::panic::catch_unwind;
use std::path::Path;

/// Most bytes of a corpus: everybody who clones the repository gets it.
const MAX_CORPUS_LEN: usize = 8 << 10;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = entries.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect();
    inputs.sort();
    inputs
}

fn holds(target: &str, body: fn(&[u8], Bug)) {
    let inputs = corpus(target);
    assert!(inputs.iter().map(|(_, input)| input.len()).sum::<usize>() <= MAX_CORPUS_LEN, "{target}: large corpus");
    let mut noticed = 0;
    for (name, input) in &inputs {
        assert!(catch_unwind(|| body(input, Bug::None)).is_ok(), "{name}");
        noticed += usize::from(catch_unwind(|| body(input, Bug::Planted)).is_err());
    }
    // Control.
    assert!(noticed > 0, "{target}: no input of {} triggers the planted bug", inputs.len());
}

macro_rules! corpora {
    ($($name:ident: $target:ident;)+) => {$(
        #[test]
        fn $name() {
            holds(stringify!($target), bodies::$target);
        }
    )+};
}

corpora! {
    a_refused_message_changes_no_session: decrypt;
    a_refused_first_message_changes_no_device: accept;
    a_bundle_that_decodes_encodes_to_the_same_bytes: bundle;
    a_publication_that_decodes_encodes_to_the_same_bytes: publication;
    identities_and_prekeys_that_decode_encode_to_the_same_bytes: identity_and_prekey;
    a_forged_state_is_refused_or_harmless: snapshot;
    schedules_do_what_the_oracle_says: schedule;
    schedules_on_recorders_give_a_server_nothing: audit_schedule;
    a_trace_has_one_spelling_and_can_be_audited: audit_trace;
    a_secret_in_hex_is_found: evidence_hex;
    a_secret_in_base64_is_found: evidence_base64;
    a_secret_as_integers_is_found: evidence_integers;
    a_secret_as_hex_integers_is_found: evidence_hex_integers;
    a_secret_in_percent_encoding_is_found: evidence_percent;
    a_secret_in_utf_16_low_byte_first_is_found: evidence_utf16_le;
    a_secret_in_utf_16_high_byte_first_is_found: evidence_utf16_be;
    a_secret_in_gzip_is_found: evidence_gzip;
    a_secret_in_zlib_is_found: evidence_zlib;
    a_secret_in_zstd_is_found: evidence_zstd;
    a_secret_in_escapes_is_found: evidence_escapes;
    a_secret_in_latin_1_as_utf_8_is_found: evidence_latin1;
    a_secret_in_a_zip_archive_is_found: evidence_zip;
    a_secret_in_http_chunks_is_found: evidence_chunked;
    a_secret_over_two_segments_is_found_in_a_capture: evidence_capture;
}

/// The fuzzer's control has a solution, and its initial corpus does not contain one.
#[test]
fn the_control_has_its_bug() {
    assert!(catch_unwind(|| bodies::control(b"\x04bug")).is_err());
    for (name, input) in corpus("control") {
        assert!(catch_unwind(|| bodies::control(&input)).is_ok(), "{name}");
    }
}

/// `fuzz/run` puts the decoder's number before the inputs of each corpus.
#[test]
fn the_first_byte_of_evidence_selects_the_decoder() {
    let noticed = (0..14u8).filter(|decoder| {
        assert!(catch_unwind(|| bodies::evidence(&[*decoder, 0], Bug::None)).is_ok(), "{decoder}");
        catch_unwind(|| bodies::evidence(&[*decoder, 0], Bug::Planted)).is_err()
    });
    // Control: each decoder, disabled.
    assert_eq!(noticed.count(), 14);
}
