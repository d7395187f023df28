// SPDX-License-Identifier: MIT OR Apache-2.0
//! The repository's files as they are, or with one changed by a control.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// Folders with files that a row may name.
const FOLDERS: [&str; 9] = [".ci", "benches", "crates", "examples", "fuzz", "harness", "spec", "src", "tests"];
const FILES: [&str; 4] = ["Cargo.lock", "Cargo.toml", "README.md", "SECURITY.md"];
/// Folders that builds and interpreters create.
const LEFT_BEHIND: [&str; 2] = ["target", "__pycache__"];

#[derive(Clone)]
struct File {
    text: Rc<str>,
    is_executable: bool,
}

/// Files by their paths from the root.
#[derive(Clone)]
pub struct Tree(BTreeMap<String, File>);

impl Tree {
    pub fn of_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut tree = Self(BTreeMap::new());
        FILES.iter().for_each(|name| tree.read(&root.join(name), name));
        FOLDERS.iter().for_each(|name| tree.walk(&root.join(name), name));
        tree
    }

    fn walk(&mut self, folder: &Path, name: &str) {
        // Rows that name a file in a folder that is missing are reported.
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.map(Result::unwrap) {
            let file_name = entry.file_name().into_string().unwrap();
            let name = format!("{name}/{file_name}");
            match entry.file_type().unwrap() {
                kind if kind.is_dir() && !LEFT_BEHIND.contains(&&*file_name) => self.walk(&entry.path(), &name),
                kind if kind.is_file() => self.read(&entry.path(), &name),
                _ => {}
            }
        }
    }

    fn read(&mut self, path: &Path, name: &str) {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).as_ref().into();
        self.0.insert(name.to_owned(), File { text, is_executable: is_executable(path) });
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is such a file, or folder if the name ends with a slash.
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path) || (path.ends_with('/') && self.paths().any(|file| file.starts_with(path)))
    }

    /// Empty if there is no such file.
    pub fn text(&self, path: &str) -> &str {
        self.0.get(path).map_or("", |file| &file.text)
    }

    pub fn is_executable(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|file| file.is_executable)
    }

    /// With a file that is different, or new.
    pub fn with(&self, path: &str, change: impl Fn(&str) -> String) -> Self {
        let mut tree = self.clone();
        let is_executable = self.is_executable(path) || path.ends_with("run");
        tree.0.insert(path.to_owned(), File { text: change(self.text(path)).into(), is_executable });
        tree
    }

    pub fn without(&self, path: &str) -> Self {
        let mut tree = self.clone();
        tree.0.remove(path).unwrap();
        tree
    }

    /// With a script that is not executable.
    pub fn plain(&self, path: &str) -> Self {
        let mut tree = self.clone();
        tree.0.get_mut(path).unwrap().is_executable = false;
        tree
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o111 != 0
}

/// Other systems do not record it; there the first line of a script decides.
#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    std::fs::read(path).unwrap().starts_with(b"#!")
}
