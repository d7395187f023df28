// SPDX-License-Identifier: MIT OR Apache-2.0
//! Redis: strings that are compressed in a snapshot.

use super::{Scratch, hex, index_of, is_absent, random, search, whole, words};
use leakscan::Encoding;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn compressed_strings_in_a_snapshot_of_redis_are_found() {
    let folder = Scratch::new("redis");
    let data = folder.0.join("server");
    std::fs::create_dir(&data).unwrap();
    let socket = folder.0.join("socket");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket).arg("--dir").arg(&data);
    let Ok(child) = command.stdout(Stdio::null()).spawn() else {
        is_absent("Redis");
        return;
    };
    let _server = Server(child);
    let connect = || {
        std::thread::sleep(Duration::from_millis(100));
        UnixStream::connect(&socket).ok()
    };
    let stream = (0..100).find_map(|_| connect()).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let send = |parts: &[&[u8]]| {
        let parts: Vec<u8> =
            parts.iter().flat_map(|part| [format!("${}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()).collect();
        (&stream).write_all(&parts).unwrap();
    };
    let secrets: Vec<Vec<u8>> = (0..3).map(|number| random(800 + number, 32)).collect();
    let key = hex(&secrets[0]);
    // The parts of the keys that were there before are not written again.
    let json = format!("{{\"part\":\"{}\",\"state\":\"delivered\",\"root_key\":\"{key}\"}}", &key[20..44]).repeat(2);
    let raw = |secret: &[u8]| [&words(900, 3_000)[..], &secret[9..23], b"....", secret, &words(901, 900_000)].concat();
    let (short, long) = (raw(&secrets[1])[..4_000].to_vec(), raw(&secrets[2]));
    for (command, parts) in [
        ("*3\r\n", &[b"SET", &b"json"[..], json.as_bytes()][..]),
        ("*4\r\n", &[b"HSET", b"hash", b"field", &short]),
        ("*3\r\n", &[b"RPUSH", b"list", &long]),
        ("*1\r\n", &[b"SAVE"]),
    ] {
        (&stream).write_all(command.as_bytes()).unwrap();
        send(parts);
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert!(answer.starts_with(['+', ':']), "{answer}");
    }
    let index = index_of(&secrets);
    let findings = search(&data, &index, &[]);
    assert_eq!(whole(&findings), [0, 1, 2], "{:?}", findings.hits);
    assert_eq!(findings.statistics.omissions, Vec::<String>::new());
    // Control.
    assert_eq!(whole(&search(&data, &index, &[Encoding::Lzf])), Vec::<u32>::new());
}
