// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports for people: the verdict as a page, the secrecy matrix and derivations as pictures.

mod causes;
mod derivation;
mod html;
mod matrix;
mod plain;
mod text;
