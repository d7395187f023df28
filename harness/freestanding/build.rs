// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links without start files and without libraries; the control with libc.

fn main() {
    println!("cargo:rustc-link-arg-bins=-nostartfiles");
    if std::env::var_os("CARGO_FEATURE_ALLOC_CONTROL").is_some() {
        println!("cargo:rustc-link-arg-bins=-lc");
    } else {
        println!("cargo:rustc-link-arg-bins=-nostdlib");
        println!("cargo:rustc-link-arg-bins=-static");
        // There is no loader to relocate it.
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
