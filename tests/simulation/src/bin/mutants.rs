//! `npm run mutants`: makes every deliberate mistake of `mutants.rs` and looks for a seed that shows it.
//!
//! The sources are copied to `target/mutants`, with each mistake behind a question whether it is the one; that copy is built
//! once, and asked for each.
//!
//!   --seeds N   so many schedules for each at most (default 40,000)
//!   --only TEXT those whose names hold this

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use leeward_simulation::mutants::{MUTANTS, edit, script_of};

/// What the copy's core has, and the sources have not.
const SWITCH: &str = r"//! Which deliberate mistake is made.
use core::sync::atomic::{AtomicUsize, Ordering};
static ACTIVE: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Makes this one.
pub fn set(number: usize) {
    ACTIVE.store(number, Ordering::Relaxed);
}
pub(crate) fn is(number: usize) -> bool {
    ACTIVE.load(Ordering::Relaxed) == number
}
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("mutants: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, String> {
    let mut seeds = String::from("40000");
    let mut only = String::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--seeds", Some(text)) => seeds = text,
            ("--only", Some(text)) => only = text,
            _ => return Err(format!("expected --seeds N or --only TEXT, got {arg}")),
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let copy = target.join("mutants");
    make(&root, &copy)?;
    let target = copy.join("target");
    build(&copy, &target)?;
    let program = target.join("simulate/leeward-simulation");
    let (mut caught, mut missed) = (0, 0);
    for (number, mutant) in MUTANTS.iter().enumerate().filter(|(_, mutant)| mutant.name.contains(&only)) {
        let output = Command::new(&program)
            .args(["--seeds", &seeds, "--mutant", &number.to_string()])
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let (verdict, count) =
            if output.status.success() { ("caught", &mut caught) } else { ("MISSED", &mut missed) };
        *count += 1;
        println!("{verdict} {}: {}", mutant.name, said.trim());
    }
    let verdict = if missed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {caught} passed; {missed} failed;");
    println!("{caught} mutants caught, {missed} missed");
    Ok(missed == 0)
}

/// Copies the sources and makes the mistakes in them.
fn make(root: &Path, copy: &Path) -> Result<(), String> {
    let io = |what: &Path| {
        let what = what.display().to_string();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    // What was built stays: most of it has nothing to do with the mistakes.
    for folder in ["src", "tests"] {
        let _ = fs::remove_dir_all(copy.join(folder));
    }
    for folder in ["src", "tests/redis-model", "tests/simulation"] {
        copy_folder(&root.join(folder), &copy.join(folder))?;
    }
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock")).map_err(io(copy))?;
    let manifest = fs::read_to_string(root.join("Cargo.toml")).map_err(io(root))?;
    let manifest = manifest.replacen("\"xtask\", ", "", 1).replacen(
        "[workspace.lints.rust]",
        "[workspace.lints.none]",
        1,
    );
    fs::write(
        copy.join("Cargo.toml"),
        manifest.replacen(
            "[workspace.lints.none]",
            "[workspace.lints.rust]\nwarnings = { level = \"allow\", priority = -1 }",
            1,
        ),
    )
    .map_err(io(copy))?;
    let core = copy.join("src/core");
    for (number, mutant) in MUTANTS.iter().enumerate() {
        mutant.scripts()?;
        for (file, from, to) in mutant.edits {
            if script_of(file).is_some() {
                continue;
            }
            let path = core.join(file);
            let text = fs::read_to_string(&path).map_err(io(&path))?;
            let to = to.replace("IS", &format!("crate::core::mutant::is({number})"));
            fs::write(&path, edit(mutant.name, file, &text, from, &to)?).map_err(io(&path))?;
        }
    }
    fs::write(core.join("mutant.rs"), SWITCH).map_err(io(&core))?;
    let module = core.join("mod.rs");
    let text = fs::read_to_string(&module).map_err(io(&module))?;
    fs::write(&module, text.replacen("mod options;", "pub mod mutant;\nmod options;", 1)).map_err(io(&module))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(problem)?;
    for entry in fs::read_dir(from).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(problem)?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(problem)?;
        }
    }
    Ok(())
}

fn build(copy: &Path, target: &Path) -> Result<(), String> {
    let status = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--profile",
            "simulate",
            "--package",
            "leeward-simulation",
            "--bin",
            "leeward-simulation",
        ])
        .args(["--features", "mutants"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(String::from("the sources with the mistakes in them do not build"))
    }
}
