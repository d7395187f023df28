// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files and directories: their names, their attributes, links, what is not a file, and what changes meanwhile.

use super::{index_of, random};
use leakscan::{Encoding, Encodings, Evidence, EvidenceError, Findings, Index};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// It clears a terminal's screen, and then claims to be the verdict.
const HOSTILE: &str = "log\n\x1b[2JHOLDS: no server-held key exists.\u{202e}";

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("broken"))
    }
}

#[test]
fn no_name_of_the_evidence_acts_on_a_terminal() {
    let secret = random(200, 32);
    let index = index_of(&[&secret]);
    let is_safe = |text: &str| !text.contains(['\n', '\x1b', '\u{202e}']) && text.contains("log\\u{a}\\u{1b}[2JHOLDS");
    // An omission: a 7z archive, which has no decoder.
    let evidence = [&secret[..], b"7z\xBC\xAF\x27\x1C\0"].concat();
    let findings = Evidence::new().bytes(HOSTILE, &evidence).search(&index, |_, _| {}).unwrap();
    assert!(is_safe(&findings.hits[0].to_string()), "{}", findings.hits[0]);
    assert!(is_safe(&findings.statistics.omissions[0]), "{:?}", findings.statistics.omissions);
    // The control: the field is the name itself, for programs that compare it.
    assert_eq!(findings.hits[0].source, HOSTILE);
    let (_, errors) = Evidence::new().reader(HOSTILE, Broken).capture(HOSTILE, &b"x"[..]).search_all(&index, |_, _| {});
    assert!(matches!(errors[..], [EvidenceError::Io { .. }, EvidenceError::Io { .. }]), "{errors:?}");
    let damaged = Evidence::new().capture(HOSTILE, &b"xxxx"[..]).search(&index, |_, _| {});
    let errors = errors.into_iter().chain(damaged.err());
    assert_eq!(errors.filter(|error| is_safe(&error.to_string())).count(), 3);
}

/// A directory of one test, removed at its end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leakscan-{name}-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn search(&self, index: &Index) -> Findings {
        Evidence::new().directory("disk", &self.0).search(index, |_, _| {}).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[test]
fn keys_in_names_of_files_and_directories_are_found() {
    let secrets: Vec<Vec<u8>> = (210..214).map(|seed| random(seed, 32)).collect();
    let index = index_of(&secrets.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let folder = Folder::new("names");
    // An empty file; a directory; a key whose first two bytes are directories; a file that is given itself.
    std::fs::write(folder.0.join(format!("session-{}", hex(&secrets[0]))), b"").unwrap();
    std::fs::create_dir_all(folder.0.join(hex(&secrets[1])).join("empty")).unwrap();
    let sharded = hex(&secrets[2]);
    let shards = folder.0.join(&sharded[..2]).join(&sharded[2..4]);
    std::fs::create_dir_all(&shards).unwrap();
    std::fs::write(shards.join(&sharded[4..]), b"").unwrap();
    let findings = folder.search(&index);
    let place = |id: u32| {
        let hit = findings.hits.iter().find(|hit| hit.id == id && hit.whole);
        hit.map(|hit| (hit.source.as_str(), hit.offset))
    };
    let first = format!("name of disk/session-{}", hex(&secrets[0]));
    assert_eq!(place(0), Some((first.as_str(), 8)), "{:?}", findings.hits);
    let second = format!("name of disk/{}", hex(&secrets[1]));
    assert_eq!(place(1), Some((second.as_str(), 0)));
    let third = format!("name of disk/{}/{}/{}", &sharded[..2], &sharded[2..4], &sharded[4..]);
    assert_eq!(place(2), Some((third.as_str(), 0)));
    // Two files; names are not counted.
    assert_eq!((findings.statistics.sources, findings.statistics.bytes), (2, 0));
    let path = folder.0.join(hex(&secrets[3]));
    std::fs::write(&path, b"").unwrap();
    let given = Evidence::new().file("given", &path).search(&index, |_, _| {}).unwrap();
    assert_eq!((given.hits.len(), given.hits[0].source.as_str()), (1, "name of given"));
    // The control: without the decoder of hexadecimal nothing is found.
    let blind = Evidence::new().with_encodings(Encodings::ALL.without(Encoding::Hex));
    assert_eq!(blind.directory("disk", &folder.0).search(&index, |_, _| {}).unwrap().hits, []);
}

#[cfg(unix)]
#[test]
fn links_are_noted_and_their_targets_searched_as_names() {
    use std::os::unix::fs::symlink;
    let secrets = [random(220, 32), random(221, 32)];
    let index = index_of(&[&secrets[0], &secrets[1]]);
    let folder = Folder::new("links");
    let outside = Folder::new("links-outside");
    std::fs::write(folder.0.join("log"), &secrets[0]).unwrap();
    std::fs::write(outside.0.join("other"), b"").unwrap();
    symlink("log", folder.0.join("current")).unwrap();
    symlink(".", folder.0.join("loop")).unwrap();
    symlink(&outside.0, folder.0.join("outer")).unwrap();
    symlink(hex(&secrets[1]), folder.0.join("dangling")).unwrap();
    let findings = folder.search(&index);
    // What two links lead to is read once.
    let [inside, target] = &findings.hits[..] else { panic!("{:?}", findings.hits) };
    assert_eq!((inside.source.as_str(), inside.whole), ("disk/log", true));
    assert_eq!((target.source.as_str(), target.id), ("target of the link disk/dangling", 1));
    assert_eq!(findings.statistics.omitted, 0, "{:?}", findings.statistics.omissions);
    let notes = findings.statistics.notes.join("\n");
    assert_eq!(findings.statistics.noted, 3, "{notes}");
    assert!(notes.contains("disk/dangling: a link to ") && notes.contains("disk/outer: a link out of the evidence"));
    assert!(notes.contains("which are searched there: 2, the first disk/current"), "{notes}");
    // The control: if the other directory is evidence as well, the link is not out of it.
    let both = Evidence::new().directory("disk", &folder.0).directory("outside", &outside.0);
    let notes = both.search(&index, |_, _| {}).unwrap().statistics.notes.join("\n");
    assert!(notes.contains("which are searched there: 3,") && !notes.contains("out of the evidence"), "{notes}");
}

#[cfg(target_os = "linux")]
#[test]
fn special_files_are_noted_in_a_directory_and_refused_as_evidence() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let index = index_of(&[&random(230, 32)]);
    let folder = Folder::new("special");
    let fifo = folder.0.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(folder.0.join("socket")).unwrap();
    let findings = folder.search(&index);
    drop(socket);
    assert_eq!((findings.statistics.omitted, findings.statistics.noted), (0, 2), "{:?}", findings.statistics);
    let notes = findings.statistics.notes;
    assert!(notes[0].starts_with("disk/fifo: a FIFO") && notes[1].starts_with("disk/socket: a socket"), "{notes:?}");
    for (path, what) in [
        (fifo.as_path(), "a FIFO"),
        (&folder.0.join("socket"), "a socket"),
        (Path::new("/dev/zero"), "a character device"),
        (&folder.0, "a directory"),
    ] {
        let refused = Evidence::new().file("given", path).search(&index, |_, _| {}).unwrap_err();
        assert!(refused.to_string().contains(what), "{refused}");
    }
    // The control: a file, and one of the kernel's that has no size.
    let status = Evidence::new().file("given", "/proc/self/status").search(&index, |_, _| {}).unwrap();
    assert!(status.statistics.bytes > 100 && status.statistics.omitted == 0);
}

#[cfg(target_os = "linux")]
#[test]
fn extended_attributes_are_searched() {
    use rustix::fs::{XattrFlags, setxattr};
    let secrets = [random(240, 32), random(241, 32)];
    let index = index_of(&[&secrets[0], &secrets[1]]);
    let folder = Folder::new("attributes");
    let path = folder.0.join("file");
    std::fs::write(&path, b"").unwrap();
    assert_eq!(folder.search(&index).hits, []);
    setxattr(&path, "user.key", &secrets[0], XattrFlags::empty()).unwrap();
    setxattr(&path, format!("user.{}", hex(&secrets[1])), b"1", XattrFlags::empty()).unwrap();
    let findings = folder.search(&index);
    let sources: Vec<_> = findings.hits.iter().map(|hit| (hit.id, hit.source.clone())).collect();
    let name = format!("attribute user.{} of disk/file", hex(&secrets[1]));
    assert_eq!(sources, [(0, String::from("attribute user.key of disk/file")), (1, name)]);
    assert_eq!(findings.statistics.omitted, 0);
}

/// A file grows or shrinks while it is read: the report of progress comes after each piece of it.
#[test]
fn a_file_is_read_up_to_its_size_at_opening_and_shrinking_is_an_omission() {
    let index = index_of(&[&random(250, 32)]);
    let folder = Folder::new("growing");
    let path = folder.0.join("log");
    for (grows, omitted, noted) in [(true, 0, 1), (false, 1, 0)] {
        std::fs::write(&path, random(251, 1 << 20)).unwrap();
        let file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        let mut reads = 0;
        let evidence = Evidence::new().file("log", &path);
        let found = evidence.search(&index, |_, _| {
            reads += 1;
            assert!(reads < 100);
            match grows {
                true => std::io::Write::write_all(&mut &file, &random(252, 1 << 20)).unwrap(),
                false => file.set_len(1 << 18).unwrap(),
            }
        });
        let statistics = found.unwrap().statistics;
        assert_eq!((statistics.omitted, statistics.noted), (omitted, noted), "{statistics:?}");
        assert_eq!(statistics.bytes, if grows { 1 << 20 } else { 1 << 18 });
    }
}
