// SPDX-License-Identifier: MIT OR Apache-2.0
#![no_main]

use noescrow_fuzz::Bug;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| noescrow_fuzz::publication(bytes, Bug::None));
