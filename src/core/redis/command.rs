//! Commands as JSON arrays of texts, the form that every server of this protocol takes.

use alloc::string::String;
use core::fmt::Write as _;

use super::script::Script;

/// One command of a batch, finished but for a value that the driver puts in.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    head: String,
    tail: Option<String>,
    introduces: Option<Script>,
}

impl Command {
    /// A script, by its hash or (the first time on a connection) by its text.
    pub(crate) fn script(script: Script, by_hash: bool, key: &str, args: &[&str]) -> Self {
        let mut writer = Self::open(script, by_hash, key);
        for arg in args {
            writer.text(arg);
        }
        writer.0.push(']');
        Self { head: writer.0, tail: None, introduces: (!by_hash).then_some(script) }
    }

    /// The same with a value, which the driver holds, between `before` and `after`.
    pub(crate) fn script_with_value(
        script: Script,
        by_hash: bool,
        key: &str,
        before: &[&str],
        after: &[&str],
    ) -> Self {
        let mut writer = Self::open(script, by_hash, key);
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
        Self { head, tail: Some(writer.0), introduces: (!by_hash).then_some(script) }
    }

    /// A plain command.
    pub(crate) fn plain(parts: &[&str]) -> Self {
        let mut writer = Writer(String::from("["));
        for part in parts {
            writer.text(part);
        }
        writer.0.push(']');
        Self { head: writer.0, tail: None, introduces: None }
    }

    fn open(script: Script, by_hash: bool, key: &str) -> Writer {
        let mut writer = Writer(String::from("["));
        writer.text(if by_hash { "EVALSHA" } else { "EVAL" });
        writer.text(if by_hash { script.sha() } else { script.source() });
        writer.text("1");
        writer.text(key);
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
        self.head.len() + self.tail.as_ref().map_or(0, String::len)
    }
}

struct Writer(String);

impl Writer {
    fn text(&mut self, text: &str) {
        let out = &mut self.0;
        if out.len() > 1 {
            out.push(',');
        }
        write_json(out, text);
    }
}

/// A JSON string. Everything but quotes, backslashes and control characters stays as it is.
fn write_json(out: &mut String, text: &str) {
    out.push('"');
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
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    #[test]
    fn a_script_goes_by_hash_or_by_text() {
        let command = Command::script(Script::Drop, true, "p:k::a\"b", &["x\u{1}\n", ""]);
        assert_eq!(
            command.head(),
            format!("[\"EVALSHA\",\"{}\",\"1\",\"p:k::a\\\"b\",\"x\\u0001\\n\",\"\"]", Script::Drop.sha())
        );
        let command = Command::script(Script::Drop, false, "k", &[]);
        assert!(command.head().starts_with("[\"EVAL\",\"-- drop"), "{}", command.head());
    }

    #[test]
    fn a_value_has_its_place() {
        let command = Command::script_with_value(Script::Fill, true, "k", &["a"], &["b"]);
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
