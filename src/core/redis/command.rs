//! Commands as JSON arrays of texts, the form that every server of this protocol takes.

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

use super::script::{Dialect, Script};

/// One command of a batch, finished but for a value that the driver puts in.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    head: String,
    tail: Option<String>,
    introduces: Option<Script>,
    /// The driver holds it: so many bytes.
    held: Option<usize>,
}

impl Command {
    /// One that the driver holds.
    pub(crate) fn of_driver(size: usize) -> Self {
        Self { head: String::new(), tail: None, introduces: None, held: Some(size) }
    }

    /// Whether the driver holds it.
    pub(crate) const fn is_of_driver(&self) -> bool {
        self.held.is_some()
    }

    /// A script, by its hash or (the first time on a connection) by its text.
    pub(crate) fn script<'a>(
        script: Script,
        how: How,
        keys: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
        args: &[&str],
    ) -> Self {
        let mut writer = Self::open(script, how, keys);
        for arg in args {
            writer.text(arg);
        }
        writer.0.push(']');
        Self { head: writer.0, tail: None, introduces: how.introduces(script), held: None }
    }

    /// The same with a value, which the driver holds, between `before` and `after`.
    pub(crate) fn script_with_value<'a>(
        script: Script,
        how: How,
        keys: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
        before: &[&str],
        after: &[&str],
    ) -> Self {
        let mut writer = Self::open(script, how, keys);
        for arg in before {
            writer.text(arg);
        }
        writer.0.push(',');
        let head = core::mem::take(&mut writer.0);
        for arg in after {
            writer.0.push(',');
            write_json(&mut writer.0, arg);
        }
        writer.0.push(']');
        Self { head, tail: Some(writer.0), introduces: how.introduces(script), held: None }
    }

    /// A plain command.
    pub(crate) fn plain(parts: &[&str]) -> Self {
        let mut writer = Writer(String::from("["));
        for part in parts {
            writer.text(part);
        }
        writer.0.push(']');
        Self { head: writer.0, tail: None, introduces: None, held: None }
    }

    fn open<'a>(
        script: Script,
        how: How,
        keys: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
    ) -> Writer {
        let mut writer = Writer(String::from("["));
        match how {
            How::Hash(dialect) => {
                writer.text("EVALSHA");
                writer.text(script.sha(dialect));
            }
            How::Text(dialect) => {
                writer.text("EVAL");
                writer.pieces(&[dialect.header(), script.source()]);
            }
        }
        let keys = keys.into_iter();
        writer.text(&format!("{}", keys.clone().count()));
        for key in keys {
            writer.text(key);
        }
        writer
    }

    /// What comes before the value; the whole command if it has none.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// What comes after the value.
    pub(crate) fn tail(&self) -> Option<&str> {
        self.tail.as_deref()
    }

    /// The script that the server gets to know by it.
    pub(crate) fn introduces(&self) -> Option<Script> {
        self.introduces
    }

    /// Bytes, without the value.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.tail.as_ref().map_or(0, String::len) + self.held.unwrap_or(0)
    }
}

/// How a script is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// By its hash: the server knows it.
    Hash(Dialect),
    /// By its text: the server gets to know it.
    Text(Dialect),
}

impl How {
    fn introduces(self, script: Script) -> Option<Script> {
        matches!(self, Self::Text(_)).then_some(script)
    }
}

struct Writer(String);

impl Writer {
    fn text(&mut self, text: &str) {
        self.pieces(&[text]);
    }

    /// One text, in pieces.
    fn pieces(&mut self, pieces: &[&str]) {
        let out = &mut self.0;
        if out.len() > 1 {
            out.push(',');
        }
        out.push('"');
        for piece in pieces {
            write_escaped(out, piece);
        }
        out.push('"');
    }
}

/// A JSON string.
fn write_json(out: &mut String, text: &str) {
    out.push('"');
    write_escaped(out, text);
    out.push('"');
}

/// What stands in a JSON string. Everything but quotes, backslashes and control characters stays as it is.
fn write_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_script_goes_by_hash_or_by_text() {
        let hash = How::Hash(Dialect::Redis);
        let command = Command::script(Script::Drop, hash, ["p:k::a\"b", "t"], &["x\u{1}\n", ""]);
        assert_eq!(
            command.head(),
            format!(
                "[\"EVALSHA\",\"{}\",\"2\",\"p:k::a\\\"b\",\"t\",\"x\\u0001\\n\",\"\"]",
                Script::Drop.sha(Dialect::Redis)
            )
        );
        let command = Command::script(Script::Drop, How::Text(Dialect::Redis), ["k"], &[]);
        assert!(command.head().starts_with("[\"EVAL\",\"-- drop"), "{}", command.head());
        let command = Command::script(Script::Drop, How::Text(Dialect::Upstash), ["k"], &[]);
        assert!(command.head().starts_with("[\"EVAL\",\"#!lua flags=allow-key-locking\\n-- drop"));
    }

    #[test]
    fn a_value_has_its_place() {
        let command =
            Command::script_with_value(Script::Fill, How::Hash(Dialect::Redis), ["k"], &["a"], &["b"]);
        assert!(command.head().ends_with("\"k\",\"a\","), "{}", command.head());
        assert_eq!(command.tail(), Some(",\"b\"]"));
    }

    proptest! {
        #[test]
        fn any_text_survives(text: String) {
            use hifijson::token::Lex as _;
            use hifijson::str::LexAlloc as _;
            let mut out = String::new();
            write_json(&mut out, &text);
            let mut lexer = hifijson::SliceLexer::new(out.as_bytes());
            let back = lexer.discarded().str_string().expect("is JSON");
            prop_assert_eq!(back.as_ref(), text.as_str());
        }
    }
}
