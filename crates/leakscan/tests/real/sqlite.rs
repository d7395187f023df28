// SPDX-License-Identifier: MIT OR Apache-2.0
//! SQLite: values on overflow pages, in databases, logs and journals.

use super::{Scratch, gzip, hex, index_of, is_absent, random, run, search, whole, words};
use leakscan::Encoding;
use std::path::Path;
use std::process::Command;

/// Runs a program of Python, with the module of SQLite. False if it is not installed.
fn python(folder: &Path, program: &str) -> bool {
    let is_installed =
        Command::new("python3").args(["-c", "import sqlite3"]).output().is_ok_and(|output| output.status.success());
    if !is_installed {
        is_absent("Python with SQLite");
        return false;
    }
    run(Command::new("python3").current_dir(folder).args(["-c", program]));
    true
}

/// Values of 2 to 60 KB with a secret each. Where one page continues on the next, Base64 stops an inflater, which would
/// recover from the number of the next page.
fn values() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let secrets: Vec<Vec<u8>> = (0..12).map(|number| random(300 + number, 32)).collect();
    let values = secrets.iter().zip(0u64..).map(|(secret, number)| {
        let (before, after) = (random(400 + number, 500), words(500 + number, 9_000));
        let inner = [words(600 + number, 20_000), random(700 + number, 5_000), secret.clone(), before, after].concat();
        data_encoding::BASE64.encode(&gzip(&inner)).into_bytes()
    });
    (values.collect(), secrets)
}

/// Writes the values to files, which `before` and `after` are executed around.
fn fill(folder: &Path, before: &str, after: &str) -> Option<Vec<Vec<u8>>> {
    let (values, secrets) = values();
    let list: Vec<String> = values.iter().map(|value| format!("bytes.fromhex('{}')", hex(value))).collect();
    std::fs::write(folder.join("values.py"), format!("values = [{}]", list.join(",\n"))).unwrap();
    let program = format!(
        "import sqlite3, os, shutil\nfrom values import values\nos.mkdir('server')\ndb = sqlite3.connect('server/db')\n{before}\n\
         db.execute('create table messages(id integer primary key, body blob)')\n\
         for value in values: db.execute('insert into messages(body) values (?)', (value,))\n\
         db.commit()\n{after}"
    );
    python(folder, &program).then_some(secrets)
}

fn assert_found(folder: &Path, secrets: &[Vec<u8>]) {
    let index = index_of(secrets);
    let findings = search(&folder.join("server"), &index, &[]);
    let all: Vec<u32> = (0..).take(secrets.len()).collect();
    assert_eq!(whole(&findings), all, "{:#?}", findings.statistics);
    assert_eq!(findings.statistics.omissions, Vec::<String>::new());
    // Control.
    let blind = search(&folder.join("server"), &index, &[Encoding::SqliteOverflow]);
    assert_eq!(whole(&blind), Vec::<u32>::new());
}

#[test]
fn values_on_overflow_pages_are_found_with_every_size_of_pages() {
    for size in [512, 1024, 4096, 16_384] {
        let folder = Scratch::new(&format!("pages-{size}"));
        let Some(secrets) = fill(&folder.0, &format!("db.execute('pragma page_size={size}')"), "") else { return };
        assert_found(&folder.0, &secrets);
    }
}

#[test]
fn values_in_a_write_ahead_log_are_found() {
    let folder = Scratch::new("wal");
    // The log is not written to the database: the program ends without closing it.
    let before = "db.execute('pragma journal_mode=wal'); db.execute('pragma wal_autocheckpoint=0')";
    let after =
        "shutil.copy('server/db-wal', 'log')\nos.remove('server/db')\nos.rename('log', 'server/log')\nos._exit(0)";
    let Some(secrets) = fill(&folder.0, before, after) else { return };
    _ = std::fs::remove_file(folder.0.join("server/db-wal"));
    assert_found(&folder.0, &secrets);
}

#[test]
fn values_in_a_rollback_journal_are_found() {
    let folder = Scratch::new("journal");
    // An update writes the pages of before to the journal, which is copied before the end of the transaction.
    let after = "db.execute('pragma cache_size=1'); db.execute('update messages set body = zeroblob(length(body))')\n\
                 shutil.copy('server/db-journal', 'journal')\nos.remove('server/db')\nos.rename('journal', 'server/old')\nos._exit(0)";
    let Some(secrets) = fill(&folder.0, "", after) else { return };
    _ = std::fs::remove_file(folder.0.join("server/db-journal"));
    assert_found(&folder.0, &secrets);
}

#[test]
fn values_of_deleted_rows_are_found() {
    let folder = Scratch::new("deleted");
    let after = "db.execute('pragma secure_delete=off'); db.execute('delete from messages'); db.commit()";
    let Some(secrets) = fill(&folder.0, "", after) else { return };
    let found = whole(&search(&folder.0.join("server"), &index_of(&secrets), &[]));
    // A page that lists unused pages is overwritten at its beginning.
    assert!(found.len() >= secrets.len() - 2, "{found:?}");
}

#[test]
fn a_long_key_of_an_index_is_found() {
    let folder = Scratch::new("index");
    let after = "db.execute('create table t(a blob primary key) without rowid')\n\
                 for value in values: db.execute('insert into t values (?)', (value,))\n\
                 db.execute('drop table messages'); db.commit(); db.execute('vacuum')";
    let Some(secrets) = fill(&folder.0, "", after) else { return };
    assert_found(&folder.0, &secrets);
}

#[test]
fn full_text_indexes_without_their_texts_are_reported() {
    let text = "the documents are in the safe under the stairs of the old house";
    let mut needles = leakscan::Needles::new();
    needles.add_text(0, text.as_bytes());
    let index = needles.build().unwrap();
    for (declaration, is_found, omitted) in [
        ("fts5(body)", true, 0),
        ("fts5(body, tokenize='trigram')", true, 0),
        ("fts4(body)", true, 0),
        ("fts5(body, content='')", false, 1),
        ("fts5(body, content=\"\", tokenize='trigram')", false, 1),
        ("fts4(body, content=\"\")", false, 1),
    ] {
        for journal in ["delete", "wal"] {
            let folder = Scratch::new(&format!("fts {}", declaration.replace(['/', '"', '\''], "")));
            let program = format!(
                "import sqlite3, os\nos.mkdir('server')\ndb = sqlite3.connect('server/db')\n\
                 db.execute('pragma journal_mode={journal}')\n\
                 db.execute({declaration:?}.join(['create virtual table i using ', '']))\n\
                 db.execute('insert into i(rowid, body) values (1, ?)', ({text:?},))\ndb.commit()\nos._exit(0)"
            );
            if !python(&folder.0, &program) {
                return;
            }
            let found = search(&folder.0.join("server"), &index, &[]);
            assert_eq!(found.hits.iter().any(|hit| hit.whole), is_found, "{declaration}: {:?}", found.hits);
            let omissions = &found.statistics.omissions;
            assert!(omissions.len() == omitted, "{declaration}: {omissions:?}");
            assert!(omissions.iter().all(|omission| omission.contains("full-text index")), "{omissions:?}");
        }
    }
}
