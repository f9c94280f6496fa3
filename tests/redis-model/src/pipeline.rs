//! The body of a request to `/pipeline`, and that of its answer, as Upstash has them.

use std::borrow::Cow;
use std::fmt::Write as _;

use hifijson::num::LexWrite as _;
use hifijson::str::LexAlloc as _;
use hifijson::token::Lex as _;
use hifijson::{Expect, SliceLexer};

use crate::reply::Reply;

/// A word of a command; what needs no unescaping is borrowed from the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<'a>(Cow<'a, str>);

impl core::ops::Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<[u8]> for Word<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Why a request is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not an array of arrays of texts and numbers.
    Malformed,
    /// No commands.
    Empty,
    /// A command without words.
    EmptyCommand,
}

impl From<Expect> for Refusal {
    fn from(_: Expect) -> Self {
        Self::Malformed
    }
}

/// Reads the commands of a request: a simulation that does something between them gives them to
/// [`execute`](crate::Model::execute) itself.
///
/// # Errors
/// When the server would do none of them.
pub fn parse(body: &str) -> Result<Vec<Vec<Word<'_>>>, Refusal> {
    let mut lexer = SliceLexer::new(body.as_bytes());
    let commands = lexer.exactly_one(SliceLexer::ws_peek, |next, lexer| {
        let mut commands = Vec::new();
        list(next, lexer, |next, lexer| {
            let mut words = Vec::with_capacity(24);
            list(next, lexer, |next, lexer| {
                words.push(Word(word(next, lexer)?));
                Ok(())
            })?;
            if words.is_empty() {
                return Err(Refusal::EmptyCommand);
            }
            commands.push(words);
            Ok(())
        })?;
        Ok::<_, Refusal>(commands)
    })?;
    if commands.is_empty() {
        return Err(Refusal::Empty);
    }
    Ok(commands)
}

fn list<'a>(
    next: u8,
    lexer: &mut SliceLexer<'a>,
    item: impl FnMut(u8, &mut SliceLexer<'a>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if next != b'[' {
        return Err(Refusal::Malformed);
    }
    lexer.discarded().seq(b']', SliceLexer::ws_peek, item)
}

/// Numbers and truth values are given to Redis as they are written.
fn word<'a>(next: u8, lexer: &mut SliceLexer<'a>) -> Result<Cow<'a, str>, Refusal> {
    match next {
        b'"' => lexer.discarded().str_string().map_err(|_| Refusal::Malformed),
        b'0'..=b'9' | b'-' => {
            let (digits, _) = lexer.num_string().validated().map_err(|_| Refusal::Malformed)?;
            Ok(Cow::Borrowed(digits))
        }
        b't' | b'f' => match lexer.null_or_bool() {
            Some(Some(truth)) => Ok(Cow::Borrowed(if truth { "true" } else { "false" })),
            _ => Err(Refusal::Malformed),
        },
        _ => Err(Refusal::Malformed),
    }
}

/// The answer to a request that is refused as a whole.
#[must_use]
pub fn rejection(refusal: Refusal) -> String {
    let text = match refusal {
        Refusal::Malformed => "ERR failed to parse pipeline request",
        Refusal::Empty => "ERR empty pipeline request",
        Refusal::EmptyCommand => "ERR empty command",
    };
    format!("{{\"error\":\"{text}\"}}")
}

/// The answer to a request, as it grows.
#[derive(Clone, Debug, Default)]
pub struct Replies(String);

impl Replies {
    /// Adds the reply to the next command.
    pub fn push(&mut self, reply: &Reply) {
        self.0.push_str(if self.0.is_empty() { "[{" } else { ",{" });
        if let Reply::Error(text) = reply {
            self.0.push_str("\"error\":");
            write_text(&mut self.0, text);
        } else {
            self.0.push_str("\"result\":");
            write(&mut self.0, reply);
        }
        self.0.push('}');
    }

    /// The body.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "[]" } else { "]" });
        self.0
    }
}

fn write(out: &mut String, reply: &Reply) {
    match reply {
        Reply::Null => out.push_str("null"),
        Reply::Integer(n) => {
            // Writing to a String does not fail.
            let _ = write!(out, "{n}");
        }
        Reply::Status(text) | Reply::Error(text) => write_text(out, text),
        Reply::Bulk(bytes) => write_text(out, &String::from_utf8_lossy(bytes)),
        Reply::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < b' ') {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = from.chars();
        match chars.next() {
            Some(c @ ('"' | '\\')) => out.extend(['\\', c]),
            Some('\n') => out.push_str("\\n"),
            Some(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_numbers_and_truth_values_are_words() {
        let commands =
            parse(r#" [["SET", "a\"\n\u00e9", 12, -1.5e3, true],["PING"]] "#).expect("well-formed");
        let commands: Vec<Vec<&str>> =
            commands.iter().map(|words| words.iter().map(|word| &**word).collect()).collect();
        assert_eq!(commands, [vec!["SET", "a\"\né", "12", "-1.5e3", "true"], vec!["PING"]]);
    }

    #[test]
    fn other_bodies_are_refused() {
        for body in
            ["", "1", "{}", "[1]", "[[null]]", "[[[]]]", "[[\"a\"]", "[[\"a\"]] x", "[[\"a\",]]", "[[-]]"]
        {
            assert_eq!(parse(body), Err(Refusal::Malformed), "{body}");
        }
        assert_eq!(parse("[]"), Err(Refusal::Empty));
        assert_eq!(parse("[[\"a\"],[]]"), Err(Refusal::EmptyCommand));
    }

    #[test]
    fn every_kind_of_reply_is_written() {
        let mut replies = Replies::default();
        replies.push(&Reply::Array(vec![
            Reply::Null,
            Reply::Integer(-1),
            Reply::Array(vec![]),
            Reply::Bulk(vec![0xff, b'"', 7]),
        ]));
        replies.push(&Reply::Error(String::from("ERR \\")));
        replies.push(&Reply::Status(String::from("OK")));
        assert_eq!(
            replies.finish(),
            "[{\"result\":[null,-1,[],\"\u{fffd}\\\"\\u0007\"]},{\"error\":\"ERR \\\\\"},{\"result\":\"OK\"}]"
        );
    }

    proptest! {
        #[test]
        fn any_text_survives(text: String) {
            let mut out = String::from("[[");
            write_text(&mut out, &text);
            out.push_str("]]");
            prop_assert_eq!(parse(&out), Ok(vec![vec![Word(Cow::Owned(text))]]));
        }
    }
}
