//! Options as users give them, checked: an error names the option, what is allowed and what came.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;

use super::config::{CacheConfig, L1Config, L1Values, MAX_TTL, MAX_VALUE};
use super::duration;
use super::ratio::Ratio;
use super::time::Millis;

/// A value as the host language gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptionValue<'a> {
    /// A number, and how the host writes it: formatting one would take a tenth of the module.
    Number(f64, &'a str),
    /// A text.
    Text(&'a str),
    /// A boolean.
    Bool(bool),
    /// Something else, by the name of its type.
    Other(&'a str),
}

impl fmt::Display for OptionValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(_, text) => f.write_str(text),
            Self::Text(text) => write!(f, "\"{}\"", shortened(text)),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Other(kind) => f.write_str(kind),
        }
    }
}

/// A bad option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// There is no option of this name.
    Unknown { option: String, known: &'static str },
    /// The value is of a wrong type or out of range.
    Invalid { option: String, got: String, expected: String },
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { option, known } => write!(f, "unknown option \"{option}\": known are {known}"),
            Self::Invalid { option, got, expected } => {
                write!(f, "option \"{option}\" must be {expected}, got {got}")
            }
        }
    }
}

impl core::error::Error for OptionError {}

const DAY: u64 = 86_400_000;
const TTL: (Millis, Millis) = (Millis::new(1), MAX_TTL);
const STALE: (Millis, Millis) = (Millis::ZERO, MAX_TTL);
const EARLY_REFRESH: Range = (10.0, "a number from 0 to 10");
const JITTER: Range = (0.5, "a number from 0 to 0.5");
const LEASE_WAIT: (Millis, Millis) = (Millis::ZERO, Millis::new(30_000));
const MUTATE: (Millis, Millis) = (Millis::new(1), Millis::new(300_000));
/// How long the callback of a `mutate` is expected to take at most, where nothing is said.
pub const MUTATE_TIMEOUT: Millis = Millis::seconds(10);
const WAIT: (Millis, Millis) = (Millis::new(1), Millis::new(30_000));
/// How long callbacks are waited for, of one's own and of others.
const CALLBACK: (Millis, Millis) = (Millis::new(1), Millis::new(300_000));
/// An invalidation must have room besides a read.
const SUBREQUESTS: (u32, u32) = (2, 10_000);
const CONNECTIONS: (u32, u32) = (1, 1000);
const L1_TTL: (Millis, Millis) = (Millis::new(1), Millis::new(60_000));
/// 64 KiB to 64 MiB.
const L1_BYTES: core::ops::RangeInclusive<u64> = 1 << 16..=1 << 26;
/// Thresholds and limits of values, in bytes.
const BYTES: (usize, usize) = (1024, MAX_VALUE);
const CACHE_OPTIONS: &str = "prefix, version, ttl, swr, staleIfError, negativeTtl, jitter, earlyRefresh, leaseWait, timeout.read, timeout.write, timeout.flight, timeout.soft, timeout.hard, budget.subrequests, budget.connections, l1.ttl, l1.maxBytes, l1.values, compress, maxValueBytes, url, token, onEvent, debug";
const READ_OPTIONS: &str = "ttl, swr, staleIfError, negativeTtl, jitter, earlyRefresh, leaseWait, tags, timeout.read, timeout.soft, timeout.hard, l1, schema, forceFresh, freshness, signal";
const MANY_OPTIONS: &str = "ttl, swr, staleIfError, negativeTtl, jitter, tags, timeout.read, timeout.soft, timeout.hard, l1, schema, forceFresh, freshness, signal";
const SET_OPTIONS: &str = "ttl, swr, staleIfError, jitter, tags";

/// The largest number allowed, and what a message calls the range: formatting numbers would take a tenth of the module.
type Range = (f64, &'static str);
const MUTATE_OPTIONS: &str = "timeout";

/// The options of a cache, as far as they have been read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    config: CacheConfig,
    l1: L1Options,
}

/// Those of L1, of which two must be given together.
#[derive(Clone, Copy, Debug, Default)]
struct L1Options {
    ttl: Option<Millis>,
    max_bytes: Option<u64>,
    values: Option<L1Values>,
}

impl Options {
    /// Takes one option. Those that only the host can check (`url`, `token`, `onEvent`) do not come here.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, option: &str, value: OptionValue<'_>) -> Result<(), OptionError> {
        let config = &mut self.config;
        match option {
            "prefix" => config.prefix = text(option, value, 1, 64)?,
            "version" => match value {
                OptionValue::Text(_) => config.build = text(option, value, 0, 64)?,
                got => return Err(invalid(option, got, "a text, or an object that names a binding")),
            },
            "ttl" => config.ttl = span(option, value, TTL)?,
            "swr" => config.swr = span(option, value, STALE)?,
            "staleIfError" => config.stale_if_error = span(option, value, STALE)?,
            "negativeTtl" => config.negative_ttl = Some(span(option, value, STALE)?),
            "jitter" => config.jitter = ratio(option, value, JITTER)?,
            "earlyRefresh" => config.early_refresh = ratio(option, value, EARLY_REFRESH)?,
            "leaseWait" => config.lease_wait = span(option, value, LEASE_WAIT)?,
            "timeout.read" => config.read = span(option, value, WAIT)?,
            "timeout.write" => config.write = span(option, value, WAIT)?,
            "timeout.flight" => config.flight = span(option, value, CALLBACK)?,
            "timeout.soft" => config.soft = Some(span(option, value, CALLBACK)?),
            "timeout.hard" => config.hard = Some(span(option, value, CALLBACK)?),
            "budget.subrequests" => config.subrequests = whole(option, value, SUBREQUESTS)?,
            "budget.connections" => config.connections = whole(option, value, CONNECTIONS)?,
            "l1.ttl" => self.l1.ttl = Some(span(option, value, L1_TTL)?),
            "l1.maxBytes" => self.l1.max_bytes = Some(l1_bytes(option, value)?),
            "l1.values" => {
                self.l1.values = match value {
                    OptionValue::Text("frozen") => Some(L1Values::Frozen),
                    OptionValue::Text("copied") => Some(L1Values::Copied),
                    got => return Err(invalid(option, got, "\"frozen\" or \"copied\"")),
                }
            }
            "l1" => return Err(invalid(option, value, "an object with ttl, maxBytes, values")),
            "compress" => {
                config.compress = match value {
                    OptionValue::Bool(false) => None,
                    _ => Some(bytes(option, value, "false or ")?),
                }
            }
            "maxValueBytes" => config.max_value = bytes(option, value, "")?,
            "debug" => match value {
                OptionValue::Bool(debug) => config.debug = debug,
                got => return Err(invalid(option, got, "true or false")),
            },
            "timeout" => {
                return Err(invalid(option, value, "an object with read, write, flight, soft, hard"));
            }
            "budget" => return Err(invalid(option, value, "an object with subrequests, connections")),
            "url" | "token" => {
                // The value may be a credential: only its type is named.
                let got = if let OptionValue::Other(kind) = value { kind } else { "another type" };
                return Err(OptionError::Invalid {
                    option: option.to_owned(),
                    got: got.to_owned(),
                    expected: "a text".to_owned(),
                });
            }
            "onEvent" => return Err(invalid(option, value, "a function")),
            _ => return Err(OptionError::Unknown { option: shortened(option), known: CACHE_OPTIONS }),
        }
        Ok(())
    }

    /// All have been taken.
    ///
    /// # Errors
    /// What is missing among them.
    pub fn complete(&mut self) -> Result<(), OptionError> {
        let L1Options { ttl, max_bytes, values } = self.l1;
        self.config.l1 = match (ttl, max_bytes) {
            (Some(ttl), Some(max_bytes)) => {
                Some(L1Config { ttl, max_bytes, values: values.unwrap_or_default() })
            }
            (None, None) if values.is_none() => None,
            _ => {
                let missing = if ttl.is_none() { "no ttl" } else { "no maxBytes" };
                return Err(invalid("l1", OptionValue::Other(missing), "given with both ttl and maxBytes"));
            }
        };
        Ok(())
    }

    /// Whether somebody listens to events.
    pub fn observe(&mut self, observed: bool) {
        self.config.observed = observed;
    }

    /// What the options amount to.
    #[must_use]
    pub fn finish(self) -> CacheConfig {
        self.config
    }
}

/// Which call an option is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// A read.
    Read,
    /// A read of many keys.
    Many,
    /// A `set`.
    Set,
    /// A `mutate`.
    Mutate,
}

impl CallKind {
    const fn known(self) -> &'static str {
        match self {
            Self::Read => READ_OPTIONS,
            Self::Many => MANY_OPTIONS,
            Self::Set => SET_OPTIONS,
            Self::Mutate => MUTATE_OPTIONS,
        }
    }
}

/// Checks one option of a call that is a duration, which it gives in milliseconds, or a number. The others have no value for
/// this: what comes here is of a wrong type.
///
/// # Errors
/// What is wrong with it.
pub fn call_option(call: CallKind, option: &str, value: OptionValue<'_>) -> Result<f64, OptionError> {
    match (call, option) {
        (CallKind::Read | CallKind::Many | CallKind::Set, "jitter") => {
            ratio(option, value, JITTER).map(Ratio::get)
        }
        (CallKind::Read, "earlyRefresh") => ratio(option, value, EARLY_REFRESH).map(Ratio::get),
        #[allow(clippy::cast_precision_loss, reason = "at most 30 days")]
        _ => call_span(call, option, value).map(|span| span.get() as f64),
    }
}

fn call_span(call: CallKind, option: &str, value: OptionValue<'_>) -> Result<Millis, OptionError> {
    match (call, option) {
        (CallKind::Read | CallKind::Many | CallKind::Set, "ttl") => span(option, value, TTL),
        (CallKind::Read | CallKind::Many | CallKind::Set, "swr" | "staleIfError") => {
            span(option, value, STALE)
        }
        (CallKind::Read | CallKind::Many, "negativeTtl") => span(option, value, STALE),
        (CallKind::Read, "leaseWait") => span(option, value, LEASE_WAIT),
        (CallKind::Read | CallKind::Many, "timeout.read") => span(option, value, WAIT),
        (CallKind::Read | CallKind::Many, "timeout.soft" | "timeout.hard") => span(option, value, CALLBACK),
        (CallKind::Read | CallKind::Many, "timeout") => {
            Err(invalid(option, value, "an object with read, soft, hard"))
        }
        (CallKind::Mutate, "timeout") => span(option, value, MUTATE),
        (CallKind::Read | CallKind::Set, "tags") => Err(invalid(option, value, "a list of texts")),
        (CallKind::Read | CallKind::Many, "l1") => Err(invalid(option, value, "true or false")),
        (CallKind::Many, "tags") => {
            Err(invalid(option, value, "a list of texts, or a function that gives one"))
        }
        (CallKind::Read | CallKind::Many, "signal") => Err(invalid(option, value, "an AbortSignal")),
        (CallKind::Read | CallKind::Many, "forceFresh") => Err(invalid(option, value, "true or false")),
        (CallKind::Read | CallKind::Many, "freshness") => Err(invalid(option, value, "\"strict\"")),
        (CallKind::Read | CallKind::Many, "schema") => {
            Err(invalid(option, value, "a Standard Schema, version 1"))
        }
        _ => Err(OptionError::Unknown { option: shortened(option), known: call.known() }),
    }
}

fn invalid(option: &str, got: OptionValue<'_>, expected: &str) -> OptionError {
    OptionError::Invalid { option: option.to_owned(), got: got.to_string(), expected: expected.to_owned() }
}

/// What a user wrote, fit for a message. By hand, since `Debug` for texts brings tables of all of Unicode.
fn shortened(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_ascii_control() { '?' } else { c }).collect()
}

fn span(option: &str, value: OptionValue<'_>, (min, max): (Millis, Millis)) -> Result<Millis, OptionError> {
    let parsed = match value {
        OptionValue::Number(ms, _) => duration::from_number(ms),
        OptionValue::Text(text) => duration::from_text(text),
        OptionValue::Bool(_) | OptionValue::Other(_) => None,
    };
    parsed.filter(|span| (min..=max).contains(span)).ok_or_else(|| {
        let (min, max) = (readable(min), readable(max));
        invalid(
            option,
            value,
            &format!(
                "a duration from {min} to {max}, as a whole number of milliseconds or a text like \"5m\""
            ),
        )
    })
}

fn whole(option: &str, value: OptionValue<'_>, (min, max): (u32, u32)) -> Result<u32, OptionError> {
    // Durations are whole numbers, too.
    let parsed = match value {
        OptionValue::Number(n, _) => duration::from_number(n).and_then(|n| u32::try_from(n.get()).ok()),
        _ => None,
    };
    parsed
        .filter(|n| (min..=max).contains(n))
        .ok_or_else(|| invalid(option, value, &format!("a whole number from {min} to {max}")))
}

fn ratio(option: &str, value: OptionValue<'_>, (max, range): Range) -> Result<Ratio, OptionError> {
    let parsed = match value {
        OptionValue::Number(number, _) if number <= max => Ratio::from_number(number),
        _ => None,
    };
    parsed.ok_or_else(|| invalid(option, value, range))
}

fn l1_bytes(option: &str, value: OptionValue<'_>) -> Result<u64, OptionError> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates: out of range, then"
    )]
    let whole = match value {
        OptionValue::Number(number, _) if number.fract() == 0.0 => Some(number as u64),
        _ => None,
    };
    whole.filter(|bytes| L1_BYTES.contains(bytes)).ok_or_else(|| {
        let expected = format!("a whole number of bytes from {} to {}", L1_BYTES.start(), L1_BYTES.end());
        invalid(option, value, &expected)
    })
}

fn readable(span: Millis) -> String {
    let ms = span.get();
    match ms {
        _ if ms >= DAY && ms.is_multiple_of(DAY) => format!("{} days", ms / DAY),
        _ if ms >= 60_000 && ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ if ms >= 1000 && ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        _ => format!("{ms} ms"),
    }
}

/// A whole number of bytes within `BYTES`; `or`: what else is allowed.
fn bytes(option: &str, value: OptionValue<'_>, or: &str) -> Result<usize, OptionError> {
    let (min, max) = BYTES;
    let taken = match value {
        OptionValue::Number(_, text) => text.parse().ok().filter(|n| (min..=max).contains(n)),
        _ => None,
    };
    taken.ok_or_else(|| invalid(option, value, &format!("{or}a whole number of bytes from {min} to {max}")))
}

fn text(option: &str, value: OptionValue<'_>, min: usize, max: usize) -> Result<String, OptionError> {
    match value {
        OptionValue::Text(text)
            if (min..=max).contains(&text.chars().count())
                && text.chars().all(|c| !c.is_control() && !c.is_whitespace()) =>
        {
            Ok(text.to_owned())
        }
        got => Err(invalid(option, got, &format!("a text of {min} to {max} characters without white space"))),
    }
}

#[cfg(test)]
mod tests;
