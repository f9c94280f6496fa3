//! Fuzzing without a fuzzer: each target gets some ten thousand mutations of its kept corpus. It needs nothing but a stable
//! toolchain, and so is a part of `cargo test`; what a coverage-guided run finds (see `fuzz/`) goes into the corpus, and so here.
//!
//! The same seed gives the same inputs. `LEEWARD_FUZZ_SEED` sets another one, `LEEWARD_FUZZ_INPUTS` how many each target gets.

use alloc::string::String;
use alloc::vec::Vec;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use super::{TARGETS, Target};
use crate::core::random::Random;

const SEED: u64 = 1;
/// For each target.
const INPUTS: u64 = 12_000;
/// Longer ones find nothing that shorter ones do not, and take their time.
const MAX_LENGTH: usize = 4096;

/// What the targets look for, and what numbers and texts trip over.
const WORDS: [&[u8]; 44] = [
    b"lw2",
    b"fresh",
    b"stale",
    b"miss",
    b"marked",
    b"tags",
    b"{\"result\":",
    b"{\"error\":\"ERR \"}",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"-",
    b"-1",
    b"0",
    b"1",
    b"1e999",
    b"0.5",
    b"4294967296",
    b"9007199254740993",
    b"18446744073709551615",
    b"-9223372036854775808",
    b"99999999999999999999",
    b"%",
    b"%25",
    b"%zz",
    b"://",
    b"@",
    b"\0",
    b"\r\n",
    b" ",
    b"  ",
    b"\xff",
    b"\xc3\xa4",
    b"NOSCRIPT ",
    b"ms",
];

/// One change of an input.
fn change(data: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let mut below = |limit: usize| usize::try_from(random.next() % limit.max(1) as u64).unwrap_or(0);
    let at = below(data.len() + 1);
    let end = (at + 1 + below(8)).min(data.len());
    match below(8) {
        0 if at < data.len() => data[at] ^= 1 << below(8),
        1 if at < data.len() => data[at] = u8::try_from(below(256)).unwrap_or(0),
        2 if at < end => drop(data.drain(at..end)),
        // The same again, as parsers of lists like it least.
        3 if at < end => {
            let piece = data[at..end].repeat(1 + below(40));
            drop(data.splice(at..at, piece));
        }
        4 => data.truncate(at),
        5 => {
            let other = &corpus[below(corpus.len())];
            let from = below(other.len() + 1);
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        6 if at < end => drop(data.splice(at..end, WORDS[below(WORDS.len())].iter().copied())),
        _ => drop(data.splice(at..at, WORDS[below(WORDS.len())].iter().copied())),
    }
    data.truncate(MAX_LENGTH);
}

fn corpus_of(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    // Folders have no order.
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("readable")).collect()
}

/// Feeds a target; gives the first input over which it has panicked.
fn feed(name: &str, target: Target, seed: u64, inputs: u64) -> Option<Vec<u8>> {
    let corpus = corpus_of(name);
    let own = name.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = Random::new([0, own]);
    for _ in 0..inputs {
        let from = usize::try_from(random.next() % corpus.len() as u64).unwrap_or(0);
        let mut data = corpus[from].clone();
        for _ in 0..=random.next() % 6 {
            change(&mut data, &corpus, &mut random);
        }
        if catch_unwind(|| target(&data)).is_err() {
            return Some(data);
        }
    }
    None
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn mutations_of_the_corpus_are_read_or_refused() {
    let (seed, inputs) = (number("LEEWARD_FUZZ_SEED", SEED), number("LEEWARD_FUZZ_INPUTS", INPUTS));
    std::println!("{} targets, {inputs} inputs each, LEEWARD_FUZZ_SEED={seed}", TARGETS.len());
    std::thread::scope(|scope| {
        let fed = TARGETS.map(|(name, target)| (name, scope.spawn(move || feed(name, target, seed, inputs))));
        for (name, fed) in fed {
            let found = fed.join().expect("it does not panic itself");
            assert!(
                found.is_none(),
                "{name} has failed, see above, with LEEWARD_FUZZ_SEED={seed}: keep this in fuzz/corpus/{name}: \"{}\"",
                found.unwrap_or_default().escape_ascii(),
            );
        }
    });
}

#[test]
fn an_input_that_trips_a_target_is_found() {
    let trips: Target = |data| assert!(!String::from_utf8_lossy(data).contains("NOSCRIPT"), "tripped");
    let found = feed("duration", trips, SEED, INPUTS).expect("one of so many");
    assert!(found.windows(8).any(|word| word == b"NOSCRIPT"));
}
