// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit of what the relay held, and what is exposed to an attacker who also stole a device.

use crate::Progress;
use noescrow_audit::{Audit, Evidence, SecrecyMatrix, Thief, Verdict};
use noescrow_recorder::profile;
use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

/// Rows and columns of the matrix on a terminal, and as a picture.
const TEXT: (usize, usize) = (24, 48);
const PICTURE: (usize, usize) = (160, 48);
/// Bytes of the trace read at a time.
const READ: usize = 1 << 20;

pub(crate) struct Hearing {
    pub(crate) verdict: Verdict,
    /// For a thief with today's computers.
    matrix: SecrecyMatrix,
    /// For a thief who can compute X25519 private keys from public ones.
    quantum: SecrecyMatrix,
}

impl Hearing {
    /// Searches the folder `held` for every secret of the trace.
    pub(crate) fn hold(trace: &Path, held: &Path) -> Result<Self, Box<dyn Error>> {
        let recorded = BufReader::with_capacity(READ, File::open(trace)?);
        let audit = Audit::read(profile(), recorded).map_err(|error| format!("{}: {error}", trace.display()))?;
        let mut progress: Option<Progress> = None;
        let examination = audit
            .server_files(held)
            // The relay stores nothing but what the devices sent: no software, and no text of others.
            .known(Evidence::new())
            .on_progress(move |done, all| {
                let progress = progress.get_or_insert_with(|| Progress::new("searched", all));
                progress.total = all;
                progress.show(done);
                if done == all {
                    progress.end();
                }
            })
            .examine();
        let of_thief =
            |quantum| examination.secrecy_matrix(&examination.thefts(), &Thief { quantum, ..Thief::default() });
        Ok(Self { verdict: examination.verdict(), matrix: of_thief(false), quantum: of_thief(true) })
    }

    /// The search passed its controls, too: it found everything that was planted for it.
    pub(crate) fn holds(&self) -> bool {
        let examined = &self.verdict.examined;
        let controlled = examined.controls_planted > 0 && examined.controls_found == examined.controls_planted;
        self.verdict.holds() && controlled && self.failures() == 0
    }

    /// Messages exposed by a theft although they were over before it, counted for each theft.
    pub(crate) fn failures(&self) -> usize {
        [&self.matrix, &self.quantum].map(|matrix| matrix.failures_of_forward_secrecy().len()).iter().sum()
    }

    pub(crate) fn write(&self, out: &Path) -> Result<(), Box<dyn Error>> {
        let both = [("A thief of today", &self.matrix), ("A thief with a quantum computer", &self.quantum)];
        fs::write(out.join("report.html"), self.verdict.to_html(&both))?;
        let matrix = self.matrix.condensed(PICTURE.0, PICTURE.1);
        fs::write(out.join("matrix.svg"), matrix.to_svg())?;
        fs::write(out.join("matrix-quantum.svg"), self.quantum.condensed(PICTURE.0, PICTURE.1).to_svg())?;
        Ok(())
    }

    pub(crate) fn print(&self, out: &Path) {
        println!("Searched: {}", out.join("relay").display());
        println!("{}", self.verdict);
        let (messages, thefts) = (self.matrix.messages.len(), self.matrix.thefts.len());
        println!("Exposure after device theft: {messages} messages (rows) × {thefts} thefts (columns)");
        println!(
            "  . secret   o exposed   X exposed, though sent and opened before the theft; a cell of several shows the worst."
        );
        print!("{}", self.matrix.condensed(TEXT.0, TEXT.1).to_text());
        println!("Recovered: {}.\n", healing(&self.matrix));
        println!("The same for a thief who also has a quantum computer:");
        print!("{}", self.quantum.condensed(TEXT.0, TEXT.1).to_text());
        println!("Recovered: {}.\n", healing(&self.quantum));
        println!("Forward secrecy failed in {} of {} cells.\n", self.failures(), 2 * messages * thefts);
        println!("Report:   {}", out.join("report.html").display());
        println!("Trace:    {}", out.join("devices/run.trace").display());
        println!(
            "          The trace contains every secret of the devices. It is therefore not in the searched folder."
        );
    }
}

/// The number of messages until secrecy returns, over the thefts after which the conversation continued for long
/// enough.
fn healing(matrix: &SecrecyMatrix) -> String {
    let thefts = (0..matrix.thefts.len()).filter_map(|theft| matrix.healing(theft));
    let mut healed: Vec<usize> = thefts.filter(|healing| healing.healed).map(|healing| healing.messages).collect();
    healed.sort_unstable();
    match (healed.get(healed.len() / 2), healed.last()) {
        (Some(median), Some(most)) => format!(
            "{} of {} thefts, after {median} messages (median), {most} at the most",
            healed.len(),
            matrix.thefts.len()
        ),
        _ => "none, the conversation ended before".to_owned(),
    }
}
