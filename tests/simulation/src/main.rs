//! `npm run simulate`: runs schedules and says what was wrong.
//!
//!   --seeds N   so many schedules (default 10,000)
//!   --from S    beginning with this seed (default 0)
//!   --seed S    this one alone, with its trace

use std::process::ExitCode;
use std::thread;

use leeward_simulation::coverage::Coverage;
use leeward_simulation::world;

#[derive(Default)]
struct Tally {
    violations: u64,
    hung: u64,
    coverage: Coverage,
    failing: Vec<u64>,
}

fn main() -> ExitCode {
    let mut seeds = 10_000;
    let mut from = 0;
    #[cfg(feature = "mutants")]
    let mut mutant = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = args.next().and_then(|text| text.replace('_', "").parse::<u64>().ok());
        match (arg.as_str(), number) {
            ("--seeds", Some(n)) => seeds = n,
            ("--from", Some(n)) => from = n,
            ("--seed", Some(seed)) => return show(seed),
            #[cfg(feature = "mutants")]
            ("--mutant", Some(number)) => mutant = usize::try_from(number).ok(),
            _ => {
                eprintln!(
                    "simulate: expected --seeds N, --from S or --seed S, each a whole number, got {arg}"
                );
                return ExitCode::from(2);
            }
        }
    }
    #[cfg(feature = "mutants")]
    if let Some(number) = mutant {
        return catch(number, seeds);
    }
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let parts: Vec<_> =
        (0..threads).map(|part| thread::spawn(move || run(from + part, from + seeds, threads))).collect();
    let mut all = Tally::default();
    for part in parts {
        let Ok(tally) = part.join() else {
            eprintln!("simulate: a thread panicked");
            return ExitCode::FAILURE;
        };
        all.violations += tally.violations;
        all.hung += tally.hung;
        all.coverage.add(&tally.coverage);
        all.failing.extend(tally.failing);
    }
    all.failing.sort_unstable();
    for (what, count) in all.coverage.iter() {
        println!("{count:>12} {what}");
    }
    if let Some(seed) = all.failing.first() {
        println!("failing seeds: {:?}", all.failing.iter().take(10).collect::<Vec<_>>());
        println!("the first of them: npm run simulate -- --seed {seed}");
    }
    println!("{seeds} seeds, {} violations, {} schedules with a hung request", all.violations, all.hung);
    if all.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(first: u64, end: u64, step: u64) -> Tally {
    let mut tally = Tally::default();
    let mut seed = first;
    while seed < end {
        let verdict = world::run(seed, &[], false);
        tally.hung += u64::from(verdict.hung);
        tally.coverage.add(&verdict.coverage);
        if !verdict.violations.is_empty() {
            tally.violations += 1;
            tally.failing.push(seed);
        }
        seed += step;
    }
    tally
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

/// Looks for a seed that shows a deliberate mistake.
#[cfg(feature = "mutants")]
fn catch(number: usize, seeds: u64) -> ExitCode {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let Some(mutant) = leeward_simulation::mutants::MUTANTS.get(number) else { return ExitCode::from(2) };
    leeward::core::mutant::set(number);
    let over = Arc::new(AtomicBool::new(false));
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let parts: Vec<_> = (0..threads)
        .map(|part| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                let scripts = mutant.scripts().unwrap_or_default();
                let mut seed = part;
                while seed < seeds && !over.load(Ordering::Relaxed) {
                    let verdict = world::run(seed, &scripts, false);
                    if let Some(violation) = verdict.violations.first() {
                        over.store(true, Ordering::Relaxed);
                        return Some((seed, violation.clone()));
                    }
                    seed += threads;
                }
                None
            })
        })
        .collect();
    let found = parts.into_iter().filter_map(|part| part.join().ok().flatten()).min();
    match found {
        Some((seed, violation)) => {
            println!("seed {seed}: {violation}");
            ExitCode::SUCCESS
        }
        None => {
            println!("not by {seeds} seeds");
            ExitCode::FAILURE
        }
    }
}
