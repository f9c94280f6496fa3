//! The build step that has to be Rust: from the compiler's wasm to the glue that the JS driver imports.
//!
//! ```text
//! xtask glue <compiled.wasm> <out-dir>
//! ```
//!
//! It calls wasm-bindgen as a library, because the lock file then keeps both halves of wasm-bindgen at one version, and
//! nothing has to be downloaded besides crates.

mod glue;
mod shape;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["glue", wasm, out_dir] => glue::generate(Path::new(wasm), Path::new(out_dir)),
        _ => Err("usage: xtask glue <compiled.wasm> <out-dir>".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// An error with all its causes: wasm-bindgen's outermost message alone says little.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
