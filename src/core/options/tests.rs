//! What is taken, and what is said of what is not.

use super::*;

#[test]
fn an_error_names_option_value_and_range() {
    let mut options = Options::default();
    let error = options.take("ttl", OptionValue::Text("31d")).expect_err("too long").to_string();
    assert_eq!(
        error,
        "option \"ttl\" must be a duration from 1 ms to 30 days, as a whole number of milliseconds or a text like \"5m\", got \"31d\""
    );
    let error = options.take("tll", OptionValue::Number(5.0, "5.0")).expect_err("misspelt").to_string();
    assert!(error.starts_with("unknown option \"tll\": known are prefix, version, ttl"), "{error}");
    let error = call_option(CallKind::Set, "signal", OptionValue::Other("object")).expect_err("of reads");
    assert_eq!(
        error.to_string(),
        "unknown option \"signal\": known are ttl, swr, staleIfError, jitter, tags"
    );
    let error = options.take("compress", OptionValue::Bool(true)).expect_err("no threshold").to_string();
    assert_eq!(
        error,
        "option \"compress\" must be false or a whole number of bytes from 1024 to 4194304, got true"
    );
    let error = call_option(CallKind::Read, "freshness", OptionValue::Text("strong")).expect_err("misspelt");
    assert_eq!(error.to_string(), "option \"freshness\" must be \"strict\", got \"strong\"");
}

#[test]
fn a_number_is_a_number_within_its_range() {
    let (min, max) = (OptionValue::Number(0.0, "0"), OptionValue::Number(0.5, "0.5"));
    assert_eq!(call_option(CallKind::Read, "jitter", min), Ok(0.0));
    assert_eq!(call_option(CallKind::Set, "jitter", max), Ok(0.5));
    assert_eq!(call_option(CallKind::Read, "earlyRefresh", OptionValue::Number(10.0, "10")), Ok(10.0));
    for (option, value, message) in [
        (
            "jitter",
            OptionValue::Number(0.51, "0.51"),
            "option \"jitter\" must be a number from 0 to 0.5, got 0.51",
        ),
        ("jitter", OptionValue::Text("0.1"), "option \"jitter\" must be a number from 0 to 0.5, got \"0.1\""),
        (
            "earlyRefresh",
            OptionValue::Number(-1.0, "-1"),
            "option \"earlyRefresh\" must be a number from 0 to 10, got -1",
        ),
        (
            "earlyRefresh",
            OptionValue::Number(f64::NAN, "NaN"),
            "option \"earlyRefresh\" must be a number from 0 to 10, got NaN",
        ),
        (
            "earlyRefresh",
            OptionValue::Bool(true),
            "option \"earlyRefresh\" must be a number from 0 to 10, got true",
        ),
    ] {
        assert_eq!(call_option(CallKind::Read, option, value).expect_err(message).to_string(), message);
        let mut options = Options::default();
        assert_eq!(options.take(option, value).expect_err(message).to_string(), message);
    }
    assert!(call_option(CallKind::Set, "earlyRefresh", min).is_err(), "a set refreshes nothing");
    assert!(call_option(CallKind::Set, "negativeTtl", min).is_err(), "a set stores what it is given");
    assert_eq!(call_option(CallKind::Read, "negativeTtl", OptionValue::Text("0s")), Ok(0.0));
}

#[test]
fn good_options_are_taken() {
    let mut options = Options::default();
    for (option, value) in [
        ("prefix", OptionValue::Text("shop")),
        ("version", OptionValue::Text("")),
        ("ttl", OptionValue::Text("30d")),
        ("timeout.read", OptionValue::Number(1.0, "1.0")),
        ("timeout.write", OptionValue::Text("30s")),
        ("timeout.flight", OptionValue::Text("5m")),
        ("timeout.soft", OptionValue::Number(1.0, "1.0")),
        ("timeout.hard", OptionValue::Text("5m")),
        ("compress", OptionValue::Number(1024.0, "1024")),
        ("maxValueBytes", OptionValue::Number(4_194_304.0, "4194304")),
        ("debug", OptionValue::Bool(true)),
        ("negativeTtl", OptionValue::Number(0.0, "0")),
        ("jitter", OptionValue::Number(0.1, "0.1")),
        ("earlyRefresh", OptionValue::Number(1.0, "1")),
    ] {
        options.take(option, value).expect(option);
    }
    let config = options.finish();
    assert_eq!((config.compress, config.max_value), (Some(1024), 4 << 20));
    assert_eq!((config.prefix.as_str(), config.ttl, config.read), ("shop", MAX_TTL, Millis::new(1)));
}

#[test]
fn out_of_range_is_refused() {
    let mut options = Options::default();
    for (option, value) in [
        ("prefix", OptionValue::Text("")),
        ("prefix", OptionValue::Text("a b")),
        ("prefix", OptionValue::Number(1.0, "1.0")),
        ("ttl", OptionValue::Number(0.0, "0.0")),
        ("ttl", OptionValue::Number(f64::NAN, "NaN")),
        ("timeout.read", OptionValue::Text("31s")),
        ("timeout.flight", OptionValue::Other("object")),
        ("timeout.soft", OptionValue::Number(0.0, "0.0")),
        ("timeout.hard", OptionValue::Text("6m")),
        ("compress", OptionValue::Bool(true)),
        ("compress", OptionValue::Number(1023.0, "1023")),
        ("compress", OptionValue::Number(2048.5, "2048.5")),
        ("maxValueBytes", OptionValue::Number(4_194_305.0, "4194305")),
        ("maxValueBytes", OptionValue::Bool(false)),
        ("maxValueBytes", OptionValue::Text("2048")),
        ("debug", OptionValue::Text("yes")),
        ("onEvent", OptionValue::Number(1.0, "1.0")),
        ("timeout", OptionValue::Number(1.0, "1.0")),
        ("budget.subrequests", OptionValue::Number(1.0, "1")),
        ("budget.subrequests", OptionValue::Number(2.5, "2.5")),
        ("budget.subrequests", OptionValue::Text("40")),
        ("budget.connections", OptionValue::Number(0.0, "0")),
        ("budget.connections", OptionValue::Number(-1.0, "-1")),
        ("budget.connections", OptionValue::Number(f64::NAN, "NaN")),
        ("budget", OptionValue::Number(1.0, "1")),
    ] {
        assert!(options.take(option, value).is_err(), "{option} {value}");
    }
}

#[test]
fn the_value_of_a_credential_is_not_repeated() {
    let error = Options::default()
        .take("token", OptionValue::Number(12_345.0, "12_345.0"))
        .expect_err("a number")
        .to_string();
    assert!(!error.contains("12345"), "{error}");
}
