// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compressed streams by encoders of other authors: whole, in pieces, cut, damaged, within text, and as bombs.

use super::encode::{self, base64, gzip, zlib, zstd};
use super::{BLOCK, OTHER, index_of, random, search};
use hex_literal::hex;
use leakscan::{Encoding, Encodings, Evidence, Findings, Index, SearchLimits};
use std::io::Write as _;

type Encode = fn(&[u8]) -> Vec<u8>;

pub(super) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::default()).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn lzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::LzipWriter::new(Vec::new(), lzma_rust2::LzipOptions::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lzma(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::LzmaOptions::default();
    let mut encoder = lzma_rust2::LzmaWriter::new_use_header(Vec::new(), &options, None).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4_with(bytes: &[u8], info: lz4_flex::frame::FrameInfo) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    lz4_with(bytes, lz4_flex::frame::FrameInfo::new().content_checksum(true).block_checksums(true))
}

fn lz4_linked(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().block_mode(lz4_flex::frame::BlockMode::Linked).content_checksum(true);
    lz4_with(bytes, info.content_size(Some(bytes.len() as u64)))
}

fn lz4_legacy(bytes: &[u8]) -> Vec<u8> {
    lz4_with(bytes, lz4_flex::frame::FrameInfo::new().legacy_frame(true))
}

pub(super) fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.into_inner().unwrap()
}

/// An entry of a ZIP archive, with its sizes in the header or in a data descriptor after it.
fn zip_with(bytes: &[u8], descriptor: bool) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    let deflated = encoder.finish().unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let sums = [crc.sum(), deflated.len() as u32, bytes.len() as u32].map(u32::to_le_bytes).concat();
    let flags = if descriptor { 8 } else { 0 };
    let (header, trailer) =
        if descriptor { (vec![0; 12], [b"PK\x07\x08", &sums[..]].concat()) } else { (sums, vec![]) };
    [&[b'P', b'K', 3, 4, 20, 0, flags, 0, 8, 0, 0, 0, 0, 0][..], &header, b"\x05\0\0\0k.txt", &deflated, &trailer]
        .concat()
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    zip_with(bytes, false)
}

fn zip_streamed(bytes: &[u8]) -> Vec<u8> {
    zip_with(bytes, true)
}

/// A zlib stream whose header announces a window of 1 KiB (RFC 1950, 2.2).
fn zlib_small(bytes: &[u8]) -> Vec<u8> {
    let mut stream = zlib(bytes);
    stream[..2].copy_from_slice(&[0x28, 0x91]);
    stream
}

/// An image of grey pixels in chunks of 300 bytes.
fn png(bytes: &[u8]) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(&[kind, data].concat());
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &crc.sum().to_be_bytes()].concat()
    };
    let rows: Vec<u8> = bytes.chunks(16).flat_map(|row| [&[0], row, &vec![0; 16 - row.len()]].concat()).collect();
    let height = (bytes.len().div_ceil(16) as u32).to_be_bytes();
    let header = [&[0, 0, 0, 16][..], &height, &[8, 0, 0, 0, 0]].concat();
    let image: Vec<u8> = zlib(&rows).chunks(300).flat_map(|data| chunk(b"IDAT", data)).collect();
    [b"\x89PNG\r\n\x1A\n", &chunk(b"IHDR", &header)[..], &image, &chunk(b"IEND", b"")].concat()
}

/// Each format: its encoding, its encoder, and whether a part of it may be lost in silence, since it has no checksum.
const FORMATS: &[(&str, Encoding, Encode)] = &[
    ("bzip2", Encoding::Bzip2, bzip2),
    ("xz", Encoding::Lzma, xz),
    ("lzip", Encoding::Lzma, lzip),
    ("lzma", Encoding::Lzma, lzma),
    ("lz4", Encoding::Lz4, lz4),
    ("lz4, linked blocks", Encoding::Lz4, lz4_linked),
    ("lz4, legacy", Encoding::Lz4, lz4_legacy),
    ("snappy", Encoding::Snappy, snappy),
    ("gzip", Encoding::Gzip, gzip),
    ("zlib", Encoding::Zlib, zlib),
    ("zstd", Encoding::Zstd, zstd),
    ("zip", Encoding::Zip, zip),
    ("zip, streamed", Encoding::Zip, zip_streamed),
    ("zlib, small window", Encoding::Zlib, zlib_small),
    ("png", Encoding::Png, png),
];

/// Bytes that can be compressed, with a secret between them.
fn content(secret: &[u8], around: usize) -> Vec<u8> {
    let text = |seed| random(seed, around).iter().map(|byte| b'a' + byte % 16).collect::<Vec<_>>();
    [text(61), secret.to_vec(), text(62)].concat()
}

fn is_found(findings: &Findings, chain: &[Encoding], at: usize) -> bool {
    findings
        .hits
        .iter()
        .any(|hit| hit.whole && hit.offset == at as u64 && hit.encoding == [chain, &[Encoding::Raw]].concat())
}

fn without(evidence: &[u8], index: &Index, encoding: Encoding) -> Findings {
    let blind = Evidence::new().with_encodings(Encodings::ALL.without(encoding));
    blind.bytes("bytes", evidence).search(index, |_, _| {}).unwrap()
}

#[test]
fn each_format_is_read_at_any_place() {
    let secret = random(60, 32);
    let index = index_of(&[&secret]);
    for &(name, encoding, encode) in FORMATS {
        for around in [20, 3000, 300_000] {
            let stream = encode(&content(&secret, around));
            for at in [0, 1, 77, BLOCK - 3, BLOCK - stream.len().min(BLOCK) / 2] {
                let evidence = [&vec![OTHER; at][..], &stream, &[0; 1000]].concat();
                let findings = search(&evidence, &index);
                assert!(is_found(&findings, &[encoding], at), "{name} {around} {at}: {findings:?}");
                assert_eq!(findings.statistics.omissions, [""; 0], "{name} {around} {at}");
                // The control: without its decoder there is nothing.
                let blind = without(&evidence, &index, encoding);
                assert!(!is_found(&blind, &[encoding], at), "{name} {around} {at}");
            }
        }
    }
}

#[test]
fn streams_that_follow_each_other_are_all_read() {
    let secrets: Vec<_> = (0..3).map(|seed| random(seed + 70, 32)).collect();
    let index = index_of(&secrets.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for &(name, encoding, encode) in FORMATS {
        let evidence: Vec<u8> = secrets.iter().flat_map(|secret| encode(&content(secret, 500))).collect();
        let findings = search(&evidence, &index);
        let found = |id| findings.hits.iter().any(|hit| hit.id == id && hit.whole && hit.encoding[0] == encoding);
        assert!((0..3).all(found), "{name}: {findings:?}");
        assert_eq!(findings.statistics.omissions, [""; 0], "{name}");
    }
}

#[test]
fn each_format_is_read_in_pieces_and_within_text() {
    let secret = random(60, 32);
    let index = index_of(&[&secret]);
    for &(name, encoding, encode) in FORMATS {
        let stream = encode(&content(&secret, 40_000));
        for pieces in [1, 7, 4096] {
            let reader = Pieces(&stream, pieces);
            let findings = Evidence::new().reader("pieces", reader).search(&index, |_, _| {}).unwrap();
            assert!(is_found(&findings, &[encoding], 0), "{name} {pieces}: {findings:?}");
            assert_eq!(findings.statistics.omissions, [""; 0], "{name} {pieces}");
        }
        for (outer, text) in
            [(Encoding::Base64, base64(&stream, false, true, 76)), (Encoding::Hex, encode::hex(&stream, "", ""))]
        {
            let findings = search(&text, &index);
            assert!(is_found(&findings, &[outer, encoding], 0), "{name} {outer}: {findings:?}");
            assert_eq!(findings.statistics.omissions, [""; 0], "{name} {outer}");
        }
        let findings = search(&gzip(&stream), &index);
        assert!(is_found(&findings, &[Encoding::Gzip, encoding], 0), "{name}: {findings:?}");
        assert_eq!(findings.statistics.omissions, [""; 0], "{name} in gzip");
    }
}

/// A reader that gives a few bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl std::io::Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = self.1.min(buffer.len()).min(self.0.len());
        let (now, rest) = self.0.split_at(len);
        buffer[..len].copy_from_slice(now);
        self.0 = rest;
        Ok(len)
    }
}

#[test]
fn a_stream_that_is_cut_is_an_omission_with_its_place() {
    let secret = random(60, 32);
    let index = index_of(&[&secret]);
    for &(name, encoding, encode) in FORMATS {
        let stream = encode(&content(&secret, 20_000));
        for percent in [30, 60, 99] {
            let evidence = [&[OTHER; 50][..], &stream[..stream.len() * percent / 100]].concat();
            let findings = search(&evidence, &index);
            // The zlib stream in an image is cut as well.
            let omissions = findings.statistics.omissions.len();
            let omission = &findings.statistics.omissions[0];
            assert!(omissions == 1 || omissions == 2 && name == "png", "{name} {percent}: {findings:?}");
            assert!(omission.starts_with("bytes, byte 50: ") && omission.ends_with("ends too early"), "{omission}");
            assert!(is_found(&findings, &[encoding], 50) <= (percent > 50), "{name} {percent}");
        }
    }
}

/// One flipped bit anywhere: the secret is found, or the search says that it could not read something.
#[test]
fn a_damaged_stream_never_hides_a_secret_in_silence() {
    let secret = random(60, 32);
    let index = index_of(&[&secret]);
    for &(name, _, encode) in FORMATS {
        let stream = encode(&content(&secret, 1500));
        // The beginnings by which a format is recognised are bytes of the evidence like any other.
        let magic = match name {
            "zlib" | "zlib, small window" => 2,
            "zip" | "zip, streamed" => 30,
            "png" => 16,
            _ => 14,
        };
        let (mut lost, mut omitted) = (Vec::new(), 0);
        for at in magic..stream.len() {
            let mut damaged = stream.clone();
            damaged[at] ^= 1 << (at % 8);
            let findings = search(&damaged, &index);
            let is_omitted = findings.statistics.omitted > 0;
            omitted += usize::from(is_omitted);
            if !is_omitted && !findings.hits.iter().any(|hit| hit.whole) {
                lost.push(at);
            }
        }
        // A zlib stream of less than 2 KiB that is broken looks like a random match; an LZ4 stream of the legacy format
        // and a `.lzma` file have no checksum.
        if !(name.starts_with("zlib") || matches!(name, "lz4, legacy" | "lzma")) {
            assert_eq!(lost, [0; 0], "{name}, {} bytes", stream.len());
            assert!(omitted > stream.len() / 2, "{name}: {omitted}");
        }
    }
}

#[test]
fn bombs_are_limited_and_reported() {
    let secret = random(60, 32);
    let index = index_of(&[&secret]);
    let limits = SearchLimits { stream: 1 << 20, ..SearchLimits::default() };
    for &(name, encoding, encode) in FORMATS {
        let bomb = encode(&[vec![0; 4 << 20], content(&secret, 5000)].concat());
        let bounded = Evidence::new().with_limits(limits).bytes("bomb", &bomb).search(&index, |_, _| {}).unwrap();
        assert!(!is_found(&bounded, &[encoding], 0) && bounded.statistics.decoded < 16 << 20, "{name}: {bounded:?}");
        let omission = "bomb, byte 0: a compressed stream beyond the limit";
        assert_eq!(bounded.statistics.omissions[0], omission, "{name}: {bounded:?}");
        assert!(bounded.statistics.omitted <= 1 + u64::from(name == "png"), "{name}: {bounded:?}");
        // The control: within the limits it is found.
        let findings = search(&bomb, &index);
        assert!(is_found(&findings, &[encoding], 0) && findings.statistics.omitted == 0, "{name}: {findings:?}");
    }
}

/// Images by Pillow 12 (12 x 6 pixels, RGB, with the filters 1 and 2; an animation) and by pypng 0.20 (interlaced).
#[test]
fn pixels_are_found_whatever_their_filter_pass_or_frame() {
    let filtered = hex!(
        "89504e470d0a1a0a0000000d494844520000000c000000060802000000788ce8d60000006f49444154789c05c10161c3"
        "400c04c1c6dabd7bbd99044df8a3e9cce7effbbbbd7bef9eeede7dcf3d77cfeded9ef7ddb3bb4fa7c400d5a01d62a6b6"
        "c542f2508a53a3a611a3a8204c129f90310e51454cb4926009e02326246a834246c7309d5185673a0ac4918494300633"
        "3129f51fa491053755ca302b0000000049454e44ae426082"
    );
    let pixels = hex!(
        "002a500a315a133b641c436b254c752e577d385f874167914871985179a35c82ab658bb4072d570e375f193f68204a70"
        "2a5279335c843b638d466d944f769f5880a76189af6991ba0b345b153b641c466d264f752f58803961884069924b7199"
        "547ba35c85ab658cb56f97bf11386118406a2149712c547a345d843e658d466f9750789e5881a9608ab26992b9739bc4"
        "163c661e466e274f763159813a61894369914c729c557ba35e85ac678db56e97be789fc8194369234b722b537c365c86"
        "3e678f476f985078a05880a9628ab26a93ba749dc57ca6cd"
    );
    let interlaced = hex!(
        "89504e470d0a1a0a0000000d4948445200000009000000050800000001c53fa9210000004049444154789c6360b06690"
        "65300fcc61e0d36670896790d630730b66e0905036615032b4f565b0f18cca60e0139751d231b2b27367d03230b371f6"
        "0e898c0700f03d09bcc90999d60000000049454e44ae426082"
    );
    // The last pass has the whole rows 1 and 3.
    let rows = hex!("0e171c222c323a3e47 2a30363c434b54595f");
    let animated = hex!(
        "89504e470d0a1a0a0000000d494844520000000800000004080000000096a6212c000000086163544c00000002000000"
        "00f38d93700000001a6663544c0000000000000008000000040000000000000000000000010000868ed5d70000002d49"
        "444154789c63383efd3fc7b2b31338593ac556d8b2f3ddad67303cb4e14785a28836a38bd07f0919c51b56000e2e0d9b"
        "8da350940000001a6663544c00000001000000080000000400000000000000000000000100001dfd3f03000000316664"
        "415400000002789c635ccbd813fdb8c9fb03c312910baa87bc1dd6315ab5a7796f8f37bacbc2a099b6ea1dbf0f23000f"
        "9e0dfeba27d8600000000049454e44ae426082"
    );
    let second_frame = hex!("adae3a9578fa4535a414d025c24b40ae3ac127722988ba973aea8d3717970607");
    for (name, image, secret) in [
        ("filtered", &filtered[..], &pixels[..]),
        ("interlaced", &interlaced, &rows),
        ("animated", &animated, &second_frame),
    ] {
        let index = index_of(&[secret]);
        let evidence = [&[OTHER; 9][..], image, &[OTHER; 9]].concat();
        let findings = search(&evidence, &index);
        assert!(is_found(&findings, &[Encoding::Png], 9), "{name}: {findings:?}");
        assert_eq!(findings.statistics.omissions, [""; 0], "{name}");
        let blind = without(&evidence, &index, Encoding::Png);
        assert!(!blind.hits.iter().any(|hit| hit.whole && hit.encoding[0] == Encoding::Png), "{name}");
        // A damaged image is an omission.
        let mut damaged = evidence.clone();
        damaged[evidence.len() - 9 - 12 - 8] ^= 1;
        assert_eq!(
            search(&damaged, &index).statistics.omissions,
            ["bytes, byte 9: a PNG image that cannot be decompressed"]
        );
    }
}

/// `zlib.compressobj(level, wbits=window)` of Python 3.11, of a text with a key.
#[test]
fn zlib_streams_of_every_window_are_found() {
    let secret = hex!("7942bdf22106f0847762f0f3cb4d764dc7072051159a0f89f2c6dacae344bb31");
    let index = index_of(&[&secret]);
    let streams: &[(u8, u8, &[u8])] = &[
        (
            9,
            1,
            &hex!(
                "1819cb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            9,
            6,
            &hex!(
                "1895cb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            9,
            9,
            &hex!(
                "18d3cb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            10,
            6,
            &hex!(
                "2891cb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            11,
            6,
            &hex!(
                "388dcb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            12,
            6,
            &hex!(
                "4889cb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            13,
            6,
            &hex!(
                "5885cb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            14,
            6,
            &hex!(
                "6881cb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            15,
            1,
            &hex!(
                "7801cb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            15,
            6,
            &hex!(
                "789ccb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
        (
            15,
            9,
            &hex!(
                "78dacb4eadb4ad74dafb4991ed434b79d287cfa77dcb7c8fb32b048acee2effc74ecd6a9c72ebb0d15b2712802009aa71d99"
            ),
        ),
    ];
    for &(window, level, stream) in streams {
        for at in 0..70 {
            let evidence = [&vec![OTHER; at][..], stream, &[OTHER; 70]].concat();
            assert!(is_found(&search(&evidence, &index), &[Encoding::Zlib], at), "{window} {level} at {at}");
        }
        // The control: with other check bits it is no zlib stream.
        let mut other = stream.to_vec();
        other[1] ^= 1;
        assert!(!is_found(&search(&other, &index), &[Encoding::Zlib], 0), "{window} {level}");
    }
}

/// The beginnings of what zstd 1.5.4 wrote with `--ultra -22 --long=31` and with `-D dictionary`.
#[test]
fn frames_of_zstandard_with_a_dictionary_or_a_large_window_are_omissions() {
    let large = hex!("28b52ffd04a8fd19008a4518082a604d0ae9804205811b23");
    let dictionary = hex!("28b52ffd67e7ad3c74bb5725200073e767f7de7befbdf75a");
    let index = index_of(&[&random(1, 32)]);
    for (frame, how) in [(large, "needs too much memory"), (dictionary, "needs a dictionary")] {
        let evidence = [&[OTHER; 50][..], &frame, &random(2, 700)].concat();
        let omitted = search(&evidence, &index).statistics.omissions;
        assert_eq!(omitted, [format!("bytes, byte 50: a Zstandard frame that {how}")]);
        // Controls: a reserved bit of the header, and a block of a reserved type.
        for (at, bit) in [(4, 8), (if how.ends_with("memory") { 6 } else { 11 }, 6)] {
            let mut other = evidence.clone();
            other[50 + at] |= bit;
            assert_eq!(search(&other, &index).statistics.omissions, [""; 0]);
        }
    }
}
