// SPDX-License-Identifier: MIT OR Apache-2.0
//! Transfers that are cut.

use super::*;
use alloc::{format, vec};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use std::cell::RefCell;

std::thread_local! {
    /// The names that were in a folder each time that it was synced.
    static SYNCED: RefCell<Vec<Vec<OsString>>> = const { RefCell::new(Vec::new()) };
}

/// A rename is synced, in the folder of `path`.
pub(super) fn note_sync(path: &Path) {
    let names = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    SYNCED.with_borrow_mut(|synced| synced.push(names.collect()));
}

/// A folder of one test, deleted on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("noescrow-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PART_LEN: usize = 10_000;
const CONTENT_LEN: u64 = 150_000;

/// Seals a file, and uploads it in parts. Returns the key, and what the server has.
fn uploaded(folder: &Folder) -> (AttachmentKey, Vec<u8>) {
    fs::write(folder.at("content"), vec![7; 150_000]).unwrap();
    let (content, sealed) = (folder.at("content"), folder.at("sealed"));
    let key = Upload::prepare(&content, &sealed, u64::MAX, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let mut server = Vec::new();
    // Each part goes over a connection of its own.
    while let Some(part) = Upload::open(&sealed).unwrap().part_after(server.len() as u64, PART_LEN).unwrap() {
        assert!(part.len() == PART_LEN || server.len() + part.len() == fs::read(&sealed).unwrap().len());
        server.extend(part);
    }
    assert_eq!(server, fs::read(&sealed).unwrap());
    (key, server)
}

#[test]
fn a_cut_transfer_continues_with_the_same_bytes() {
    let folder = Folder::new("continues");
    let (key, server) = uploaded(&folder);
    let mut fetched = 0;
    while let Some(offset) = Download::open(&folder.at("down"), CONTENT_LEN).unwrap().next_offset() {
        let part = server.get(usize::try_from(offset).unwrap()..).unwrap();
        let part = part.get(..PART_LEN).unwrap_or(part);
        fetched += part.len();
        Download::open(&folder.at("down"), CONTENT_LEN).unwrap().put(part).unwrap();
    }
    assert_eq!(fetched, server.len());
    let download = Download::open(&folder.at("down"), CONTENT_LEN).unwrap();
    assert_eq!(download.finish(&key, &folder.at("copy"), ".part").unwrap(), CONTENT_LEN);
    assert_eq!(fs::read(folder.at("copy")).unwrap(), vec![7; 150_000]);
    assert!(!folder.at("down").exists() && !folder.at("copy.part").exists());
}

#[test]
fn a_download_that_does_not_open_is_fetched_again() {
    let folder = Folder::new("again");
    let (key, mut server) = uploaded(&folder);
    let end = server.len() - 1;
    server[end] ^= 1;
    fs::write(folder.at("copy"), b"of the user").unwrap();
    let mut download = Download::open(&folder.at("down"), CONTENT_LEN).unwrap();
    assert!(matches!(download.put(b""), Err(StreamError::Attachment(AttachmentError::Truncated))));
    download.put(&server).unwrap();
    assert!(download.finish(&key, &folder.at("copy"), ".part").is_err());
    assert_eq!(fs::read(folder.at("copy")).unwrap(), b"of the user");
    assert!(!folder.at("copy.part").exists());
    // Control: whole, it opens, from the first byte.
    let mut download = Download::open(&folder.at("down"), CONTENT_LEN).unwrap();
    assert_eq!(download.next_offset(), Some(0));
    server[end] ^= 1;
    download.put(&server).unwrap();
    download.finish(&key, &folder.at("copy"), ".part").unwrap();
    assert_eq!(fs::read(folder.at("copy")).unwrap().len(), 150_000);
}

#[test]
fn a_file_that_is_too_long_is_not_sealed() {
    let folder = Folder::new("long");
    let (_, server) = uploaded(&folder);
    let (content, sealed) = (folder.at("content"), folder.at("second"));
    let prepare = |max_len| Upload::prepare(&content, &sealed, max_len, &mut ChaCha20Rng::seed_from_u64(2));
    let len = server.len() as u64;
    assert!(matches!(prepare(len - 1), Err(StreamError::Attachment(AttachmentError::TooLong))));
    assert!(!sealed.exists() && !folder.at("second.part").exists());
    // Control.
    prepare(len).unwrap();
    assert!(Upload::open(&sealed).unwrap().part_after(len + 1, PART_LEN).is_err());
}

#[test]
fn a_file_is_named_on_the_disk_before_its_source_is_deleted() {
    let folder = Folder::new("synced");
    let (key, server) = uploaded(&folder);
    let mut download = Download::open(&folder.at("down"), CONTENT_LEN).unwrap();
    download.put(&server).unwrap();
    download.finish(&key, &folder.at("copy"), ".part").unwrap();
    let synced = SYNCED.take();
    let has = |names: &[OsString], name: &str| names.iter().any(|of| of == name);
    assert!(synced.len() == 2 && has(&synced[0], "sealed"), "{synced:?}");
    assert!(has(&synced[1], "copy") && has(&synced[1], "down"), "{synced:?}");
    // Control: afterwards it is deleted.
    assert!(!folder.at("down").exists());
}

#[test]
fn a_file_that_cannot_be_sealed_leaves_nothing() {
    let folder = Folder::new("unsealed");
    uploaded(&folder);
    // A folder is in the way.
    fs::create_dir_all(folder.at("taken/inner")).unwrap();
    let prepare =
        |name| Upload::prepare(&folder.at("content"), &folder.at(name), u64::MAX, &mut ChaCha20Rng::seed_from_u64(2));
    assert!(matches!(prepare("taken"), Err(StreamError::Write(_))));
    assert!(!folder.at("taken.part").exists());
    // Control.
    prepare("free").unwrap();
}
