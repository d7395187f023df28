// SPDX-License-Identifier: MIT OR Apache-2.0
//! A search that is stopped lists what it found, and names what it did not read.

use super::sources::{SYN, Stream, ethernet, ip, pcap, tcp};
use super::{index_of, random};
use core::cell::Cell;
use leakscan::{Evidence, Findings, Index};

/// Stops when it is asked for this time, counted from zero; `None` never.
fn search(evidence: Evidence<'_>, index: &Index, after: Option<u32>) -> Findings {
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        after.is_some_and(|after| asked.get() > after)
    };
    evidence.stopping(stop).search(index, |_, _| {}).unwrap()
}

#[test]
fn a_stopped_search_names_the_first_source_that_it_did_not_read() {
    let secret = random(40, 32);
    let index = index_of(&[&secret]);
    let sources = || {
        let first = Evidence::new().bytes("first", &secret);
        first.reader("second", Stream::new(41, 1 << 20)).bytes("third", b"more")
    };
    let all = search(sources(), &index, None);
    assert_eq!((all.statistics.omitted, all.statistics.sources, all.hits.len()), (0, 3, 1));
    let at_once = search(sources(), &index, Some(0));
    assert_eq!((at_once.statistics.bytes, at_once.statistics.sources, at_once.hits.len()), (0, 0, 0));
    let named = &at_once.statistics.omissions;
    assert_eq!(named, &["first from its byte 0 on, and what follows it: the search was stopped after 0 bytes"]);
    // It is asked before each source, and before each piece of one.
    let later = search(sources(), &index, Some(5));
    assert_eq!((later.statistics.omitted, later.hits.len()), (1, 1), "{:?}", later.statistics);
    let named = &later.statistics.omissions[0];
    assert!(named.starts_with("second from its byte ") && !named.starts_with("second from its byte 0 "), "{named}");
}

#[test]
fn every_kind_of_source_stops() {
    let path = std::env::temp_dir().join(format!("leakscan-stop-{}", std::process::id()));
    std::fs::create_dir_all(path.join("deep")).unwrap();
    for name in ["a", "b", "deep/c"] {
        std::fs::write(path.join(name), random(42, 100_000)).unwrap();
    }
    let index = index_of(&[&random(40, 32)]);
    let packets: Vec<Vec<u8>> =
        (0..9).map(|n| ethernet(false, false, 6, &ip(false, 6, &tcp(n, SYN, &random(43, 100))))).collect();
    let capture = pcap(1, &packets, false);
    let kinds: [(&str, &dyn Fn() -> Evidence<'static>); 3] = [
        ("disk/a", &|| Evidence::new().directory("disk", &path)),
        ("file", &|| Evidence::new().file("file", path.join("a"))),
        ("wire", &|| {
            let capture = capture.clone();
            Evidence::new().capture("wire", std::io::Cursor::new(capture))
        }),
    ];
    for (name, evidence) in kinds {
        for after in [0, 1, 2] {
            let stopped = search(evidence().bytes("last", b"more"), &index, Some(after));
            let named: Vec<_> =
                stopped.statistics.omissions.iter().filter(|one| one.contains("was stopped after")).collect();
            assert_eq!(named.len(), 1, "{name} {after}: {:?}", stopped.statistics);
            assert!(after > 0 || named[0].starts_with(&format!("{name} from its byte 0 on")), "{named:?}");
        }
        // Control.
        let whole = search(evidence().bytes("last", b"more"), &index, None);
        assert!(whole.statistics.omissions.iter().all(|one| !one.contains("stopped")), "{:?}", whole.statistics);
    }
    std::fs::remove_dir_all(&path).unwrap();
}

/// Four gigabytes of zeros are four megabytes, in one block or few.
#[test]
fn a_stream_that_decompresses_to_much_is_stopped_within() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    (0..64).for_each(|_| encoder.write_all(&vec![0; 1 << 20]).unwrap());
    let packed = encoder.finish().unwrap();
    let index = index_of(&[&random(40, 32)]);
    let evidence = || Evidence::new().bytes("packed", &packed);
    let whole = search(evidence(), &index, None);
    let stopped = search(evidence(), &index, Some(10));
    assert!(whole.statistics.decoded >= 64 << 20 && whole.statistics.omitted == 0);
    assert!(stopped.statistics.decoded < 32 << 20, "{:?}", stopped.statistics);
    assert!(stopped.statistics.omissions.iter().any(|one| one.contains("the rest of a compressed stream")));
}

/// A stream that random bytes may look like, so that what is not searched in it is no omission of its own.
#[test]
fn a_search_that_stops_in_the_last_stream_is_incomplete() {
    use std::io::Write;
    let secret = random(40, 32);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&[&secret[..], &[7; 400]].concat()).unwrap();
    let (packed, index) = (encoder.finish().unwrap(), index_of(&[&secret]));
    let evidence = || Evidence::new().bytes("wire", &[1; 99]).bytes("disk", &packed);
    let mut asked = 0;
    loop {
        let stopped = search(evidence(), &index, Some(asked));
        if stopped.statistics.omitted == 0 {
            // The control: it was not stopped, and the secret is found.
            assert_eq!(stopped.hits.len(), 1, "{asked}: {:?}", stopped.statistics);
            break;
        }
        let named = &stopped.statistics.omissions;
        assert!(named.iter().any(|one| one.contains("was stopped after")), "{asked}: {named:?}");
        asked += 1;
    }
    assert!(asked > 3, "{asked}");
}
