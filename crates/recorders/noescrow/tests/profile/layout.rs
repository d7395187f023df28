// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secrets of stored states, read as spec/protocol.md §11 and §7 state them, without the profile.

/// Bytes of a handshake (spec/protocol.md §5).
const HANDSHAKE_LEN: usize = 1756;

/// Reads bytes from the front; panics at their end.
struct Reader<'a>(&'a [u8]);

/// The name of a secret, and its bytes.
pub type Secret<'a> = (&'static str, &'a [u8]);

/// The secrets of a state.
#[derive(Default)]
pub struct Secrets<'a> {
    pub all: Vec<Secret<'a>>,
    /// The Braid's state, if it is a session.
    pub braid: Option<u8>,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    fn u8(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    fn flag(&mut self) -> bool {
        let flag = self.u8();
        assert!(flag < 2);
        flag == 1
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes(4).try_into().unwrap())
    }
}

impl<'a> Secrets<'a> {
    fn add(&mut self, name: &'static str, len: usize, reader: &mut Reader<'a>) {
        self.all.push((name, reader.bytes(len)));
    }

    fn key(&mut self, name: &'static str, reader: &mut Reader<'a>) {
        self.add(name, 32, reader);
    }
}

/// The secrets of a state whose snapshot is of this kind: 1 a session, 2 a device; 3 and 4 one row of these, `part`; 5 a
/// row of a peer, 6 of a messenger.
pub fn secrets(kind: u8, part: u8, state: &[u8]) -> Secrets<'_> {
    let (mut reader, mut secrets) = (Reader(state), Secrets::default());
    match (kind, part) {
        (1, 0) => {
            session(&mut reader, &mut secrets);
            parts(&mut reader, &mut secrets);
        }
        (2, 0) => {
            device(&mut reader, &mut secrets);
            parts(&mut reader, &mut secrets);
        }
        (3, 0) => {
            reader.bytes(32);
            session(&mut reader, &mut secrets);
        }
        (4, 0) => {
            reader.bytes(32);
            device(&mut reader, &mut secrets);
        }
        (5, 0) => peer(&mut reader, &mut secrets),
        // They have no secret.
        (5 | 6, _) => drop(reader.bytes(state.len())),
        (3 | 4, part) => content(part, &mut reader, &mut secrets),
        _ => panic!("no such kind"),
    }
    assert!(reader.0.is_empty());
    secrets
}

fn parts<'a>(reader: &mut Reader<'a>, secrets: &mut Secrets<'a>) {
    while !reader.0.is_empty() {
        let part = reader.u8();
        reader.bytes(8);
        content(part, reader, secrets);
    }
}

fn content<'a>(part: u8, reader: &mut Reader<'a>, secrets: &mut Secrets<'a>) {
    match part {
        1 | 2 => {
            let name = if part == 1 { "message key" } else { "post-quantum message key" };
            for _ in 0..reader.u32().count_ones() {
                secrets.key(name, reader);
            }
        }
        3 => {
            prekey(reader, secrets);
            reader.bytes(1 + 8);
        }
        4 => drop(reader.bytes(16 * usize::from(reader.0[0]) + 1)),
        _ => panic!("no such part"),
    }
}

/// spec/messenger.md, §11.
fn peer<'a>(reader: &mut Reader<'a>, secrets: &mut Secrets<'a>) {
    reader.bytes(32 + 97);
    let name_len = reader.u32();
    reader.bytes(name_len.try_into().unwrap());
    for _ in 0..2 {
        if reader.flag() {
            reader.bytes(noescrow::IDENTITY_LEN);
        }
    }
    reader.bytes(1 + 4 + (4 + 8) + (1 + 4 * 8) + 1 + (1 + 4 * 8) + 9 + 9 + 8);
    for _ in 0..reader.u8() {
        secrets.key("session id", reader);
        reader.bytes(8 + 4 + 1 + 1 + 4 + 1 + 9 + 4);
        if reader.flag() {
            reader.bytes(32);
        }
        reader.bytes(8 + (1 + 4 + 4 + 8));
        for _ in 0..reader.u8() {
            reader.bytes(8);
        }
        for _ in 0..reader.u8() {
            secrets.key("header key", reader);
        }
    }
    for _ in 0..reader.u8() {
        reader.bytes(32 + 8);
    }
    // Rejected identities, and opening ids of refused first messages.
    for _ in 0..2 {
        for _ in 0..reader.u8() {
            reader.bytes(32);
        }
    }
}

fn session<'a>(reader: &mut Reader<'a>, secrets: &mut Secrets<'a>) {
    if reader.flag() {
        reader.bytes(2 * noescrow::IDENTITY_LEN);
    }
    reader.bytes(32);
    secrets.key("session id", reader);
    match reader.u8() {
        0 => drop(reader.bytes(HANDSHAKE_LEN)),
        1 => drop(reader.bytes(32)),
        _ => {}
    }
    let chunk_len = 32 << reader.u8();
    double_ratchet(reader, secrets);
    braid(reader, chunk_len, secrets);
    reader.u8();
    if secrets.braid != Some(0) {
        sparse_ratchet(reader, secrets);
    }
}

fn double_ratchet<'a>(reader: &mut Reader<'a>, secrets: &mut Secrets<'a>) {
    secrets.key("root key", reader);
    match reader.u8() {
        0 => secrets.key("X25519 private key", reader),
        1 => drop(reader.bytes(32 + 4)),
        _ => {
            for name in ["X25519 private key", "chain key", "header key"] {
                secrets.key(name, reader);
            }
            reader.bytes(3 * 4);
        }
    }
    if reader.flag() {
        reader.bytes(32);
        secrets.key("chain key", reader);
        secrets.key("header key", reader);
        reader.u32();
    }
    secrets.key("header key", reader);
    secrets.key("header key", reader);
    reader.u32();
    for _ in 0..reader.u32() {
        reader.u32();
        secrets.key("header key", reader);
    }
}

fn braid<'a>(reader: &mut Reader<'a>, chunk_len: usize, secrets: &mut Secrets<'a>) {
    let state = reader.u8();
    secrets.braid = Some(state);
    if state == 0 {
        return;
    }
    reader.u32();
    secrets.key("authenticator's root", reader);
    secrets.key("authenticator's MAC key", reader);
    if (2..=5).contains(&state) {
        secrets.add("ML-KEM-768 private key", 64, reader);
    }
    if (8..=10).contains(&state) {
        secrets.key("ML-KEM coins", reader);
        reader.bytes(64);
    }
    if [2, 3, 4, 8, 9].contains(&state) {
        reader.u32();
    }
    if [4, 5].contains(&state) {
        reader.bytes(960);
    }
    if [3, 5, 6, 8, 10].contains(&state) {
        for _ in 0..reader.u8() {
            reader.bytes(2 + chunk_len);
        }
    }
    match state {
        7 => drop(reader.bytes(64)),
        9 => drop(reader.bytes(1152)),
        11 => drop(reader.bytes(128 + 32 + 4)),
        _ => {}
    }
}

fn sparse_ratchet<'a>(reader: &mut Reader<'a>, secrets: &mut Secrets<'a>) {
    secrets.key("post-quantum root key", reader);
    reader.u32();
    for _ in 0..reader.u8() {
        if reader.flag() {
            secrets.key("post-quantum chain key", reader);
            reader.u32();
        }
        secrets.key("post-quantum chain key", reader);
        reader.u32();
        secrets.key("post-quantum header secret", reader);
    }
}

fn device<'a>(reader: &mut Reader<'a>, secrets: &mut Secrets<'a>) {
    secrets.key("Ed25519 private key", reader);
    secrets.key("X25519 private key", reader);
    reader.bytes(8);
    if reader.flag() {
        reader.bytes(8 + 8);
    }
    reader.bytes(8 + 4 + 8);
    signed_prekey(reader, secrets);
    for _ in 0..reader.u32() {
        signed_prekey(reader, secrets);
    }
}

fn signed_prekey<'a>(reader: &mut Reader<'a>, secrets: &mut Secrets<'a>) {
    prekey(reader, secrets);
    reader.bytes(8 + 1);
}

fn prekey<'a>(reader: &mut Reader<'a>, secrets: &mut Secrets<'a>) {
    reader.bytes(4 + 1 + 8);
    secrets.key("X25519 private key", reader);
    secrets.add("ML-KEM private key", 64, reader);
    reader.bytes(32);
}
