// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secrets that may still be in memory, and why.

use crate::child_process::Place;

/// One reason.
pub struct Allowed {
    pub place: Place,
    /// Beginnings of names of secrets; empty for any.
    pub secrets: &'static [&'static str],
    /// Beginnings of names of the operations before the search; empty for any.
    pub operations: &'static [&'static str],
    pub reason: &'static str,
}

impl Allowed {
    pub fn covers(&self, place: Place, secret: &str, operation: &str) -> bool {
        let begins = |name: &str, all: &[&str]| all.is_empty() || all.iter().any(|start| name.starts_with(start));
        self.place == place && begins(secret, self.secrets) && begins(operation, self.operations)
    }

    pub fn what(&self) -> String {
        let list = |all: &[&str]| if all.is_empty() { "any".to_owned() } else { all.join(", ") };
        format!("{} after {}", list(self.secrets), list(self.operations))
    }
}

pub const ALLOWED: &[Allowed] = &[
    Allowed {
        place: Place::StackBelow,
        secrets: &["HKDF-Expand (HS-R6)", "HKDF-SHA-256 (SP-I1)"],
        operations: &["accept (forged)", "refuse"],
        reason: "a pending first message is accepted and refused by value, and one that is not accepted comes back by value; the \
             place from which the caller moved it is in the caller's own frame",
    },
    Allowed {
        place: Place::Registers,
        // Which ones depends on the processor: on the vector units that ciphers and the C library's copies choose.
        // Therefore nothing is claimed about registers, for any secret.
        secrets: &[],
        operations: &[],
        reason: "a cipher's last round keys, and the last bytes that were copied, stay in vector registers until the next code that \
             uses these, which with AVX-512 may be long; safe Rust cannot clear a register",
    },
];
