//! Deliberate mistakes in the protocol. The simulation must notice each of them: that is what its silence is worth.
//!
//! A mistake is an edit of the core's sources or of a script. `src/bin/mutants.rs` makes a copy of the sources with all of them in
//! it, each behind `IS` (is this the one?), builds it once, and looks for a seed that shows each. The sources themselves know
//! nothing of this; an edit that does not fit them any more is an error.

use std::sync::LazyLock;

use leeward::core::redis::script::Script;

/// All of them.
pub static MUTANTS: LazyLock<Vec<Mutant>> = LazyLock::new(|| {
    [
        crate::mistakes::MUTANTS,
        crate::mistakes_in_lives::MUTANTS,
        crate::mistakes_in_waits::MUTANTS,
        crate::mistakes_in_l1::MUTANTS,
        crate::mistakes_in_batches::MUTANTS,
    ]
    .concat()
});

/// A deliberate mistake.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// What it is.
    pub name: &'static str,
    /// Where it is made: a file of the core (or a script), what stands there once, and what stands there then.
    pub edits: &'static [(&'static str, &'static str, &'static str)],
    /// A seed that showed it. A change of the plan changes what seeds mean; then another one is looked for.
    pub seed: u64,
}

/// A mistaken script.
#[derive(Clone, Debug)]
pub struct LuaMutant {
    /// The script's own text.
    pub original: &'static str,
    /// The mistaken one.
    pub text: String,
}

impl Mutant {
    /// The scripts as this mutant has them.
    ///
    /// # Errors
    /// What does not fit.
    pub fn scripts(&self) -> Result<Vec<LuaMutant>, String> {
        let mut scripts: Vec<LuaMutant> = Vec::new();
        for (file, from, to) in self.edits {
            let Some(script) = script_of(file) else { continue };
            let original = script.source();
            let known = scripts.iter().position(|mutant| mutant.original == original);
            let text = known.and_then(|at| scripts.get(at)).map_or(original, |mutant| mutant.text.as_str());
            let text = edit(self.name, file, text, from, to)?;
            match known.and_then(|at| scripts.get_mut(at)) {
                Some(mutant) => mutant.text = text,
                None => scripts.push(LuaMutant { original, text }),
            }
        }
        Ok(scripts)
    }
}

/// The script in a file, if it is one.
#[must_use]
pub fn script_of(file: &str) -> Option<Script> {
    match file {
        "redis/read.lua" => Some(Script::Read),
        "redis/fill.lua" => Some(Script::Fill),
        "redis/drop.lua" => Some(Script::Drop),
        _ => None,
    }
}

/// A text with an edit made.
///
/// # Errors
/// When what is to be replaced is not in it exactly once.
pub fn edit(name: &str, file: &str, text: &str, from: &str, to: &str) -> Result<String, String> {
    match text.matches(from).count() {
        1 => Ok(text.replacen(from, to, 1)),
        count => Err(format!(
            "the mutant \"{name}\" does not fit {file}: this is in it {count} times, not once: {from}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_fits_the_sources() {
        let core = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/core");
        let mut files: std::collections::HashMap<&str, String> = std::collections::HashMap::new();
        for mutant in MUTANTS.iter() {
            mutant.scripts().expect(mutant.name);
            for (file, from, to) in mutant.edits.iter().filter(|(file, ..)| script_of(file).is_none()) {
                let text = files
                    .entry(file)
                    .or_insert_with(|| std::fs::read_to_string(core.join(file)).expect(file));
                *text = edit(mutant.name, file, text, from, to).expect(mutant.name);
            }
        }
    }

    #[test]
    fn an_edit_that_does_not_fit_is_an_error() {
        assert_eq!(edit("m", "f", "a b c", "b", "x"), Ok(String::from("a x c")));
        assert!(edit("m", "f", "a b b", "b", "x").is_err());
        assert!(edit("m", "f", "a", "b", "x").is_err());
    }
}
