// SPDX-License-Identifier: MIT OR Apache-2.0
//! The content of HTTP/2 by its header.

use super::network::{HTTP2, brotli, decoded, deflate, document, flow, search};
use super::{index_of, random};
use leakscan::Encoding;

/// A frame of stream 1.
fn http2_frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&[len[1], len[2], len[3], kind, flags, 0, 0, 0, 1], payload].concat()
}

#[test]
fn content_of_http2_is_decoded_by_its_header() {
    let secret = random(390, 32);
    let index = index_of(&[&secret]);
    let body = document(&secret);
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
    for (coding, packed) in
        [("br", brotli(&body)), ("deflate", deflate(&body)), ("gzip", super::encode::gzip(&body)), ("", secret.clone())]
    {
        // A status of the static table, and a field that is written out, in two frames with padding and priority.
        let literal = [&[0x88, 0, 16][..], b"content-encoding", &[coding.len() as u8], coding.as_bytes()].concat();
        let (one, two) = literal.split_at(9);
        let headers = [http2_frame(1, 0x28, &[&[2, 0, 0, 0, 0, 9][..], one, &[0, 0]].concat()), http2_frame(9, 4, two)];
        let data = |flags: u8| move |part: &[u8]| http2_frame(0, 8 | flags, &[&[3][..], part, &[0xAA; 3]].concat());
        let content: Vec<u8> = packed.chunks(11).flat_map(data(0)).collect();
        let all = [&settings[..], &headers.concat(), &content, &http2_frame(0, 1, &[])].concat();
        let hits = decoded(Encoding::Http2, &flow(std::slice::from_ref(&all)), true, &index);
        assert!(hits.iter().any(|(_, whole)| *whole), "{coding}: {hits:?}");
        let omissions = search(&flow(std::slice::from_ref(&all)), &index).statistics.omissions;
        // A gzip member that frames cut is broken in the flow itself, and whole in the content.
        assert_eq!(omissions, [""; 0], "{coding}");
    }
    // Controls: a coding without a decoder is an omission; random bytes are none.
    let fields = [&[0x88, 0, 16][..], b"content-encoding", &[3], b"dcb"].concat();
    let foreign = [&settings[..], &http2_frame(1, 4, &fields), &http2_frame(0, 1, &random(391, 50))].concat();
    let omitted = search(&flow(&[foreign]), &index).statistics.omissions;
    assert!(omitted.len() == 1 && omitted[0].ends_with("in a coding that is not decoded"), "{omitted:?}");
    let string = [&HTTP2[..24], b"\0\0\0\x01\0\0\0\0\x01", &random(392, 90)].concat();
    assert_eq!(search(&flow(&[string]), &index).statistics.omitted, 0);
    let noise: Vec<Vec<u8>> =
        (0..300).map(|seed| [&http2_frame(0, 0, b"x"), &random(seed, 900)[..]].concat()).collect();
    assert_eq!(search(&flow(&noise), &index).statistics.omitted, 0);
}
