//! The glue: what wasm-bindgen generates, in the four files that the driver and the bundler use.
//!
//! | file | what |
//! |---|---|
//! | `leeward.js` | `instantiate(module)`, see [`crate::shape`] |
//! | `leeward.d.ts` | its type |
//! | `exports.d.ts` | the types of the classes and functions that an instance offers, as wasm-bindgen writes them |
//! | `leeward_bg.wasm` | the module, not yet optimised |
//!
//! What wasm-bindgen wrote itself stays beside them in `raw/`, to be compared when the shape is refused.

use crate::shape;
use std::error::Error;
use std::fs;
use std::path::Path;
use wasm_bindgen_cli_support::Bindgen;

/// wasm-bindgen derives the name of the imported module from it, and so do the checks of the build.
const NAME: &str = "leeward";

/// The types of `leeward.js`. The generated types are re-exported as types alone: the classes are no values of this
/// module, every instance has its own.
const TYPES: &str = r#"/** The classes and functions of one instance. */
export type Glue = typeof import("./exports.js");
export type * from "./exports.js";

/**
 * Makes a new instance of the module and the classes and functions bound to it. Any number of instances may exist; they
 * share nothing, and one that has trapped can be dropped.
 */
export function instantiate(module: WebAssembly.Module): Glue;
"#;

/// Writes the glue for the module at `wasm` into `out_dir`.
///
/// # Errors
/// The file cannot be read, is no wasm module, was compiled with another version of wasm-bindgen, or the generated text
/// has not the expected shape.
pub(crate) fn generate(wasm: &Path, out_dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).out_name(NAME).typescript(true).remove_name_section(true);
    // Of all targets this one generates the least: one synchronous instance, and no code to fetch it.
    bindgen.module(true)?;
    let mut output = bindgen.generate_output()?;

    // Every crate that uses wasm-bindgen is listed with its snippets, most often none.
    let snippets = output.snippets().values().any(|list| !list.is_empty());
    if snippets || !output.local_modules().is_empty() || !output.npm_dependencies().is_empty() {
        return Err("a crate brings JavaScript of its own (a snippet, a module or an npm package)".into());
    }
    let raw = out_dir.join("raw");
    output.emit(&raw)?;
    let script = shape::wrap(&fs::read_to_string(raw.join("leeward.js"))?)?;

    fs::copy(raw.join("leeward_bg.wasm"), out_dir.join("leeward_bg.wasm"))?;
    fs::copy(raw.join("leeward.d.ts"), out_dir.join("exports.d.ts"))?;
    fs::write(out_dir.join("leeward.d.ts"), TYPES)?;
    fs::write(out_dir.join("leeward.js"), script)?;
    Ok(())
}
