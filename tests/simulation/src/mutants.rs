//! Deliberate mistakes in the protocol. The simulation must notice each: that is what its silence is worth.

use leeward::core::redis::script::Script;

/// A mistake in one of the scripts: a text in it, and what stands in its place.
#[derive(Clone, Debug)]
pub struct LuaMutant {
    /// What it is.
    pub name: &'static str,
    /// The script's own text.
    pub original: &'static str,
    /// The mistaken one.
    pub text: String,
}

/// Name, script, what stands there, what stands there by mistake.
const LUA: &[(&str, Script, &str, &str)] = &[];

/// All mistakes in scripts.
///
/// # Errors
/// The name of one that does not fit the script any more.
pub fn lua() -> Result<Vec<LuaMutant>, String> {
    LUA.iter()
        .map(|(name, script, from, to)| {
            let original = script.source();
            if original.matches(from).count() != 1 {
                return Err(format!(
                    "the mutant \"{name}\" does not fit its script: {from:?} must be in it once"
                ));
            }
            Ok(LuaMutant { name, original, text: original.replace(from, to) })
        })
        .collect()
}
