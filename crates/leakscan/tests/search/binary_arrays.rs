// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays of integers in binary formats and in memory. Literals are the output of the named programs, for [`KEY`].

use super::arrays::{KEY, failure};
use super::{OTHER, index_of, random, search};
use hex_literal::hex;
use leakscan::{Encoding, FRAGMENT};

/// A way to write the bytes of a value.
struct Shape(&'static str, Encoding, fn(&[u8]) -> Vec<u8>);

fn each<const N: usize>(bytes: &[u8], write: impl Fn(u8) -> [u8; N]) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| write(byte)).collect()
}

fn varied(bytes: &[u8], write: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| write(byte)).collect()
}

/// An element of BSON for each byte.
fn bson(bytes: &[u8], kind: u8, write: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
    let element =
        |(index, &byte): (usize, &u8)| [&[kind][..], index.to_string().as_bytes(), &[0], &write(byte)].concat();
    bytes.iter().enumerate().flat_map(element).collect()
}

use Encoding::{BinaryArray, Strided};

const SHAPES: &[Shape] = &[
    Shape("CBOR", BinaryArray, |b| varied(b, |byte| if byte < 24 { vec![byte] } else { vec![0x18, byte] })),
    Shape("CBOR, signed", BinaryArray, |b| {
        varied(b, |byte| match byte {
            0..24 => vec![byte],
            24..128 => vec![0x18, byte],
            128..232 => vec![0x38, !byte],
            232.. => vec![0x20 | !byte],
        })
    }),
    Shape("MessagePack", BinaryArray, |b| varied(b, |byte| if byte < 128 { vec![byte] } else { vec![0xCC, byte] })),
    Shape("MessagePack, signed", BinaryArray, |b| {
        varied(b, |byte| if (128..224).contains(&byte) { vec![0xD0, byte] } else { vec![byte] })
    }),
    Shape("pickle", BinaryArray, |b| each(b, |byte| [b'K', byte])),
    Shape("Protocol Buffers, packed", BinaryArray, |b| {
        varied(b, |byte| if byte < 128 { vec![byte] } else { vec![byte, 1] })
    }),
    Shape("Protocol Buffers, sint32", BinaryArray, |b| {
        varied(b, |byte| {
            let zigzag = (byte << 1) ^ ((byte as i8 >> 7) as u8);
            if zigzag < 128 { vec![zigzag] } else { vec![zigzag, 1] }
        })
    }),
    Shape("Protocol Buffers, field 1", BinaryArray, |b| {
        varied(b, |byte| if byte < 128 { vec![8, byte] } else { vec![8, byte, 1] })
    }),
    Shape("Protocol Buffers, field 3", BinaryArray, |b| {
        varied(b, |byte| if byte < 128 { vec![0x18, byte] } else { vec![0x18, byte, 1] })
    }),
    Shape("Ruby", BinaryArray, |b| {
        varied(b, |byte| match byte {
            0 => vec![b'i', 0],
            1..123 => vec![b'i', byte + 5],
            123.. => vec![b'i', 1, byte],
        })
    }),
    Shape("AMF 3", BinaryArray, |b| {
        varied(b, |byte| if byte < 128 { vec![4, byte] } else { vec![4, 0x81, byte & 0x7F] })
    }),
    Shape("BSON, 32 bits", BinaryArray, |b| bson(b, 0x10, |byte| u32::from(byte).to_le_bytes().to_vec())),
    Shape("BSON, 64 bits", BinaryArray, |b| bson(b, 0x12, |byte| u64::from(byte).to_le_bytes().to_vec())),
    Shape("BSON, signed", BinaryArray, |b| bson(b, 0x10, |byte| i32::from(byte as i8).to_le_bytes().to_vec())),
    Shape("32 bits", Strided, |b| each(b, |byte| u32::from(byte).to_le_bytes())),
    Shape("32 bits, high byte first", Strided, |b| each(b, |byte| u32::from(byte).to_be_bytes())),
    Shape("32 bits, signed", Strided, |b| each(b, |byte| i32::from(byte as i8).to_le_bytes())),
    Shape("32 bits, signed, high byte first", Strided, |b| each(b, |byte| i32::from(byte as i8).to_be_bytes())),
    Shape("64 bits", Strided, |b| each(b, |byte| u64::from(byte).to_le_bytes())),
    Shape("64 bits, high byte first", Strided, |b| each(b, |byte| u64::from(byte).to_be_bytes())),
    Shape("64 bits, signed", Strided, |b| each(b, |byte| i64::from(byte as i8).to_le_bytes())),
    Shape("64 bits, signed, high byte first", Strided, |b| each(b, |byte| i64::from(byte as i8).to_be_bytes())),
    Shape("f32", Strided, |b| each(b, |byte| f32::from(byte).to_le_bytes())),
    Shape("f64", Strided, |b| each(b, |byte| f64::from(byte).to_le_bytes())),
    Shape("f64, signed", Strided, |b| each(b, |byte| f64::from(byte as i8).to_le_bytes())),
    Shape("f64, high byte first", Strided, |b| each(b, |byte| f64::from(byte).to_be_bytes())),
    Shape("Smi of V8", Strided, |b| each(b, |byte| (u64::from(byte) << 32).to_le_bytes())),
    Shape("compressed Smi of V8", Strided, |b| each(b, |byte| (u32::from(byte) << 1).to_le_bytes())),
    Shape("OCaml and Ruby", Strided, |b| each(b, |byte| (u64::from(byte) << 1 | 1).to_le_bytes())),
    Shape("Emacs", Strided, |b| each(b, |byte| (u64::from(byte) << 2 | 2).to_le_bytes())),
    Shape("JavaScriptCore", Strided, |b| each(b, |byte| (0xFFFE_0000_0000_0000 | u64::from(byte)).to_le_bytes())),
    Shape("SpiderMonkey", Strided, |b| each(b, |byte| (0xFFF8_8000_0000_0000 | u64::from(byte)).to_le_bytes())),
    Shape("Lua 5.3", Strided, |b| each(b, |byte| (u128::from(byte) | 0x13 << 64).to_le_bytes())),
    Shape("QuickJS", Strided, |b| each(b, |byte| u128::from(byte).to_le_bytes())),
    Shape("a tag before each", Strided, |b| each(b, |byte| (u128::from(byte) << 64 | 3).to_le_bytes())),
    Shape("Python", Strided, |b| each(b, |byte| (0x7F3A_12C4_5A40 + (u64::from(byte) + 5) * 32).to_le_bytes())),
    Shape("Python, static", Strided, |b| each(b, |byte| (0x95_2F48 + (u64::from(byte) + 5) * 32).to_le_bytes())),
];

/// A value whose bytes have a wide range, as nearly all random ones have.
fn key(seed: u64, len: usize) -> Vec<u8> {
    let mut key = random(seed, len);
    for half in key.chunks_mut(8) {
        half[seed as usize % 8] = 250;
        half[(seed as usize + 3) % 8] = 3;
    }
    key
}

/// Binary data around an array: random, zeros, bytes of no text.
fn around(kind: usize, len: usize) -> Vec<u8> {
    match kind % 3 {
        0 => vec![OTHER; len],
        1 => vec![0; len],
        _ => random(77, len),
    }
}

#[test]
fn values_are_found_in_every_shape_in_binary_data() {
    let mut failures = Vec::new();
    for (seed, at) in (0..).zip([0, 8, 16, 24, 32, 40, 48, 56, 64, 104, 3, 17, 61]) {
        // Of signed integers in MessagePack, one in three has a marker: too few in a short array.
        for Shape(name, encoding, write) in SHAPES.iter().filter(|shape| shape.0 != "MessagePack, signed") {
            let len = if *name == "CBOR, signed" { 64 } else { 32 };
            let key = key(1_300 + seed, len);
            let index = index_of(&[&key]);
            // Words in memory are aligned.
            let at = if *encoding == Strided { at & !7 } else { at };
            for kind in 0..3 {
                let evidence = [around(kind, at), write(&key), around(kind, 200)].concat();
                let failure = failure(&evidence, &index, 0..len, *encoding);
                failures.extend(failure.map(|failure| (name, at, kind, failure)));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn fragments_of_bytes_are_found_in_every_shape_in_binary_data() {
    let mut failures = Vec::new();
    for seed in 0..8 {
        let key = key(1_400 + seed, 48);
        let index = index_of(&[&key]);
        // In these formats, few integers have a marker: half of them may be too few.
        let sparse = ["MessagePack", "MessagePack, signed", "Protocol Buffers, packed", "Protocol Buffers, sint32"];
        for Shape(name, encoding, write) in SHAPES.iter().filter(|shape| !sparse.contains(&shape.0)) {
            for from in [0, 9, 16, 32] {
                let at = 8 * (seed as usize + from);
                let fragment = write(&key[from..from + FRAGMENT]);
                let evidence = [around(0, at), fragment, around(0, 200)].concat();
                let failure = failure(&evidence, &index, from..from + FRAGMENT, *encoding);
                failures.extend(failure.map(|failure| (name, seed, from, failure)));
            }
            // The control: a byte less is no fragment.
            let evidence = [around(0, 64), write(&key[..FRAGMENT - 1]), around(0, 200)].concat();
            assert!(search(&evidence, &index).hits.is_empty(), "{name}");
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_value_in_a_long_array_is_found_at_every_place() {
    let mut failures = Vec::new();
    let key = key(1_500, 32);
    let index = index_of(&[&key]);
    for Shape(name, encoding, write) in SHAPES {
        for at in [1, 40, 333, 2_000] {
            let array = write(&[random(1_501, at), key.clone(), random(1_502, 300)].concat());
            failures.extend(failure(&array, &index, 0..32, *encoding).map(|failure| (name, at, failure)));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The list `[96, 195, …]`, written by each program.
#[test]
fn the_output_of_programs_is_found() {
    let index = index_of(&[&KEY]);
    let outputs: &[(&str, &[u8])] = &[
        (
            "cbor2 6.3.0",
            &hex!(
                "a1636b65799820186018c3185b1827187a181f0e189d184b183a182c188e189d187f181a18e41855186618f001188c18b718d318c2189918ef0a184d188318b1182e1870"
            ),
        ),
        (
            "cbor2 6.3.0, signed",
            &hex!(
                "98201860383c185b1827187a181f0e3862184b183a182c38713862187f181a381b185518662f0138733848382c383d3866300a184d387c384e182e1870"
            ),
        ),
        (
            "msgpack 1.2.4",
            &hex!(
                "81a36b6579dc002060ccc35b277a1f0ecc9d4b3a2ccc8ecc9d7f1acce45566ccf001cc8cccb7ccd3ccc2cc99ccef0a4dcc83ccb12e70"
            ),
        ),
        (
            "msgpack 1.2.4, signed",
            &hex!("dc002060d0c35b277a1f0ed09d4b3a2cd08ed09d7f1ae45566f001d08cd0b7d0d3d0c2d099ef0a4dd083d0b12e70"),
        ),
        (
            "pymongo 4.20.1",
            &hex!(
                "05010000046b657900fb00000010300060000000103100c30000001032005b000000103300270000001034007a0000001035001f0000001036000e0000001037009d0000001038004b0000001039003a000000103130002c000000103131008e000000103132009d000000103133007f000000103134001a00000010313500e40000001031360055000000103137006600000010313800f00000001031390001000000103230008c00000010323100b700000010323200d300000010323300c2000000103234009900000010323500ef000000103236000a000000103237004d000000103238008300000010323900b1000000103330002e00000010333100700000000000"
            ),
        ),
        (
            "pymongo 4.20.1, int64",
            &hex!(
                "85010000046b6579007b0100001230006000000000000000123100c3000000000000001232005b0000000000000012330027000000000000001234007a000000000000001235001f000000000000001236000e000000000000001237009d000000000000001238004b000000000000001239003a00000000000000123130002c00000000000000123131008e00000000000000123132009d00000000000000123133007f00000000000000123134001a0000000000000012313500e40000000000000012313600550000000000000012313700660000000000000012313800f000000000000000123139000100000000000000123230008c0000000000000012323100b70000000000000012323200d30000000000000012323300c20000000000000012323400990000000000000012323500ef00000000000000123236000a00000000000000123237004d0000000000000012323800830000000000000012323900b100000000000000123330002e000000000000001233310070000000000000000000"
            ),
        ),
        (
            "protobuf 7.36.2, packed",
            &hex!("122e60c3015b277a1f0e9d014b3a2c8e019d017f1ae4015566f001018c01b701d301c2019901ef010a4d8301b1012e70"),
        ),
        (
            "protobuf 7.36.2, not packed",
            &hex!(
                "106010c301105b1027107a101f100e109d01104b103a102c108e01109d01107f101a10e4011055106610f0011001108c0110b70110d30110c20110990110ef01100a104d10830110b101102e1070"
            ),
        ),
        (
            "Python 3.11.7: pickle, protocol 1",
            &hex!(
                "7d710058030000006b657971015d7102284b604bc34b5b4b274b7a4b1f4b0e4b9d4b4b4b3a4b2c4b8e4b9d4b7f4b1a4be44b554b664bf04b014b8c4bb74bd34bc24b994bef4b0a4b4d4b834bb14b2e4b7065732e"
            ),
        ),
        (
            "Python 3.11.7: pickle, protocol 4",
            &hex!(
                "8004954e000000000000007d948c036b6579945d94284b604bc34b5b4b274b7a4b1f4b0e4b9d4b4b4b3a4b2c4b8e4b9d4b7f4b1a4be44b554b664bf04b014b8c4bb74bd34bc24b994bef4b0a4b4d4b834bb14b2e4b7065732e"
            ),
        ),
        (
            "Node: v8.serialize",
            &hex!(
                "ff0f6f22036b6579412049c00149860349b601494e49f401493e491c49ba0249960149744958499c0249ba0249fe01493449c80349aa0149cc0149e003490249980249ee0249a60349840349b20249de034914499a0149860249e202495c49e0012400207b01"
            ),
        ),
    ];
    for (name, output) in outputs {
        for before in [0, 5, 60, 100] {
            let evidence = [around(2, before), output.to_vec(), around(1, 100)].concat();
            let failure = failure(&evidence, &index, 0..32, BinaryArray);
            assert_eq!(failure, None, "{name} after {before}");
        }
    }
}
