//! Ways to fail, for tests (feature `trap`): never in the module that is published.

use alloc::vec;
use alloc::vec::Vec;

use wasm_bindgen::prelude::*;

use super::Core;

#[wasm_bindgen]
impl Core {
    /// Fails so: "panic", "trap", "overflow" or "exhaust". In the middle of a call, as a mistake in the core would.
    #[allow(clippy::panic, reason = "it is what it is for")]
    pub fn fail(&mut self, how: &str) {
        match how {
            "panic" => panic!("failed on purpose"),
            "overflow" => self.values.push(overflow(0)),
            "exhaust" => self.values.push(exhaust()),
            _ => std::process::abort(),
        }
    }
}

fn overflow(depth: u32) -> u32 {
    let frame = core::hint::black_box([depth; 64]);
    if depth == u32::MAX { 0 } else { overflow(depth + 1).wrapping_add(frame.iter().sum()) }
}

fn exhaust() -> u32 {
    let mut all: Vec<Vec<u8>> = Vec::new();
    while all.len() < 1 << 20 {
        all.push(core::hint::black_box(vec![1; 1 << 16]));
    }
    u32::try_from(all.len()).unwrap_or(0)
}
