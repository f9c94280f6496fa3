//! `npm run simulate`: runs schedules and says what was wrong.
//!
//!   --seeds N   so many schedules (default 10,000)
//!   --from S    beginning with this seed (default 0)
//!   --seed S    this one alone, with its trace
//!   --check 1   as a test: also whether all has happened that must, and the seeds that showed mistakes before

use std::process::ExitCode;

use leeward_simulation::batch;
use leeward_simulation::world;

/// So many seeds are run twice, besides those that showed mistakes.
const TWICE: u64 = 400;

fn main() -> ExitCode {
    let (mut seeds, mut from, mut check) = (10_000, 0, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = args.next().and_then(|text| text.replace('_', "").parse::<u64>().ok());
        match (arg.as_str(), number) {
            ("--seeds", Some(n)) => seeds = n,
            ("--from", Some(n)) => from = n,
            ("--check", Some(n)) => check = n > 0,
            ("--seed", Some(seed)) => return show(seed),
            #[cfg(feature = "mutants")]
            ("--mutant", Some(number)) => return catch(usize::try_from(number).unwrap_or(usize::MAX), seeds),
            _ => {
                eprintln!(
                    "simulate: expected --seeds N, --from S, --seed S or --check 1, with a whole number, got {arg}"
                );
                return ExitCode::from(2);
            }
        }
    }
    let all = batch::run(from, seeds);
    for (what, count) in all.coverage.iter() {
        println!("{count:>12} {what}");
    }
    if let Some(seed) = all.failing.first() {
        println!("failing seeds: {:?}", all.failing.iter().take(10).collect::<Vec<_>>());
        println!("the first of them: npm run simulate -- --seed {seed}");
    }
    let mut failed = u64::from(all.violations > 0);
    if check {
        let missing = batch::missing(&all.coverage);
        let (enough, share) = batch::stored_share(&all.coverage);
        let before = batch::regressions();
        println!("{share} of 100 misses were stored");
        println!(
            "{} seeds that showed mistakes before, {} of them failing: {:?}",
            before.schedules, before.violations, before.failing
        );
        println!("has not happened: {missing:?}");
        let unsteady = batch::unsteady(TWICE);
        println!("not the same schedule twice: {unsteady:?}");
        let wrong = [!missing.is_empty(), !enough, before.violations > 0, !unsteady.is_empty()];
        failed += wrong.into_iter().map(u64::from).sum::<u64>();
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        println!("test result: {verdict}. {} passed; {failed} failed;", 5 - failed);
    }
    println!(
        "{} seeds, {} violations, {} schedules with a hung request",
        all.schedules, all.violations, all.hung
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(seed: u64) -> ExitCode {
    let verdict = world::run(seed, &[], true);
    for line in &verdict.trace {
        println!("{line}");
    }
    println!("seed {seed}: {} violations", verdict.violations.len());
    for violation in &verdict.violations {
        println!("  {violation}");
    }
    if verdict.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Looks for a seed that shows a deliberate mistake: first the one that did before.
#[cfg(feature = "mutants")]
fn catch(number: usize, seeds: u64) -> ExitCode {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use leeward_simulation::mutants::MUTANTS;

    let Some(mutant) = MUTANTS.get(number) else { return ExitCode::from(2) };
    leeward::core::mutant::set(number);
    let shown = |seed: u64| {
        let scripts = mutant.scripts().unwrap_or_default();
        world::run(seed, &scripts, false).violations.first().cloned()
    };
    if let Some(violation) = shown(mutant.seed) {
        println!("seed {}: {violation}", mutant.seed);
        return ExitCode::SUCCESS;
    }
    let found = Arc::new(AtomicU64::new(u64::MAX));
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let parts: Vec<_> = (0..threads)
        .map(|part| {
            let found = Arc::clone(&found);
            thread::spawn(move || {
                let scripts = mutant.scripts().unwrap_or_default();
                let mut seed = part;
                while seed < seeds && seed < found.load(Ordering::Relaxed) {
                    if !world::run(seed, &scripts, false).violations.is_empty() {
                        found.fetch_min(seed, Ordering::Relaxed);
                    }
                    seed += threads;
                }
            })
        })
        .collect();
    for part in parts {
        let _ = part.join();
    }
    match found.load(Ordering::Relaxed) {
        u64::MAX => {
            println!("not by {seeds} seeds");
            ExitCode::FAILURE
        }
        seed => {
            println!("seed {seed}: {}", shown(seed).unwrap_or_default());
            ExitCode::SUCCESS
        }
    }
}
