// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text of the repository cites only documents that are in it, or public specifications.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Folders that hold no text of ours: history, builds, fuzzing inputs, packages of interpreters.
const SKIPPED: [&str; 6] = [".git", "target", "corpus", "__pycache__", ".venv", "node_modules"];
/// Ends of the names of files that cite documents; scripts called `run` have none.
const TEXT: [&str; 9] = ["md", "rs", "toml", "py", "run", "sh", "yml", "vp", "mjs"];
/// Renders a page of spec/, whose links begin there: the page itself is checked.
const RENDERER: &str = "tests/spec_index.rs";
/// How documents' names end. Written apart from the names in this file, which is checked, too.
const MD: &str = "md";
/// Public specifications that are cited by name and section. FIPS, RFC and NIST have a number between the two.
const PUBLIC: [&str; 1] = ["PQXDH"];

/// The repository's text by path from the root.
type Files = BTreeMap<PathBuf, String>;

fn read(folder: &Path, root: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !SKIPPED.contains(&&*name) {
            read(&path, root, files);
        } else if kind.is_file() && TEXT.contains(&name.rsplit('.').next().unwrap()) {
            let text = std::fs::read_to_string(&path).unwrap();
            files.insert(path.strip_prefix(root).unwrap().to_owned(), text);
        }
    }
}

/// `..` taken away with the folder before it; none that leads out of the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => normal.pop().then_some(())?,
            Component::Normal(name) => normal.push(name),
            _ => {}
        }
    }
    Some(normal)
}

/// Whether `name` is a document as seen from the file `from`: a path from one of the folders that contain it or,
/// without a slash, the name of any document.
fn is_known(files: &Files, from: &Path, name: &str) -> bool {
    let path = name.trim_start_matches('/');
    let beside = from.ancestors().skip(1).filter_map(|folder| normal(&folder.join(path)));
    let anywhere = !name.contains('/') && files.keys().any(|file| file.file_name().is_some_and(|file| file == name));
    anywhere || beside.into_iter().any(|path| files.contains_key(&path))
}

/// Names of documents in a text: what ends in `.md`, and capitals before a section sign or an invariant.
fn named(text: &str) -> Vec<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let files = text.split(|c| !part(c)).map(|word| word.trim_end_matches(['.', ':']));
    let files = files.filter(|word| word.ends_with(".md") && word.len() > 3 && !word.contains("://"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let cited = words.windows(2).filter(|pair| pair[1].starts_with('§') || pair[1].starts_with("invariant"));
    let cited = cited.map(|pair| pair[0].trim_end_matches([',', ';']).rsplit(|c| !part(c)).next().unwrap());
    let cited = cited.filter(|word| word.len() >= 4 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let cited = cited.filter(|word| !PUBLIC.contains(word)).map(|word| format!("{word}.{MD}"));
    files.map(str::to_owned).chain(cited).collect()
}

/// Citations of documents that are not in the repository, with the file that has them.
fn unknown(files: &Files) -> Vec<String> {
    let cited = files.iter().flat_map(|(from, text)| named(text).into_iter().map(move |name| (from, name)));
    let unknown = cited.filter(|(from, name)| !is_known(files, from, name));
    unknown.map(|(from, name)| format!("{}: {name}", from.display())).collect()
}

fn repository() -> Files {
    let (mut files, root) = (Files::new(), super::root());
    read(root, root, &mut files);
    files
}

#[test]
fn every_cited_document_is_in_the_repository() {
    let files = repository();
    let mut unknown = unknown(&files);
    unknown.retain(|citation| !citation.starts_with(RENDERER));
    assert_eq!(unknown, Vec::<String>::new());
    let citations = files.values().map(|text| named(text).len()).sum::<usize>();
    assert!(files.len() > 200 && citations > 60, "{} files, {citations} citations", files.len());
}

#[test]
fn control_a_document_that_is_not_there_is_seen() {
    let citing = |from: &str, text: String| {
        let mut files = repository();
        files.insert(from.into(), text);
        unknown(&files).into_iter().filter(|citation| citation.starts_with(from)).collect::<Vec<_>>()
    };
    let gone = "NOTES";
    for text in [
        format!("// {gone} §1.1: why"),
        format!("({gone} invariant 7)"),
        format!("see {gone}.md."),
        format!("/{gone}.md"),
    ] {
        assert_eq!(citing("src/control.rs", text.clone()).len(), 1, "{text}");
    }
    // A document that is elsewhere, one that is outside, and one that has no section of ours.
    assert_eq!(citing("src/control.rs", format!("vectors/protocol.{MD}")).len(), 1);
    assert_eq!(citing("src/control.rs", format!("../../spec/protocol.{MD}")).len(), 1);
    assert_eq!(citing("src/control.rs", format!("{gone} and PQXDH §4.6, FIPS 203 §7, NIST SP 800-38D §8")).len(), 0);
    for text in ["spec/protocol.md", "protocol.md §13", "../spec/protocol.md", "/README.md", "https://example.org/a.md"]
    {
        assert_eq!(citing("src/control.rs", text.to_owned()), Vec::<String>::new(), "{text}");
    }
}
