//! What a cache is set to, checked: `Options` makes it.

use alloc::string::String;

use super::ratio::Ratio;
use super::time::Millis;

/// The longest time to live. An invalidation that was refused keeps its fence this long.
pub const MAX_TTL: Millis = Millis::seconds(30 * 86_400);

/// The largest text of a value, in bytes, and what is allowed unless a cache says less. Servers take requests of 10 MB on most
/// plans, and a text grows when it is written as JSON.
pub const MAX_VALUE: usize = 4 << 20;

/// The settings of one cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// First part of every Redis key.
    pub prefix: String,
    /// The build that writes entries; another build does not read them.
    pub build: String,
    /// Time to live.
    pub ttl: Millis,
    /// How long after that an entry may be served while it is refreshed.
    pub swr: Millis,
    /// How long after that it may be served in place of an error of the callback.
    pub stale_if_error: Millis,
    /// How long a read waits for another isolate that computes the value.
    pub lease_wait: Millis,
    /// How eagerly a fresh entry is refreshed before its time; 0: not at all.
    pub early_refresh: Ratio,
    /// By how much of its time to live, at most, an entry's own is shorter.
    pub jitter: Ratio,
    /// Time to live where the callback says that there is no value; `None`: as of any other.
    pub negative_ttl: Option<Millis>,
    /// How long a read waits for Redis.
    pub read: Millis,
    /// How long a write waits for Redis.
    pub write: Millis,
    /// How long a flight is waited for.
    pub flight: Millis,
    /// What this isolate holds of values itself; `None`: nothing.
    pub l1: Option<L1Config>,
    /// How long a callback is waited for where a stale value may be served in its place.
    pub soft: Option<Millis>,
    /// How long it is waited for at all.
    pub hard: Option<Millis>,
    /// How many HTTP requests to Redis one request of the host may make.
    pub subrequests: u32,
    /// How many of them at the same time.
    pub connections: u32,
    /// Values whose texts have at least so many bytes are compressed; `None`: none are.
    pub compress: Option<usize>,
    /// The largest text of a value, in bytes, before it is compressed.
    pub max_value: usize,
    /// Events name keys in full.
    pub debug: bool,
    /// Somebody listens to events; without, only warnings are made.
    pub observed: bool,
}

/// How an isolate holds values in its own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Config {
    /// How long at most, from when the read was sent that found them valid.
    pub ttl: Millis,
    /// How many bytes of memory at most.
    pub max_bytes: u64,
    /// As what readers get them.
    pub values: L1Values,
}

/// As what readers get the values that their isolate holds: in no case does one see what another does to his.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L1Values {
    /// All the same object, which nobody can change.
    #[default]
    Frozen,
    /// Each a copy of his own.
    Copied,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            prefix: String::from("leeward"),
            build: String::new(),
            ttl: Millis::seconds(60),
            swr: Millis::ZERO,
            stale_if_error: Millis::ZERO,
            lease_wait: Millis::ZERO,
            early_refresh: Ratio::ZERO,
            jitter: Ratio::ZERO,
            negative_ttl: None,
            read: Millis::new(250),
            write: Millis::seconds(1),
            flight: Millis::seconds(2),
            l1: None,
            soft: None,
            hard: None,
            // Of the 50 that the smallest plan allows, the callbacks need some; of the 6 at the same time likewise.
            subrequests: 40,
            connections: 4,
            compress: None,
            max_value: MAX_VALUE,
            debug: false,
            observed: false,
        }
    }
}
