//! What a read found in Redis: the read script's reply, or the same put together from plain commands.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::malformed;
use crate::core::entry::{Header, MAX_HEADER, Stamp, stamps};
use crate::core::error::Failure;
use crate::core::redis::reply::{self, Encoding, Reply};
use crate::core::redis::script::MARKER;
use crate::core::time::Millis;

/// A text of a reply that is longer holds nothing that this code has written, whichever way it is encoded.
const MAX_TEXT: usize = 2 * MAX_HEADER;
/// A list of marks that is longer is none, nor is a mark that ends later than so many ms from now: the scripts know both, too.
const MAX_MARKS: usize = 16 << 10;
const MAX_MARK: u64 = 600_000;

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A valid entry, fresh.
    Fresh,
    /// A valid entry, stale.
    Stale,
    /// None.
    Miss,
    /// A mutate is running.
    Marked,
    /// An entry with tags that the read did not name.
    Tags,
    /// One that the script takes for valid, and this code cannot read.
    Spoiled,
}

impl State {
    fn of(name: &str) -> Option<Self> {
        match name {
            "fresh" => Some(Self::Fresh),
            "stale" => Some(Self::Stale),
            "miss" => Some(Self::Miss),
            "marked" => Some(Self::Marked),
            "tags" => Some(Self::Tags),
            _ => None,
        }
    }
}

/// Who judged what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The read script.
    Script,
    /// This code, from plain commands, which may come from a replica.
    Plain,
}

/// What a read found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: Source,
    pub(super) encoding: Encoding,
    /// By Redis' clock.
    pub(super) now: u64,
    pub(super) state: State,
    /// What a fill must name, for each hash that the read named; empty where nothing can be stored.
    pub(super) stamps: Vec<Stamp>,
    /// How long another one has the lease.
    pub(super) lease: Millis,
    pub(super) header: Option<Header>,
    /// Where the body is.
    pub(super) place: Option<Range<usize>>,
}

impl Found {
    /// Reads a reply of the read script that named `count` hashes. An entry that is not as this version writes it is none.
    ///
    /// # Errors
    /// When it is not such a reply.
    pub(super) fn read(reply: &Reply, body: &[u8], count: usize) -> Result<Self, Failure> {
        let wrong = || malformed("expected the read script's reply, got something else");
        let Reply::Array(items) = reply else { return Err(wrong()) };
        let [
            marker,
            Reply::Integer(now),
            Reply::Text(state),
            Reply::Text(made),
            Reply::Integer(lease),
            rest @ ..,
        ] = items.as_slice()
        else {
            return Err(wrong());
        };
        let encoding = reply::says(body, marker, MARKER).ok_or_else(wrong)?;
        let word = |place: &Range<usize>| {
            if place.len() > MAX_TEXT { None } else { reply::text(body, place, encoding) }
        };
        let state = word(state).and_then(|state| State::of(&state)).ok_or_else(wrong)?;
        let made = word(made).ok_or_else(wrong)?;
        let stamps = if made.is_empty() { Vec::new() } else { stamps(&made, count).ok_or_else(wrong)? };
        let (header, place) = match rest {
            [Reply::Text(header)] => (word(header).and_then(|header| Header::parse(&header)), None),
            [Reply::Text(header), Reply::Text(place)] => {
                (word(header).and_then(|header| Header::parse(&header)), Some(place.clone()))
            }
            _ => (None, None),
        };
        let mut found = Self {
            source: Source::Script,
            encoding,
            now: u64::try_from(*now).map_err(|_| wrong())?,
            state,
            stamps,
            lease: Millis::new(u64::try_from(*lease).unwrap_or(0)),
            header,
            place,
        };
        let unreadable = match state {
            State::Fresh | State::Stale => found.header.is_none() || found.place.is_none(),
            State::Tags => found.header.is_none(),
            State::Miss | State::Marked | State::Spoiled => false,
        };
        if unreadable {
            found.state = State::Spoiled;
        }
        Ok(found)
    }

    /// Judges the replies to TIME and to one HMGET for each hash: `g x m h:<build> b:<build>` of the entry, `v x m` of the
    /// others, of which `namespaces` are namespaces and the next `required` are tags that the entry must carry.
    ///
    /// # Errors
    /// When they are not such replies.
    pub(super) fn judge(
        replies: &[Reply],
        body: &[u8],
        names: &[&str],
        namespaces: usize,
        required: usize,
    ) -> Result<Self, Failure> {
        let wrong = || malformed("expected the replies to plain reads, got something else");
        let [Reply::Array(time), hashes @ ..] = replies else { return Err(wrong()) };
        let [Reply::Text(seconds), Reply::Text(micros)] = time.as_slice() else { return Err(wrong()) };
        let (encoding, seconds) = [Encoding::Plain, Encoding::Base64]
            .into_iter()
            .find_map(|encoding| {
                let text = reply::text(body, seconds, encoding)?;
                Some((encoding, text.parse::<u64>().ok()?))
            })
            .ok_or_else(wrong)?;
        let micros: u64 =
            reply::text(body, micros, encoding).and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
        let now = seconds.saturating_mul(1000).saturating_add(micros / 1000);
        let mut rows: Vec<Vec<Option<String>>> = Vec::new();
        let mut place = None;
        for (index, reply) in hashes.iter().enumerate() {
            let Reply::Array(fields) = reply else { return Err(wrong()) };
            if index == 0
                && let Some(Reply::Text(at)) = fields.get(4)
            {
                place = Some(at.clone());
            }
            let text = |reply: &Reply| match reply {
                Reply::Text(at) if at.len() <= MAX_TEXT => {
                    reply::text(body, at, encoding).map(|text| text.into_owned())
                }
                _ => None,
            };
            rows.push(fields.iter().take(4).map(text).collect());
        }
        let field = |row: usize, field: usize| rows.get(row)?.get(field)?.as_deref();
        let marked = (0..rows.len()).any(|row| field(row, 2).is_some_and(|marks| is_alive(marks, now)));
        let header = field(0, 3).and_then(Header::parse).filter(|_| !marked && place.is_some());
        let mut state = State::Miss;
        if let Some(header) = &header {
            let same = |row: usize, stamp: &Stamp| field(row, 0) == Some(stamp.version.as_str());
            let soft = |row: usize, stamp: &Stamp| field(row, 1) == Some(stamp.soft.as_str());
            let own = header.stamps.len() == namespaces + 1;
            let mut valid = own && header.stamps.iter().enumerate().all(|(row, stamp)| same(row, stamp));
            let mut fresh = header.stamps.iter().enumerate().all(|(row, stamp)| soft(row, stamp));
            let mut unnamed = false;
            for (name, stamp) in &header.tags {
                match names.iter().position(|known| known == name) {
                    Some(at) => {
                        valid &= same(1 + namespaces + at, stamp);
                        fresh &= soft(1 + namespaces + at, stamp);
                    }
                    None => unnamed = true,
                }
            }
            let carried = |name: &&str| header.tags.iter().any(|(tag, _)| tag == name);
            valid &= names.iter().take(required).all(carried);
            let age = now.abs_diff(header.stored);
            let ttl = header.ttl.get();
            let kept = ttl.saturating_add(header.swr.max(header.stale_if_error).get());
            state = match valid {
                true if unnamed => State::Tags,
                true if fresh && age < ttl => State::Fresh,
                true if age < kept => State::Stale,
                _ => State::Miss,
            };
        }
        if marked {
            state = State::Marked;
        }
        let header = header.filter(|_| matches!(state, State::Fresh | State::Stale | State::Tags));
        let stamps = Vec::new();
        Ok(Self { source: Source::Plain, encoding, now, state, stamps, lease: Millis::ZERO, header, place })
    }
}

/// Whether one of the marks lives: `<token> <until> ...`.
fn is_alive(marks: &str, now: u64) -> bool {
    let lives = |till: &str| till.parse().is_ok_and(|till: u64| till > now && till - now <= MAX_MARK);
    marks.len() <= MAX_MARKS && marks.split(' ').skip(1).step_by(2).any(lives)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn plain(entry: &str, tag: &str, required: usize, names: &[&str]) -> State {
        let body = format!(
            r#"[{{"result":["5","250000"]}},{{"result":{entry}}},{{"result":["n","nx",null]}},{{"result":{tag}}}]"#
        );
        let replies = reply::parse(body.as_bytes(), 4).expect("well-formed");
        Found::judge(&replies, body.as_bytes(), names, 1, required).expect("replies to plain reads").state
    }

    #[test]
    fn plain_replies_are_judged_as_the_script_would() {
        let entry = r#"["g","x",null,"2 g x 5000 300 100 0 j 1 1 - n nx a v vx","1"]"#;
        let tag = r#"["v","vx",null]"#;
        assert_eq!(plain(entry, tag, 1, &["a"]), State::Fresh);
        assert_eq!(plain(entry, tag, 1, &["b"]), State::Miss, "it does not carry b");
        assert_eq!(plain(entry, tag, 0, &["b"]), State::Tags);
        assert_eq!(plain(entry, tag, 0, &["a"]), State::Fresh);
        assert_eq!(plain(entry, r#"["w","vx",null]"#, 1, &["a"]), State::Miss);
        assert_eq!(plain(entry, r#"[null,null,null]"#, 1, &["a"]), State::Miss);
        assert_eq!(plain(entry, r#"["v","new",null]"#, 1, &["a"]), State::Stale);
        assert_eq!(plain(entry, r#"["v","vx","t 5251"]"#, 1, &["a"]), State::Marked);
        assert_eq!(plain(entry, r#"["v","vx","t 5250"]"#, 1, &["a"]), State::Fresh);
        assert_eq!(plain(entry, r#"["v","vx","t 605250"]"#, 1, &["a"]), State::Marked);
        assert_eq!(plain(entry, r#"["v","vx","t 605251"]"#, 1, &["a"]), State::Fresh, "forged");
        let old = r#"["g","x",null,"2 g x 4900 300 100 0 j 1 1 - n nx a v vx","1"]"#;
        assert_eq!(plain(old, tag, 1, &["a"]), State::Stale);
        let other = r#"["h","x",null,"2 g x 5000 300 100 0 j 1 1 - n nx a v vx","1"]"#;
        assert_eq!(plain(other, tag, 1, &["a"]), State::Miss);
        assert_eq!(plain(r#"[null,null,null,null,null]"#, tag, 1, &["a"]), State::Miss);
    }

    #[test]
    fn a_reply_of_the_script_names_all_that_a_fill_must() {
        let read = |body: &str, count| {
            let body = format!("[{{\"result\":{body}}}]");
            let replies = reply::parse(body.as_bytes(), 1).expect("well-formed");
            Found::read(&replies[0], body.as_bytes(), count)
        };
        let found = read(r#"["lw2",7,"miss","g x n y",3]"#, 2).expect("a miss");
        assert_eq!((found.state, found.stamps.len(), found.lease), (State::Miss, 2, Millis::new(3)));
        assert!(read(r#"["lw2",7,"miss","g x n",3]"#, 2).is_err());
        assert!(read(r#"["lw2",7,"miss","g x n y",3]"#, 3).is_err());
        assert!(read(r#"["lw1",7,"miss","g x",3]"#, 1).is_err());
        assert!(read(r#"["lw2",7,"else","g x",3]"#, 1).is_err());
        let found = read(r#"["lw2",7,"fresh","",0,"garbage","1"]"#, 1).expect("an entry of another version");
        assert_eq!(found.state, State::Spoiled);
    }
}
