// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values that are searched for, the index over them, and the look-up of bytes in the index.
//!
//! ```text
//! windows.rs    windows of six bytes, by which values and evidence are compared
//! pages.rs      tables in huge pages, and prefetches
//! filter.rs     two Bloom filters, which reject most windows that are not in the index
//! needles.rs    the values, and the index over their windows
//! prefetch.rs   windows on their way from the filters to the index
//! probe.rs      the look-up of bytes: every eleventh window; a match is compared to both ends
//! ```

mod filter;
pub(crate) mod needles;
mod pages;
mod prefetch;
pub(crate) mod probe;
pub(crate) mod windows;
