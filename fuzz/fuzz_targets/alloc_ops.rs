#![no_main]

libfuzzer_sys::fuzz_target!(|program: &[u8]| fuzz::alloc_ops(program));
