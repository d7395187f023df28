// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sentences in one language: from gettext's catalogues, and from files of quotations.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The bytes that a sentence has: shorter ones are not searched for, longer ones are paragraphs.
const LEN: core::ops::RangeInclusive<usize> = 16..=300;
/// Catalogues of names: of languages, countries and currencies.
const NAMES: &str = "iso_";

/// Sentences, each with the name of the first file that has it.
pub type Sentences = BTreeMap<String, String>;

/// A number that depends on a seed and a text alone.
pub fn drawn(seed: u64, text: &str) -> usize {
    let digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(text).finalize();
    digest[..4].iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// The messages of all catalogues of a language: the translations, or for English the originals.
pub fn catalogues(locales: &Path, languages: &[&str], is_english: bool) -> Sentences {
    let mut sentences = Sentences::new();
    for language in languages {
        for file in files(&locales.join(language).join("LC_MESSAGES")) {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(NAMES) || file.extension().is_none_or(|extension| extension != "mo") {
                continue;
            }
            for message in messages(&fs::read(&file).unwrap_or_default(), is_english) {
                for line in message.lines() {
                    add(&mut sentences, line, &name);
                }
            }
        }
    }
    sentences
}

/// The quotations of all files at a path, in the format of `fortune`: divided by lines of `%`.
pub fn quotations(path: &Path) -> Sentences {
    let mut sentences = Sentences::new();
    let files = if path.is_dir() { files(path) } else { vec![path.to_owned()] };
    for file in files.iter().filter(|file| file.extension().is_none_or(|extension| extension == "fortunes")) {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        for quotation in text.split("\n%") {
            // Without the lines that name the author, which Chinese files colour.
            let is_text = |line: &&str| !line.starts_with("--") && !line.contains('\u{1b}');
            let lines = quotation.lines().map(str::trim).filter(is_text);
            add(&mut sentences, &lines.collect::<Vec<_>>().join(" "), &name);
        }
    }
    sentences
}

fn add(sentences: &mut Sentences, text: &str, name: &str) {
    let text = text.trim();
    let is_prose = !text.contains(|c: char| c.is_control() || "%<>{}\\|".contains(c)) && !text.starts_with('-');
    if LEN.contains(&text.len()) && is_prose {
        sentences.entry(text.to_owned()).or_insert_with(|| name.to_owned());
    }
}

/// The regular files of a folder and those below it, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => all.push(entry.path()),
            _ => {}
        }
    }
    all.sort();
    all
}

/// The messages of a catalogue (`.mo`, the GNU gettext manual, section 10.3), if it is in UTF-8.
fn messages(mo: &[u8], originals: bool) -> Vec<String> {
    let number = |at: usize| {
        let bytes: [u8; 4] = mo.get(at..at + 4)?.try_into().ok()?;
        Some(if mo.starts_with(&[0x95]) { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) } as usize)
    };
    let text = |table: usize, index: usize| {
        let (len, at) = (number(table + 8 * index)?, number(table + 8 * index + 4)?);
        core::str::from_utf8(mo.get(at..at + len)?).ok()
    };
    if number(0) != Some(0x9504_12DE) {
        return Vec::new();
    }
    let (count, table) = (number(8).unwrap_or_default(), number(if originals { 12 } else { 16 }).unwrap_or_default());
    let texts =
        (0..count).filter_map(|index| text(number(12)?, index).filter(|id| !id.is_empty()).and(text(table, index)));
    // Before EOT stands a context, and plural forms are divided by NUL.
    let texts = texts.map(|text| text.split_once('\u{4}').map_or(text, |(_, text)| text));
    texts.flat_map(|text| text.split('\0')).map(str::to_owned).collect()
}
