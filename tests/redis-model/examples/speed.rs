//! How long the real scripts take here: `cargo run --release -p leeward-redis-model --example speed`.
#![allow(clippy::disallowed_methods, reason = "it measures")]
#![allow(clippy::expect_used, clippy::panic, reason = "it is run by hand")]

use std::time::Instant;

use leeward_redis_model::{Model, Reply, Sha};

const READ: &str = include_str!("../../../src/core/redis/read.lua");
const FILL: &str = include_str!("../../../src/core/redis/fill.lua");
const DROP: &str = include_str!("../../../src/core/redis/drop.lua");
const START: u64 = 1_790_000_000_000_000;

fn main() {
    let [read, fill, drop] = [READ, FILL, DROP].map(|text| Sha::of(text.as_bytes()));
    let body = "x".repeat(1000);
    let keys = ["p:k:app:entry-1", "p:n:", "p:n:app", "p:t:product"];
    let read_args = ["nonce", "build", "60000", "2", "1", "p:t:", "", "5000", "stale"];
    let mut reading = vec!["EVALSHA", read.as_str(), "4"];
    reading.extend(keys);
    reading.extend(read_args);

    let new_model = || {
        let mut model = Model::new(START);
        for text in [READ, FILL, DROP] {
            assert!(matches!(model.execute(&["SCRIPT", "LOAD", text]), Reply::Bulk(_)));
        }
        model
    };
    let filled = || {
        let mut model = new_model();
        let Reply::Array(parts) = model.execute(&reading) else { panic!("a miss") };
        let Some(Reply::Bulk(stamps)) = parts.get(3) else { panic!("stamps") };
        let stamps = String::from_utf8(stamps.clone()).expect("text");
        let filling: Vec<String> = ["EVALSHA", fill.as_str(), "4"]
            .into_iter()
            .chain(keys)
            .chain(["build", &stamps, "2", "p:t:", "60000", "0", "0", "v 12", &body, ""])
            .map(String::from)
            .collect();
        assert_eq!(model.execute(&filling), Reply::Status(String::from("OK")));
        (model, filling)
    };

    let (mut model, filling) = filled();
    measure("read, fresh", || model.execute(&reading));
    let json = pipeline_of(&reading);
    measure("read, fresh, as a pipeline of one", || model.pipeline(&json));
    measure("fill", || model.execute(&filling));
    let dropping = ["EVALSHA", drop.as_str(), "1", "p:k:app:other", "", "0", ""];
    measure("drop, without marks", || model.execute(&dropping));
    let marking = ["EVALSHA", drop.as_str(), "1", "p:k:app:other", "mark", "60000", ""];
    measure("drop, with a mark", || model.execute(&marking));
    measure("GET", || model.execute(&["GET", "nothing"]));
    measure("a new model", || Model::new(START));
    measure("a new model, three SCRIPT LOADs, a read that misses", || new_model().execute(&reading));
}

fn pipeline_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[[{}]]", words.join(","))
}

fn measure<T>(what: &str, mut work: impl FnMut() -> T) {
    const ROUNDS: u32 = 200;
    // The best of many short runs: other work on the machine makes most of them longer.
    let mut best = f64::INFINITY;
    for _ in 0..1000 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            std::hint::black_box(work());
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(ROUNDS));
    }
    println!("{:8.2} us  {what}", best * 1e6);
}
