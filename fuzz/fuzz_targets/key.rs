#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leeward::core::fuzz::key(data));
