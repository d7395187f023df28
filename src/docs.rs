// SPDX-License-Identifier: MIT OR Apache-2.0
//! The documents that the README and these pages link to. Only rustdoc compiles this module.
//!
//! README and documents collect their link targets, paths in the repository, at their end. `docs/links.md` is included
//! before each of them and defines the same labels: of two definitions, Markdown takes the first. So a link leads to a
//! file in the repository and to a page here.

#[doc = include_str!("docs/links.md")]
#[doc = include_str!("../docs/building-a-messenger.md")]
pub mod building_a_messenger {}

#[doc = include_str!("docs/links.md")]
#[doc = include_str!("../spec/healing.md")]
pub mod healing {}

#[doc = include_str!("docs/links.md")]
#[doc = include_str!("../spec/leakage.md")]
pub mod leakage {}

#[doc = include_str!("docs/links.md")]
#[doc = include_str!("../spec/protocol.md")]
pub mod protocol {}

#[doc = include_str!("docs/links.md")]
#[doc = include_str!("../spec/security.md")]
pub mod security {}

#[doc = include_str!("docs/links.md")]
#[doc = include_str!("../spec/STATUS.md")]
pub mod status {}

#[doc = include_str!("docs/links.md")]
#[doc = include_str!("../SECURITY.md")]
pub mod vulnerabilities {}
