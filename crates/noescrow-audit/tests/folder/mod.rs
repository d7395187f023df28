// SPDX-License-Identifier: MIT OR Apache-2.0
//! A folder with the files of a run, in which the program is run.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use crate::toy;
use noescrow_audit::Tape;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

/// A folder of one test with the files of a run.
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    pub fn new(name: &str) -> Self {
        let folder = Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("program {name}")));
        let _ = fs::remove_dir_all(&folder.0);
        fs::create_dir_all(folder.path("server")).unwrap();
        let tape = Tape::to_writer(File::create(folder.path("run.trace")).unwrap());
        let run = toy::run(tape);
        run.tape.finish().unwrap();
        folder.write("profile.json", toy::PROFILE.as_bytes());
        folder.write("server/wire", &run.wire);
        folder.write("leak", &run.chain_keys[1]);
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Runs the program in the folder. Returns exit code, standard output and standard error.
    pub fn program(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noescrow-audit"));
        let output = command.current_dir(&self.0).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Runs the program on the run's trace, with its profile.
    pub fn audit(&self, arguments: &[&str]) -> (i32, String, String) {
        self.program(&[&["--trace", "run.trace", "--profile", "profile.json"], arguments].concat())
    }

    /// Runs the program, which must refuse these arguments for this reason before it prints a verdict.
    pub fn refused(&self, arguments: &[&str], reason: &str) {
        let named = arguments.contains(&"--profile");
        let rest: &[&str] = if named { &[] } else { &["--no-profile"] };
        let (code, out, err) = self.program(&[arguments, rest].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(reason), "{arguments:?}: {err}");
    }
}
