// SPDX-License-Identifier: MIT OR Apache-2.0
//! Links the firmware as memory.x describes.

fn main() {
    println!("cargo:rerun-if-changed=memory.x");
    if std::env::var_os("CARGO_FEATURE_FIRMWARE").is_some() {
        println!("cargo:rustc-link-search={}", std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
        println!("cargo:rustc-link-arg-bin=firmware=-Tlink.x");
        println!("cargo:rustc-link-arg-bin=firmware=--nmagic");
    }
}
