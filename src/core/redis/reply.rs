//! Replies to a pipeline, read strictly: `[{"result": ...} | {"error": "..."}, ...]`, one for each command.
//!
//! A text is kept as its place in the body, since values are decoded by the host and never enter the core. Servers may give
//! texts in base64 (`Upstash-Encoding`), and differ in whether a status like OK is encoded too; so a reply of the read script
//! begins with a marker that shows which it is, and an acknowledgement is accepted in both forms.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hifijson::num::LexWrite as _;
use hifijson::str::{Lex as _, LexAlloc as _};
use hifijson::token::Lex as _;
use hifijson::{Expect, Read as _, SliceLexer};

/// Arrays of the commands used here are two deep at most.
const MAX_DEPTH: usize = 4;
/// A reply to one of them has some ten items. Each takes many times the memory of its text.
const MAX_ITEMS: usize = 64;

/// A reply to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// null.
    Null,
    /// An integer.
    Integer(i64),
    /// A text, by the place of its JSON literal in the body, quotes included.
    Text(Range<usize>),
    /// An array.
    Array(Vec<Reply>),
    /// The command failed.
    Error(CommandError),
    /// Of a command whose reply is not read here: any JSON value, by its place.
    Opaque(Range<usize>),
    /// Of such a command: it failed, and the place of the message's literal.
    Message(CommandError, Range<usize>),
}

/// How a command failed, by the word that Redis' message begins with. The message itself is not kept: it may repeat what
/// was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// The server does not know the script by its hash.
    NoScript,
    /// Not allowed for these credentials.
    Refused,
    /// A replica, as during a failover: another try may find the primary.
    ReadOnly,
    /// Out of memory.
    OutOfMemory,
    /// Loading its data, or without its primary, or shutting down: as good as down.
    Unavailable,
    /// A plan's limit is reached: as good as down.
    Quota,
    /// The credentials are not accepted.
    Auth,
    /// The server does not take a word at the top of a script.
    ScriptFlag,
    /// A script's keys lie on several nodes of a cluster.
    CrossSlot,
    /// The key holds something else.
    WrongType,
    /// Anything else.
    Other,
}

impl CommandError {
    /// What kind of failure a message tells.
    #[must_use]
    pub fn of(message: &str) -> Self {
        let message = message.trim_start_matches('-').trim_start();
        let word = message.split([' ', ':']).next().unwrap_or("");
        match word {
            "NOSCRIPT" => Self::NoScript,
            "NOPERM" => Self::Refused,
            "READONLY" => Self::ReadOnly,
            "OOM" => Self::OutOfMemory,
            "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY" | "MISCONF" | "NOREPLICAS" => {
                Self::Unavailable
            }
            "NOAUTH" | "WRONGPASS" | "Unauthorized" => Self::Auth,
            "WRONGTYPE" => Self::WrongType,
            "CROSSSLOT" => Self::CrossSlot,
            _ if message.contains("shebang") => Self::ScriptFlag,
            _ if message.contains("NOSCRIPT") => Self::NoScript,
            _ if message.contains("max daily request")
                || message.contains("max requests limit")
                || message.contains("quota") =>
            {
                Self::Quota
            }
            _ if message.contains("OOM command not allowed") => Self::OutOfMemory,
            // Redis 6 puts its own words before those of a command that fails in a script.
            _ if message.contains("no permissions") || message.contains("can't run this command") => {
                Self::Refused
            }
            _ if message.contains("READONLY") => Self::ReadOnly,
            _ if message.contains("WRONGTYPE") => Self::WrongType,
            _ => Self::Other,
        }
    }

    /// A short name for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoScript => "NOSCRIPT",
            Self::Refused => "not permitted",
            Self::ReadOnly => "read only replica",
            Self::OutOfMemory => "out of memory",
            Self::Unavailable => "unavailable",
            Self::Quota => "quota reached",
            Self::Auth => "not authorized",
            Self::ScriptFlag => "script flag not known",
            Self::CrossSlot => "keys on several nodes of a cluster: put the prefix in braces, as in {shop}",
            Self::WrongType => "wrong type",
            Self::Other => "command failed",
        }
    }
}

/// Why a body is not a pipeline's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// Not JSON, or JSON of another shape.
    Syntax(&'static str),
    /// Replies missing or too many.
    Count { expected: usize, got: usize },
    /// The whole request failed: `{"error": "..."}` in place of the array.
    Rejected(CommandError),
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(expected) => write!(f, "malformed reply: expected {expected}"),
            Self::Count { expected, got } => {
                write!(f, "malformed reply: expected {expected} replies, got {got}")
            }
            Self::Rejected(error) => write!(f, "the request was rejected: {}", error.name()),
        }
    }
}

impl core::error::Error for ReplyError {}

impl From<Expect> for ReplyError {
    fn from(expect: Expect) -> Self {
        Self::Syntax(match expect {
            Expect::Value => "a value",
            Expect::ValueOrEnd => "a value or the end of a list",
            Expect::CommaOrEnd => "a comma or the end of a list",
            Expect::String => "a text",
            Expect::Colon => "a colon",
            Expect::Eof => "the end",
        })
    }
}

/// Reads the reply to a pipeline of `expected` commands.
///
/// # Errors
/// When it is anything else. Nothing of it is used then.
pub fn parse(body: &[u8], expected: usize) -> Result<Vec<Reply>, ReplyError> {
    parse_with(body, expected, |_| false)
}

/// The same, where the replies to some commands are not to be read: `opaque` tells which.
///
/// # Errors
/// As `parse`.
pub fn parse_with(
    body: &[u8],
    expected: usize,
    opaque: impl Fn(usize) -> bool,
) -> Result<Vec<Reply>, ReplyError> {
    let mut lexer = SliceLexer::new(body);
    let replies = lexer.exactly_one(SliceLexer::ws_peek, |next, lexer| match next {
        b'[' => {
            let mut replies = Vec::with_capacity(expected);
            lexer.discarded().seq(b']', SliceLexer::ws_peek, |next, lexer| {
                if replies.len() >= expected {
                    return Err(ReplyError::Count { expected, got: replies.len() + 1 });
                }
                replies.push(slot(body, next, lexer, opaque(replies.len()))?);
                Ok(())
            })?;
            Ok(replies)
        }
        b'{' => match slot(body, next, lexer, false)? {
            Reply::Error(error) => Err(ReplyError::Rejected(error)),
            _ => Err(ReplyError::Syntax("an array of replies")),
        },
        _ => Err(ReplyError::Syntax("an array of replies")),
    })?;
    if replies.len() < expected {
        return Err(ReplyError::Count { expected, got: replies.len() });
    }
    Ok(replies)
}

/// The error of a body that came with a status of failure, if it says one.
#[must_use]
pub fn error_of(body: &[u8]) -> Option<CommandError> {
    match parse(body, 0) {
        Err(ReplyError::Rejected(error)) => Some(error),
        _ => None,
    }
}

fn slot(body: &[u8], next: u8, lexer: &mut SliceLexer<'_>, opaque: bool) -> Result<Reply, ReplyError> {
    const SHAPE: ReplyError = ReplyError::Syntax("{\"result\": ...} or {\"error\": \"...\"}");
    if next != b'{' {
        return Err(SHAPE);
    }
    let mut reply = None;
    lexer.discarded().seq(b'}', SliceLexer::ws_peek, |next, lexer| {
        if next != b'"' || reply.is_some() {
            return Err(SHAPE);
        }
        let name = lexer.discarded().str_string().map_err(|_| SHAPE)?;
        lexer.expect(SliceLexer::ws_peek, b':').ok_or(SHAPE)?;
        let next = lexer.ws_peek().ok_or(SHAPE)?;
        reply = Some(match (name.as_ref(), next) {
            ("result", next) if opaque => Reply::Opaque(skip(body, next, lexer)?),
            ("result", next) => value(body, next, lexer, 0, &mut 0)?,
            ("error", b'"') => {
                let start = body.len() - lexer.as_slice().len();
                let message = lexer.discarded().str_string().map_err(|_| ReplyError::Syntax("a text"))?;
                let error = CommandError::of(&message);
                if opaque {
                    Reply::Message(error, start..body.len() - lexer.as_slice().len())
                } else {
                    Reply::Error(error)
                }
            }
            _ => return Err(SHAPE),
        });
        Ok(())
    })?;
    reply.ok_or(SHAPE)
}

/// `items`: how many there were so far, in all arrays of this reply.
fn value(
    body: &[u8],
    next: u8,
    lexer: &mut SliceLexer<'_>,
    depth: usize,
    items: &mut usize,
) -> Result<Reply, ReplyError> {
    match next {
        b'n' => match lexer.null_or_bool() {
            Some(None) => Ok(Reply::Null),
            _ => Err(ReplyError::Syntax("null")),
        },
        b'0'..=b'9' | b'-' => {
            let (digits, parts) =
                lexer.num_string().validated().map_err(|_| ReplyError::Syntax("an integer"))?;
            let int = !parts.dot && !parts.exp && !lexer.peek_next().is_some_and(|c| c.is_ascii_digit());
            digits.parse().ok().filter(|_| int).map(Reply::Integer).ok_or(ReplyError::Syntax("an integer"))
        }
        b'"' => {
            let start = body.len() - lexer.as_slice().len();
            lexer.discarded().str_ignore().map_err(|_| ReplyError::Syntax("a text"))?;
            Ok(Reply::Text(start..body.len() - lexer.as_slice().len()))
        }
        b'[' if depth < MAX_DEPTH => {
            let mut array = Vec::new();
            lexer.discarded().seq(b']', SliceLexer::ws_peek, |next, lexer| {
                *items += 1;
                if *items > MAX_ITEMS {
                    return Err(ReplyError::Syntax("an array of a few items"));
                }
                array.push(value(body, next, lexer, depth + 1, items)?);
                Ok(())
            })?;
            Ok(Reply::Array(array))
        }
        _ => Err(ReplyError::Syntax("null, an integer, a text or an array")),
    }
}

/// Passes over any value: as far as its brackets and texts tell, since whoever reads it checks the rest. Without recursion:
/// it may be nested as deep as the body is long.
fn skip(body: &[u8], next: u8, lexer: &mut SliceLexer<'_>) -> Result<Range<usize>, ReplyError> {
    const VALUE: ReplyError = ReplyError::Syntax("a value");
    let place = |lexer: &SliceLexer<'_>| body.len() - lexer.as_slice().len();
    let start = place(lexer);
    let (mut depth, mut next) = (0_usize, next);
    loop {
        match next {
            b'"' => lexer.discarded().str_ignore().map_err(|_| VALUE)?,
            b'[' | b'{' => {
                depth += 1;
                lexer.take_next();
            }
            b']' | b'}' if depth > 0 => {
                depth -= 1;
                lexer.take_next();
            }
            b',' | b':' if depth > 0 => {
                lexer.take_next();
            }
            b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E' => {
                while lexer
                    .peek_next()
                    .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))
                {
                    lexer.take_next();
                }
            }
            _ => return Err(VALUE),
        }
        if depth == 0 {
            return Ok(start..place(lexer));
        }
        next = lexer.ws_peek().ok_or(VALUE)?;
    }
}

/// How a server gives texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Plain,
    /// In base64.
    Base64,
}

/// The text at `place`, unescaped and decoded; `None` if it is not UTF-8.
#[must_use]
pub fn text<'a>(body: &'a [u8], place: &Range<usize>, encoding: Encoding) -> Option<Cow<'a, str>> {
    let plain = SliceLexer::new(body.get(place.clone())?).discarded().str_string().ok()?;
    match encoding {
        Encoding::Plain => Some(plain),
        Encoding::Base64 => String::from_utf8(STANDARD.decode(plain.as_bytes()).ok()?).ok().map(Cow::Owned),
    }
}

/// Whether a reply says OK, as a status or encoded like any text.
#[must_use]
pub fn is_ok(body: &[u8], reply: &Reply) -> bool {
    says(body, reply, "OK").is_some()
}

/// A generation, whichever way the server gives texts: it is told by the "@" that base64 does not have.
#[must_use]
pub fn generation(body: &[u8], reply: &Reply) -> Option<String> {
    let Reply::Text(place) = reply else { return None };
    let mut texts = [Encoding::Plain, Encoding::Base64].into_iter().filter_map(|e| text(body, place, e));
    texts.find(|text| text.contains('@')).map(Cow::into_owned)
}

/// Whether a reply is exactly this text, and in which encoding.
#[must_use]
pub fn says(body: &[u8], reply: &Reply, expected: &str) -> Option<Encoding> {
    let Reply::Text(place) = reply else { return None };
    [Encoding::Plain, Encoding::Base64]
        .into_iter()
        .find(|e| text(body, place, *e).is_some_and(|t| t == expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;
    use proptest::prelude::*;

    fn texts(body: &str) -> Vec<Option<String>> {
        parse(body.as_bytes(), 1)
            .expect("well-formed")
            .iter()
            .map(|r| match r {
                Reply::Text(place) => text(body.as_bytes(), place, Encoding::Plain).map(Cow::into_owned),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        let body = br#" [ {"result":null}, {"result":-7} ,{"result":["a",[1]]},{"error":"WRONGTYPE x"}, {"result":"b\n"}] "#;
        let replies = parse(body, 5).expect("well-formed");
        assert_eq!(replies[0], Reply::Null);
        assert_eq!(replies[1], Reply::Integer(-7));
        assert!(
            matches!(&replies[2], Reply::Array(items) if items[1] == Reply::Array(vec![Reply::Integer(1)]))
        );
        assert_eq!(replies[3], Reply::Error(CommandError::WrongType));
        assert_eq!(texts(r#"[{"result":"b\né\ud83d\ude00"}]"#), [Some(String::from("b\né😀"))]);
    }

    #[test]
    fn integers_keep_all_64_bits() {
        for (digits, value) in
            [("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN), ("0", 0)]
        {
            let body = format!("[{{\"result\":{digits}}}]");
            assert_eq!(parse(body.as_bytes(), 1), Ok(vec![Reply::Integer(value)]));
        }
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for body in [
            "",
            " ",
            "null",
            "1",
            "\"OK\"",
            "<html>",
            "{}",
            "[",
            "[]",
            "[1]",
            "[{}]",
            "[{\"result\":1}",
            "[{\"result\":1},]",
            "[{\"result\":1}]x",
            "[{\"result\":1}{\"result\":1}]",
            "[{\"result\":1.5}]",
            "[{\"result\":1e3}]",
            "[{\"result\":01}]",
            "[{\"result\":9223372036854775808}]",
            "[{\"result\":true}]",
            "[{\"result\":{}}]",
            "[{\"result\":\"a}]",
            "[{\"result\":\"\\x\"}]",
            "[{\"result\":1,\"error\":\"x\"}]",
            "[{\"error\":1}]",
            "[{\"other\":1}]",
            "[{\"result\":[[[[[[1]]]]]]}]",
            "{\"result\":1}",
            "[{\"result\":1},{\"result\":2}]",
        ] {
            assert!(parse(body.as_bytes(), 1).is_err(), "{body}");
        }
        assert!(
            parse(b"[{\"result\":\"\xff\"}]", 1).is_ok(),
            "a text that is not UTF-8 is refused where it is read"
        );
        assert_eq!(text(b"\"\xff\"", &(0..3), Encoding::Plain), None);
    }

    #[test]
    fn what_would_take_many_times_its_bytes_is_refused() {
        let array = |items: usize| std::format!("[{{\"result\":[{}]}}]", std::vec!["[]"; items].join(","));
        assert!(parse(array(MAX_ITEMS).as_bytes(), 1).is_ok());
        assert!(parse(array(MAX_ITEMS + 1).as_bytes(), 1).is_err());
        let nested = "[{\"result\":[[1,2],[".to_owned() + &"3,".repeat(MAX_ITEMS) + "4]]}]";
        assert!(parse(nested.as_bytes(), 1).is_err(), "in all of its arrays");
        assert!(parse_with(array(100_000).as_bytes(), 1, |_| true).is_ok(), "nobody reads it");
    }

    #[test]
    fn a_rejected_request_says_why() {
        for (body, error) in [
            (r#"{"error":"WRONGPASS invalid password"}"#, CommandError::Auth),
            (r#"{"error":"ERR max daily request limit exceeded. Limit: 10"}"#, CommandError::Quota),
            (r#"{"error":"LOADING Redis is loading"}"#, CommandError::Unavailable),
            (
                r#"{"error":"NOPERM this user has no permissions to run the 'evalsha' command"}"#,
                CommandError::Refused,
            ),
            (r#"{"error":"whatever"}"#, CommandError::Other),
        ] {
            assert_eq!(parse(body.as_bytes(), 3), Err(ReplyError::Rejected(error)));
            assert_eq!(error_of(body.as_bytes()), Some(error));
        }
        assert_eq!(error_of(b"<html>"), None);
    }

    #[test]
    fn an_acknowledgement_is_accepted_plain_and_in_base64() {
        let ok = |body: &str| is_ok(body.as_bytes(), &parse(body.as_bytes(), 1).expect("well-formed")[0]);
        assert!(ok(r#"[{"result":"OK"}]"#));
        assert!(ok(r#"[{"result":"T0s="}]"#));
        assert!(!ok(r#"[{"result":"overtaken"}]"#));
        assert!(!ok(r#"[{"result":null}]"#));
    }

    #[test]
    fn a_message_repeats_nothing_of_the_body() {
        let error = parse(br#"[{"planted-secret":"planted-secret"}]"#, 1).expect_err("wrong shape");
        assert!(!format!("{error} {error:?}").contains("planted"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(body: Vec<u8>, expected in 0_usize..4) {
            let _ = parse(&body, expected);
        }

        #[test]
        fn parsing_nearly_right_bodies_never_panics(body in "[\\[\\]{}\":,0-9a-z\\\\ -]{0,60}", expected in 0_usize..4) {
            if let Ok(replies) = parse(body.as_bytes(), expected) {
                prop_assert_eq!(replies.len(), expected);
            }
        }
    }
}
