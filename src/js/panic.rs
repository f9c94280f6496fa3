//! Panics. JS catches a bare "unreachable": the message and the place are kept here for it, and told on the console.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, Once};

/// What the instance has panicked with.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Sees to it that panics of this instance are told.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        panic::set_hook(Box::new(|info| {
            if let Ok(mut last) = LAST.lock() {
                *last = Some(describe(info));
            }
            console_error_panic_hook::hook(info);
        }));
    });
}

/// What the instance has panicked with, if it has.
pub(super) fn last() -> Option<String> {
    LAST.try_lock().ok()?.take()
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or_else(|| payload.downcast_ref::<String>().map(|text| unquoted(text)));
    let message = message.unwrap_or("no message").to_owned();
    match info.location() {
        Some(place) => format!("{message}, at {}:{}", place.file(), place.line()),
        None => message,
    }
}

/// A message up to what it quotes: that may be a key, and events hold none.
fn unquoted(message: &str) -> &str {
    message.split(['"', '\'', '`']).next().unwrap_or("").trim_end()
}
