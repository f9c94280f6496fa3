//! The address of a Redis that speaks HTTP.
//!
//! Checked by hand and strictly, in place of a URL parser: the JS and the Rust driver must accept the same, the parser would
//! be a third of the module's size, and the few forms an endpoint takes fit in a page. Messages never repeat the text, which
//! may hold a token.

use alloc::string::String;
use core::fmt;

use super::redis::script::Dialect;

/// The variables that hold URL and token, in the order in which they are looked for.
pub const CREDENTIALS: [(&str, &str); 3] = [
    ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"),
    ("KV_REST_API_URL", "KV_REST_API_TOKEN"),
    ("REDIS_REST_URL", "REDIS_REST_TOKEN"),
];

const MAX_URL: usize = 2048;
const MAX_TOKEN: usize = 4096;

/// A checked address. The token stays with the driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    base: String,
}

/// Why an address or token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// Neither is given.
    Missing,
    /// A URL without its token.
    TokenMissing,
    /// A token without its URL.
    UrlMissing,
    /// Not `https://` or `http://`.
    Scheme,
    /// `user:password@` belongs into the token.
    UserInfo,
    /// No host, or characters that no host has.
    Host,
    /// Not a number from 1 to 65535.
    Port,
    /// A query, a fragment, or characters that no path has.
    Path,
    /// Longer than 2048 characters.
    TooLong,
    /// White space or characters outside of visible ASCII, or over 4096 characters.
    Token,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "no Redis is configured: give url and token, or set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN \
                 (or KV_REST_API_*, or REDIS_REST_*)"
            }
            Self::TokenMissing => "the Redis URL has no token beside it: both are needed",
            Self::UrlMissing => "the Redis token has no URL beside it: both are needed",
            Self::Scheme => "the Redis URL must begin with https:// or http://",
            Self::UserInfo => "the Redis URL must not hold a user or password: give them as the token",
            Self::Host => "the Redis URL must hold a host name or address after https://",
            Self::Port => "the port of the Redis URL must be a number from 1 to 65535",
            Self::Path => "the Redis URL must be an address and at most a path: no query, fragment or white space",
            Self::TooLong => "the Redis URL must be at most 2048 characters long",
            Self::Token => "the Redis token must be 1 to 4096 visible ASCII characters without white space",
        })
    }
}

impl core::error::Error for EndpointError {}

impl Endpoint {
    /// Checks an address and its token; empty texts count as not given.
    ///
    /// # Errors
    /// What is wrong with them, without repeating them.
    pub fn new(url: &str, token: &str) -> Result<Self, EndpointError> {
        match (url.is_empty(), token.is_empty()) {
            (true, true) => return Err(EndpointError::Missing),
            (true, false) => return Err(EndpointError::UrlMissing),
            (false, true) => return Err(EndpointError::TokenMissing),
            (false, false) => {}
        }
        if token.len() > MAX_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(EndpointError::Token);
        }
        if url.len() > MAX_URL {
            return Err(EndpointError::TooLong);
        }
        let rest = strip_scheme(url).ok_or(EndpointError::Scheme)?;
        let (authority, path) =
            rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        check_authority(authority)?;
        let path_ok = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
        if !path.bytes().all(path_ok) {
            return Err(EndpointError::Path);
        }
        Ok(Self { base: String::from(url.trim_end_matches('/')) })
    }

    /// Which words its server takes at the top of a script, by its name; it may turn out not to.
    pub(crate) fn dialect(&self) -> Dialect {
        let rest = strip_scheme(&self.base).unwrap_or("");
        let host = rest.split(['/', ':']).next().unwrap_or("");
        let upstash = host.len() > UPSTASH.len()
            && host.get(host.len() - UPSTASH.len()..).is_some_and(|end| end.eq_ignore_ascii_case(UPSTASH));
        if upstash { Dialect::Upstash } else { Dialect::Redis }
    }

    /// Where pipelines go.
    #[must_use]
    pub fn pipeline_url(&self) -> String {
        let mut url = self.base.clone();
        url.push_str("/pipeline");
        url
    }
}

/// What the names of Upstash's servers end with.
const UPSTASH: &str = ".upstash.io";

fn strip_scheme(url: &str) -> Option<&str> {
    ["https://", "http://"].iter().find_map(|scheme| {
        let (head, rest) = url.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

fn check_authority(authority: &str) -> Result<(), EndpointError> {
    if authority.contains(['?', '#']) {
        return Err(EndpointError::Path);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, port) = v6.split_once(']').ok_or(EndpointError::Host)?;
            if host.is_empty() || !host.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.') {
                return Err(EndpointError::Host);
            }
            (host, port)
        }
        None => authority
            .split_at_checked(authority.find(':').unwrap_or(authority.len()))
            .unwrap_or((authority, "")),
    };
    let name = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    if host.is_empty() || !host.bytes().all(name) {
        return Err(EndpointError::Host);
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        Some(digits)
            if digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|p| p > 0) =>
        {
            Ok(())
        }
        _ => Err(EndpointError::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_all_kinds_are_accepted() {
        for (url, pipeline) in [
            ("https://a-b.upstash.io", "https://a-b.upstash.io/pipeline"),
            ("http://127.0.0.1:8079/", "http://127.0.0.1:8079/pipeline"),
            ("HTTPS://redis.internal:443/tenant/7//", "HTTPS://redis.internal:443/tenant/7/pipeline"),
            ("http://[::1]:80", "http://[::1]:80/pipeline"),
        ] {
            assert_eq!(Endpoint::new(url, "t").map(|e| e.pipeline_url()), Ok(String::from(pipeline)));
        }
    }

    #[test]
    fn servers_of_upstash_are_known_by_their_names() {
        for (url, dialect) in [
            ("https://a-b.upstash.io", Dialect::Upstash),
            ("https://A.UPSTASH.IO:443/x", Dialect::Upstash),
            ("https://upstash.io.evil.test", Dialect::Redis),
            ("https://evil.test/a.upstash.io", Dialect::Redis),
            ("http://127.0.0.1:1", Dialect::Redis),
        ] {
            assert_eq!(Endpoint::new(url, "t").map(|e| e.dialect()), Ok(dialect), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        use EndpointError as E;
        for (url, token, error) in [
            ("", "", E::Missing),
            ("", "t", E::UrlMissing),
            ("https://a", "", E::TokenMissing),
            ("garbage", "t", E::Scheme),
            ("redis://a:6379", "t", E::Scheme),
            ("https://", "t", E::Host),
            ("https:///x", "t", E::Host),
            ("https://a b", "t", E::Host),
            ("https://[::1", "t", E::Host),
            ("https://u:secret@a", "t", E::UserInfo),
            ("https://a:0", "t", E::Port),
            ("https://a:65536", "t", E::Port),
            ("https://a:x", "t", E::Port),
            ("https://a?token=x", "t", E::Path),
            ("https://a/?token=x", "t", E::Path),
            ("https://a/#x", "t", E::Path),
            ("https://a/ b", "t", E::Path),
            ("https://ä", "t", E::Host),
            ("https://a", "t t", E::Token),
            ("https://a", "t\n", E::Token),
            ("https://a", "\u{e9}", E::Token),
        ] {
            assert_eq!(Endpoint::new(url, token), Err(error), "{url:?} {token:?}");
        }
    }

    #[test]
    fn messages_repeat_nothing() {
        for (url, token) in [
            ("hxxp://planted-secret", "t"),
            ("https://u:planted-secret@a", "t"),
            ("https://a", "planted secret"),
        ] {
            let message = alloc::format!("{}", Endpoint::new(url, token).expect_err("is wrong"));
            assert!(!message.contains("planted"), "{message}");
        }
    }
}
