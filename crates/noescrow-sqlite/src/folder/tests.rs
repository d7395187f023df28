// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders that are made and erased, also across crashes.

use super::*;
use crate::witness::SYNCED;
use noescrow::UnixSeconds;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::sync::Barrier;
use std::thread;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn create(folder: &Folder, document: &[u8]) -> Result<bool, Error> {
    folder.create(document, Device::generate(NOW, &mut rng()), &mut rng())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = entries(folder).unwrap().iter().map(|path| name_of(path).to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_device_is_made_in_a_new_folder_only() {
    let temporary = tempfile::tempdir().unwrap();
    let (path, witness) = (temporary.path().join("home"), temporary.path().join("witness"));
    let folder = Folder::new(&path, Some(&witness));
    // Of something else, nothing is touched.
    fs::create_dir(&path).unwrap();
    fs::write(path.join(KEY), b"another program's").unwrap();
    assert!(matches!(create(&folder, b"bob"), Err(Error::FolderTaken)));
    assert_eq!((names(&path), fs::read(path.join(KEY)).unwrap()), (vec![KEY.into()], b"another program's".to_vec()));
    fs::remove_file(path.join(KEY)).unwrap();
    fs::write(&witness, b"another account's").unwrap();
    assert!(matches!(create(&folder, b"bob"), Err(Error::FolderTaken)));
    assert_eq!(fs::read(&witness).unwrap(), b"another account's");
    fs::remove_file(&witness).unwrap();
    assert!(!suffixed(&path, ".new").exists());
    // Control: in a folder that is empty, it is, and not a second time.
    assert!(create(&folder, b"bob").unwrap());
    let key = fs::read(path.join(KEY)).unwrap();
    assert!(!create(&folder, b"eve").unwrap());
    assert_eq!((fs::read(path.join(KEY)).unwrap(), &folder.document().unwrap()[..]), (key, &b"bob"[..]));
    assert!(folder.open(Options::new(), &mut rng()).is_ok() && witness.exists());
}

#[test]
fn what_a_crash_has_left_is_replaced() {
    let temporary = tempfile::tempdir().unwrap();
    let (path, witness) = (temporary.path().join("home"), temporary.path().join("witness"));
    let folder = Folder::new(&path, Some(&witness));
    assert!(create(&folder, b"bob").unwrap());
    // A crash before the last step: no folder has its name. Before that, no document is there.
    let new = suffixed(&path, ".new");
    fs::rename(&path, &new).unwrap();
    fs::remove_file(new.join(DOCUMENT)).unwrap();
    let key = fs::read(new.join(KEY)).unwrap();
    let other = Device::generate(NOW, &mut ChaCha20Rng::seed_from_u64(2));
    assert!(folder.create(b"eve", other, &mut ChaCha20Rng::seed_from_u64(2)).unwrap());
    assert!(!new.exists() && fs::read(path.join(KEY)).unwrap() != key);
    assert!(folder.open(Options::new(), &mut rng()).is_ok());
    // Control: without what is left, the witness is another account's.
    folder.erase().unwrap();
    fs::write(&witness, b"another account's").unwrap();
    assert!(matches!(create(&folder, b"bob"), Err(Error::FolderTaken)));
}

#[test]
fn only_what_the_folder_has_made_is_erased() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("home"), None);
    assert!(create(&folder, b"bob").unwrap());
    fs::write(folder.file("photo").unwrap(), b"sealed").unwrap();
    fs::write(folder.path.join("a letter"), b"of the user").unwrap();
    folder.erase().unwrap();
    assert_eq!(names(&folder.path), ["a letter"]);
    // Control: without it, nothing is left, and a second time nothing is to be done.
    fs::remove_file(folder.path.join("a letter")).unwrap();
    folder.erase().unwrap();
    assert!(!folder.path.exists());
    folder.erase().unwrap();
}

#[test]
fn a_file_has_the_name_of_a_file() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path(), None);
    for name in ["", "..", ".", "/etc/passwd", "../storage.key", "a/b"] {
        assert!(matches!(folder.file(name), Err(Error::Folder(_))), "{name}");
    }
    // Control: other names are.
    assert_eq!(folder.file("..a").unwrap(), temporary.path().join(FILES).join("..a"));
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("home"), None);
    assert!(create(&folder, b"bob").unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o77;
    assert_eq!(mode(&folder.path), 0);
    for path in entries(&folder.path).unwrap() {
        assert_eq!(mode(&path), 0, "{path:?}");
    }
    // Control: a file that the standard library makes is for others, too, unless the process forbids that.
    let other = temporary.path().join("other");
    fs::write(&other, b"").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
    assert_ne!(mode(&other), 0);
}

/// A folder with everything that a device may have, a witness elsewhere, and a letter of the user's.
fn used(temporary: &Path) -> (Folder, PathBuf) {
    let witness = temporary.join("witness");
    let folder = Folder::new(temporary.join("home"), Some(&witness));
    assert!(create(&folder, b"bob").unwrap());
    drop(folder.open(Options::new(), &mut rng()).unwrap());
    fs::write(folder.file("photo").unwrap(), b"sealed").unwrap();
    fs::write(folder.path.join("a letter"), b"of the user").unwrap();
    (folder, witness)
}

/// Erases, and is killed before this removal, counted from 0. Returns whether it was.
fn killed_before(folder: &Folder, removal: usize) -> bool {
    let mut done = 0;
    let erased = folder.erase_by(&mut |path| {
        if done == removal {
            return Err(io::ErrorKind::Interrupted.into());
        }
        done += 1;
        remove(path)
    });
    erased.is_err()
}

#[test]
fn delete_account_is_repeatable_after_a_kill_before_each_removal() {
    for removal in 0.. {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, witness) = used(temporary.path());
        if !killed_before(&folder, removal) {
            assert!(removal >= 6, "key, document, database, files, witness, mark");
            break;
        }
        // Nothing of it is in use any more, and the same call deletes the rest.
        assert!(folder.is_deleted().unwrap() && folder.document().is_err(), "{removal}");
        assert!(matches!(folder.open(Options::new(), &mut rng()), Err(LoadError::Missing)), "{removal}");
        folder.erase().unwrap();
        assert_eq!((names(&folder.path), witness.exists()), (vec!["a letter".into()], false), "{removal}");
        assert_eq!(names(temporary.path()), ["home"]);
    }
    // Control: without the mark, what is left counts as a device.
    let temporary = tempfile::tempdir().unwrap();
    let (folder, _) = used(temporary.path());
    assert!(!folder.is_deleted().unwrap() && killed_before(&folder, 2));
    fs::remove_file(folder.path.join(ERASING)).unwrap();
    assert!(!folder.is_deleted().unwrap());
}

#[test]
fn a_device_is_made_after_a_kill_before_each_removal() {
    for removal in 0.. {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, _) = used(temporary.path());
        fs::remove_file(folder.path.join("a letter")).unwrap();
        if !killed_before(&folder, removal) {
            break;
        }
        let other = Device::generate(NOW, &mut ChaCha20Rng::seed_from_u64(2));
        assert!(folder.create(b"eve", other, &mut ChaCha20Rng::seed_from_u64(2)).unwrap(), "{removal}");
        assert!(folder.open(Options::new(), &mut rng()).is_ok());
        assert_eq!(folder.document().unwrap(), b"eve");
    }
    // Control: a folder that nobody erases stays.
    let temporary = tempfile::tempdir().unwrap();
    let (folder, _) = used(temporary.path());
    assert!(!create(&folder, b"eve").unwrap());
}

#[test]
fn a_folder_whose_messenger_is_gone_is_deleted_whatever_is_missing() {
    for missing in [&[][..], &[DOCUMENT], &[DOCUMENT, "witness"], &[DOCUMENT, DATABASE, "witness"]] {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, witness) = used(temporary.path());
        let stored = folder.open(Options::new(), &mut rng()).unwrap();
        assert!(!folder.is_deleted().unwrap());
        drop(stored.delete(NOW, &mut rng()).unwrap());
        for name in missing {
            fs::remove_file(if *name == "witness" { witness.clone() } else { folder.path.join(name) }).unwrap();
        }
        assert!(folder.is_deleted().unwrap(), "{missing:?}");
        folder.erase().unwrap();
        assert_eq!(names(&folder.path), ["a letter"]);
    }
    // Control: of another program's folder nothing is deleted, nor is one that is not there taken for a deleted one.
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("home"), None);
    assert!(!folder.is_deleted().unwrap());
    fs::create_dir_all(folder.path.join(FILES)).unwrap();
    assert!(!folder.is_deleted().unwrap());
    assert!(matches!(folder.erase(), Err(Error::FolderTaken)));
    assert_eq!(names(&folder.path), [FILES]);
}

#[test]
fn without_a_folder_nothing_is_erased_not_even_the_witness() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, witness) = used(temporary.path());
    let before = fs::read(&witness).unwrap();
    // The path is a wrong one: nothing is there, or only a letter.
    let absent = Folder::new(temporary.path().join("hone"), Some(&witness));
    absent.erase().unwrap();
    assert_eq!(names(temporary.path()), ["home", "witness"]);
    fs::create_dir(&absent.path).unwrap();
    fs::write(absent.path.join("a letter"), b"of the user").unwrap();
    absent.erase().unwrap();
    assert_eq!((names(&absent.path), fs::read(&witness).unwrap()), (vec!["a letter".into()], before));
    assert!(folder.open(Options::new(), &mut rng()).is_ok());
    // Control: with the folder it goes.
    folder.erase().unwrap();
    assert!(!witness.exists());
}

#[test]
fn what_a_crash_of_making_has_left_is_erased() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, witness) = used(temporary.path());
    fs::remove_file(folder.path.join("a letter")).unwrap();
    fs::rename(&folder.path, suffixed(&folder.path, ".new")).unwrap();
    assert!(folder.is_deleted().unwrap());
    folder.erase().unwrap();
    assert!(names(temporary.path()).is_empty() && !witness.exists());
    // Control: a folder of this name that is the user's stays, also when a device is to be made.
    let other = suffixed(&folder.path, ".new");
    fs::create_dir_all(other.join(FILES)).unwrap();
    folder.erase().unwrap();
    assert!(matches!(create(&folder, b"bob"), Err(Error::FolderTaken)));
    assert_eq!(names(&other), [FILES]);
}

#[test]
fn two_processes_that_create_a_folder_make_one_whole_device() {
    const PROCESSES: u64 = 4;
    for round in 0..4 {
        let temporary = tempfile::tempdir().unwrap();
        let folder = &Folder::new(temporary.path().join("home"), Some(&temporary.path().join("witness")));
        let barrier = &Barrier::new(usize::try_from(PROCESSES).unwrap());
        let made: Vec<bool> = thread::scope(|scope| {
            let create = |number| {
                let mut rng = ChaCha20Rng::seed_from_u64(round * PROCESSES + number);
                let device = Device::generate(NOW, &mut rng);
                barrier.wait();
                folder.create(&[u8::try_from(number).unwrap()], device, &mut rng).unwrap()
            };
            let threads: Vec<_> = (0..PROCESSES).map(|number| scope.spawn(move || create(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        // One has made it, with its document, and a key that opens the rows.
        let first = made.iter().position(|made| *made).unwrap();
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
        assert_eq!(folder.document().unwrap(), [u8::try_from(first).unwrap()]);
        assert!(folder.open(Options::new(), &mut rng()).is_ok());
        assert_eq!(names(temporary.path()), ["home", "witness"]);
    }
}

#[test]
fn a_lock_that_is_released_is_not_held_by_its_removed_file() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("home");
    let removed = open_private(&suffixed(&path, ".lock")).unwrap();
    let lock = Lock::of(&path).unwrap();
    assert!(is_at(&removed, &lock.path).unwrap());
    drop(lock);
    // Control: the file is gone, and another one is the lock now.
    assert!(!is_at(&removed, &suffixed(&path, ".lock")).unwrap());
    let lock = Lock::of(&path).unwrap();
    assert!(!is_at(&removed, &lock.path).unwrap());
}

#[test]
fn what_is_written_again_has_nothing_of_the_former() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("account");
    write_private(&path, b"bob at chat.example.org").unwrap();
    write_private(&path, b"eve").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"eve");
    // Control: so that a file may be opened without being emptied.
    drop(open_private(&path).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"eve");
}

#[test]
fn a_folder_is_on_the_disk_before_it_has_its_name() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("home"), None);
    SYNCED.take();
    assert!(create(&folder, b"bob").unwrap());
    let synced = SYNCED.take();
    let [.., inner, outer] = &synced[..] else { panic!("{synced:?}") };
    assert_eq!((&**inner, &**outer), (&*suffixed(&folder.path, ".new"), temporary.path()));
    // So is the folder of files, and that nothing is left of an erasure before its mark goes.
    folder.file("photo").unwrap();
    assert_eq!(SYNCED.take(), std::slice::from_ref(&folder.path));
    folder.erase().unwrap();
    assert_eq!(SYNCED.take(), [folder.path.clone(), folder.path.clone()]);
    // Control: a file of a folder that is there is not.
    assert!(create(&folder, b"bob").unwrap() && folder.file("photo").is_ok());
    SYNCED.take();
    folder.file("photo").unwrap();
    assert!(SYNCED.take().is_empty());
}

#[test]
fn a_folder_with_a_slash_at_its_end_is_the_same() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("home");
    let mut slash = path.clone().into_os_string();
    slash.push("/");
    assert!(create(&Folder::new(slash, None), b"bob").unwrap());
    assert_eq!(Folder::new(&path, None).document().unwrap(), b"bob");
    assert_eq!(names(temporary.path()), ["home"]);
    // Control: what is beside it is not in it.
    assert!(!names(&path).iter().any(|name| name.ends_with(".new")));
}

#[test]
fn what_is_erased_is_overwritten() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, _) = used(temporary.path());
    // Other names of the files show what is on the disk.
    let linked = |name: &str| {
        let link = temporary.path().join(format!("{name} on the disk"));
        fs::hard_link(folder.path.join(name), &link).unwrap();
        (fs::read(&link).unwrap(), link)
    };
    let files = [KEY, DOCUMENT, DATABASE].map(linked);
    let (letter, link) = linked("a letter");
    folder.erase().unwrap();
    for (before, link) in files {
        assert!(before.iter().any(|byte| *byte != 0), "{link:?}");
        assert_eq!(fs::read(&link).unwrap(), vec![0; before.len()], "{link:?}");
    }
    // Control: what is not its own is as it was.
    assert_eq!(fs::read(link).unwrap(), letter);
}
