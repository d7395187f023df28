// SPDX-License-Identifier: MIT OR Apache-2.0
//! The software that writes the values.

use super::cell::{self, Cell};
use super::table::{Cells, Table};
use leakscan::Encodings;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A key, of which no half is regular.
pub(crate) const KEY: [u8; 32] = [
    0x96, 0xC3, 0x1F, 0xE8, 0x07, 0x5B, 0xA2, 0x7C, 0x40, 0xD9, 0x8E, 0x13, 0xF5, 0x6A, 0x22, 0xB7, 0xEC, 0x31, 0x89,
    0x0D, 0x54, 0xFA, 0xC8, 0x67, 0x9B, 0x02, 0x7E, 0xD1, 0x45, 0xB8, 0x2C, 0xF3,
];
/// A text whose letters are in none of the character sets of Western Europe.
const TEXT: &str = "Встреча в девять у моста, приходи без телефона";

pub(crate) struct Software {
    /// For people.
    pub(crate) name: &'static str,
    /// The heading of its table.
    pub(crate) title: &'static str,
    /// The interpreter of its script.
    interpreter: &'static str,
    script: &'static str,
    /// A program or file that must exist.
    needs: &'static str,
}

pub(crate) const ALL: &[Software] = &[
    Software {
        name: "python3",
        title: "What Python's standard library and the shell's tools write",
        interpreter: "python3",
        script: "python.py",
        needs: "python3",
    },
    Software { name: "Node.js", title: "What Node.js writes", interpreter: "node", script: "node.js", needs: "node" },
    Software { name: "Redis", title: "What Redis stores", interpreter: "bash", script: "redis", needs: "redis-server" },
    Software {
        name: "PostgreSQL",
        title: "What PostgreSQL stores",
        interpreter: "bash",
        script: "postgres",
        needs: "pg_ctlcluster",
    },
];

impl Software {
    /// The cells of everything that it writes; `None` if it is absent.
    pub(crate) fn measure(&self) -> Option<Table> {
        let exists = Command::new("sh").args(["-c", "command -v \"$0\"", self.needs]).output();
        if !exists.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut table = Table::default();
        for (group, way, file) in self.written(&KEY) {
            let cells = Cells { group, key: cell::of(&file, &KEY, Encodings::ALL), text: Cell::Absent };
            table.order.push(way.clone());
            assert!(table.rows.insert(way.clone(), cells).is_none(), "{way} is written twice");
        }
        for (group, way, file) in self.written(TEXT.as_bytes()) {
            let text = cell::of(&file, TEXT.as_bytes(), Encodings::ALL);
            if !table.rows.contains_key(&way) {
                table.order.push(way.clone());
            }
            table.rows.entry(way).or_insert_with(|| Cells { group, ..Cells::default() }).text = text;
        }
        Some(table)
    }

    /// The group, the name and the content of each file that its script writes for a value.
    fn written(&self, value: &[u8]) -> Vec<(String, String, Vec<u8>)> {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("coverage-{}-{}", self.script, value.len()));
        _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/coverage").join(self.script);
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        let status = Command::new(self.interpreter).arg(script).arg(&out).arg(hex).status().unwrap();
        assert!(status.success(), "{} failed", self.script);
        let names = fs::read_to_string(out.join("names")).unwrap();
        let files = names.lines().map(|line| {
            let [number, group, way] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            (String::from(group), String::from(way), fs::read(out.join(number)).unwrap())
        });
        files.collect()
    }
}

/// The rows of a table by way.
pub(crate) type Rows = BTreeMap<String, Cells>;
