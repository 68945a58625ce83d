//! What an operator may write into the Worker's variables, read strictly: what is wrong is said by name, and what can
//! be gone on with is.

use crate::outbound_address::{OutboundAddress, Reach};

/// How long a frontend's keys are good for, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySetTimes {
    /// Without asking again.
    pub lifetime: u64,
    /// Between two questions because of unknown keys.
    pub cooldown: u64,
    /// While the frontend can't be asked.
    pub maximum: u64,
}

impl Default for KeySetTimes {
    fn default() -> Self {
        Self { lifetime: 300_000, cooldown: 30_000, maximum: 3_600_000 }
    }
}

/// A value, and what is wrong with what was configured instead.
pub type Read<T> = (T, Option<String>);

/// A number of seconds, as milliseconds; `otherwise` where none is given or it can't be used.
#[must_use]
pub fn seconds(name: &str, given: Option<&str>, otherwise: u64) -> Read<u64> {
    let Some(text) = given else { return (otherwise, None) };
    match text.trim().parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1_000)) {
        Some(milliseconds) if milliseconds > 0 => (milliseconds, None),
        _ => (otherwise, Some(format!("{name} is not a positive whole number of seconds: {text:?}"))),
    }
}

/// `JWKS_LIFETIME_SECONDS`, `JWKS_COOLDOWN_SECONDS` and `JWKS_MAX_STALE_SECONDS`; the defaults of all three where one
/// can't be used or they don't fit together.
#[must_use]
pub fn key_set_times(
    lifetime: Option<&str>,
    cooldown: Option<&str>,
    maximum: Option<&str>,
) -> Read<KeySetTimes> {
    let otherwise = KeySetTimes::default();
    let (lifetime, lifetime_is) = seconds("JWKS_LIFETIME_SECONDS", lifetime, otherwise.lifetime);
    let (cooldown, cooldown_is) = seconds("JWKS_COOLDOWN_SECONDS", cooldown, otherwise.cooldown);
    let (maximum, maximum_is) = seconds("JWKS_MAX_STALE_SECONDS", maximum, otherwise.maximum);
    let is_in_order = cooldown <= lifetime && lifetime <= maximum;
    let out_of_order = || {
        format!(
            "JWKS_COOLDOWN_SECONDS ({}) must not exceed JWKS_LIFETIME_SECONDS ({}), nor that \
             JWKS_MAX_STALE_SECONDS ({})",
            cooldown / 1_000,
            lifetime / 1_000,
            maximum / 1_000
        )
    };
    match lifetime_is.or(cooldown_is).or(maximum_is).or_else(|| (!is_in_order).then(out_of_order)) {
        None => (KeySetTimes { lifetime, cooldown, maximum }, None),
        wrong => (otherwise, wrong),
    }
}

/// A positive whole number; what is wrong with what was configured.
#[must_use]
pub fn count(name: &str, given: Option<&str>) -> Option<String> {
    let text = given?;
    let is_count = text.trim().parse::<u64>().is_ok_and(|number| (1..=1_000_000_000).contains(&number));
    (!is_count).then(|| format!("{name} is not a positive whole number: {text:?}"))
}

/// `CORS_ORIGINS`, separated by commas; what is no origin as browsers write it is left out.
#[must_use]
pub fn origins(given: Option<&str>) -> Read<Vec<&str>> {
    let named = given.unwrap_or_default().split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let (origins, others): (Vec<&str>, Vec<&str>) = named.partition(|text| is_origin(text));
    let wrong = others
        .first()
        .map(|other| format!("CORS_ORIGINS: {other:?} is no origin; one is like https://app.example.com"));
    (origins, wrong)
}

/// Whether it is a scheme, a host and perhaps a port, in the spelling of a browser's `Origin` (WHATWG URL, "origin
/// serialization"): lower case, no path, no default port.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        // The last colon of an IPv6 address is inside its brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'))
        }
    };
    let default_port = match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    let is_port = port.is_none_or(|port| {
        port.parse::<u16>().is_ok_and(|number| number.to_string() == port && Some(number) != default_port)
    });
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_lowercase())
        && scheme.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
    is_scheme && is_host && is_port
}

/// `ADMIN_NUMBER`: a phone number, digits only. There is no safe other.
///
/// # Errors
/// With what is wrong.
pub fn admin_number(given: Option<&str>) -> Result<(), String> {
    let is_number =
        |text: &str| (7..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    match given {
        Some(text) if !is_number(text) => {
            Err("ADMIN_NUMBER is not a phone number of 7 to 15 digits".to_owned())
        }
        _ => Ok(()),
    }
}

/// How long a webhook may fail before it is switched off, when nothing else is configured: five days.
const FAILING_DAYS: f64 = 5.0;
const DAY_MS: f64 = 86_400_000.0;

/// `WEBHOOK_FAILING_DAYS`, as milliseconds; a part of a day may be a decimal.
#[must_use]
pub fn failing_days(given: Option<&str>) -> Read<u64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked: positive, and a year at most"
    )]
    let milliseconds = |days: f64| (days * DAY_MS) as u64;
    let Some(text) = given else { return (milliseconds(FAILING_DAYS), None) };
    match text.trim().parse::<f64>() {
        Ok(days) if days > 0.0 && days <= 366.0 => (milliseconds(days), None),
        _ => {
            let wrong =
                format!("WEBHOOK_FAILING_DAYS is not a number of days above 0, 366 at most: {text:?}");
            (milliseconds(FAILING_DAYS), Some(wrong))
        }
    }
}

/// `DNS_OVER_HTTPS_URL`: whom to ask for a host's addresses.
#[must_use]
pub fn resolver(given: Option<&str>) -> Read<&str> {
    const USUAL: &str = "https://cloudflare-dns.com/dns-query";
    let Some(text) = given else { return (USUAL, None) };
    // A resolver of one's own network is the operator's choice.
    let is_one = OutboundAddress::parse(text, Reach::Anything).is_ok();
    if is_one { (text, None) } else { (USUAL, Some(format!("DNS_OVER_HTTPS_URL is no URL: {text:?}"))) }
}

/// `ALLOW_PRIVATE_WEBHOOKS`: whether a webhook may be sent into the gateway's own network. The production build never
/// does.
#[must_use]
pub fn private_webhooks(given: Option<&str>, is_simulator_build: bool) -> Read<Reach> {
    let wrong = |wrong: &str| (Reach::Public, Some(format!("ALLOW_PRIVATE_WEBHOOKS {wrong}")));
    match given.map(str::trim) {
        None | Some("false") => (Reach::Public, None),
        Some("true") if is_simulator_build => (Reach::Anything, None),
        Some("true") => wrong("is for the simulator build only"),
        Some(_) => wrong("is neither true nor false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_may_be_parts_of_one() {
        assert_eq!(failing_days(None), (432_000_000, None));
        assert_eq!(failing_days(Some("1")), (86_400_000, None));
        assert_eq!(failing_days(Some(" 0.5 ")), (43_200_000, None));
        for wrong in ["0", "-1", "367", "x", "", "5d", "NaN", "inf"] {
            let (used, said) = failing_days(Some(wrong));
            assert_eq!(used, 432_000_000, "{wrong}");
            assert!(said.is_some_and(|said| said.starts_with("WEBHOOK_FAILING_DAYS ")), "{wrong}");
        }
    }

    #[test]
    fn a_resolver_is_a_url() {
        assert_eq!(resolver(None), ("https://cloudflare-dns.com/dns-query", None));
        assert_eq!(resolver(Some("http://127.0.0.1:53/q")), ("http://127.0.0.1:53/q", None));
        for wrong in ["", "1.1.1.1", "dns.example/query", "tls://dns.example"] {
            let (used, said) = resolver(Some(wrong));
            assert_eq!(used, "https://cloudflare-dns.com/dns-query", "{wrong}");
            assert!(said.is_some_and(|said| said.starts_with("DNS_OVER_HTTPS_URL ")), "{wrong}");
        }
    }

    #[test]
    fn the_production_build_sends_nothing_into_its_own_network() {
        assert_eq!(private_webhooks(None, true), (Reach::Public, None));
        assert_eq!(private_webhooks(Some("true"), true), (Reach::Anything, None));
        for production in [true, false] {
            assert_eq!(private_webhooks(Some("false"), production), (Reach::Public, None));
            let (reach, said) = private_webhooks(Some("yes"), production);
            assert!(reach == Reach::Public && said.is_some());
        }
        let (reach, said) = private_webhooks(Some("true"), false);
        assert!(
            reach == Reach::Public && said.is_some_and(|said| said.starts_with("ALLOW_PRIVATE_WEBHOOKS "))
        );
    }

    #[test]
    fn seconds_that_are_none_are_named_and_replaced() {
        assert_eq!(seconds("X", None, 7), (7, None));
        assert_eq!(seconds("X", Some("2"), 7), (2_000, None));
        assert_eq!(seconds("X", Some(" 2 "), 7), (2_000, None));
        for wrong in ["0", "-1", "1.5", "x", "", "5m", "99999999999999999999", "18446744073709551615"] {
            let (used, said) = seconds("X", Some(wrong), 7);
            assert_eq!(used, 7, "{wrong}");
            assert!(said.is_some_and(|said| said.starts_with("X ") && said.contains(wrong)), "{wrong}");
        }
    }

    #[test]
    fn times_that_do_not_fit_together_are_the_defaults() {
        assert_eq!(key_set_times(None, None, None), (KeySetTimes::default(), None));
        let fine = KeySetTimes { lifetime: 2_000, cooldown: 1_000, maximum: 8_000 };
        assert_eq!(key_set_times(Some("2"), Some("1"), Some("8")), (fine, None));
        let same = KeySetTimes { lifetime: 5_000, cooldown: 5_000, maximum: 5_000 };
        assert_eq!(key_set_times(Some("5"), Some("5"), Some("5")), (same, None));
        for (lifetime, cooldown, maximum, named) in [
            (Some("x"), None, None, "JWKS_LIFETIME_SECONDS"),
            (None, Some("0"), None, "JWKS_COOLDOWN_SECONDS"),
            (None, None, Some("-1"), "JWKS_MAX_STALE_SECONDS"),
            (Some("10"), None, None, "JWKS_COOLDOWN_SECONDS (30)"),
            (Some("7200"), None, None, "JWKS_MAX_STALE_SECONDS (3600)"),
            (None, None, Some("299"), "JWKS_MAX_STALE_SECONDS (299)"),
        ] {
            let (used, said) = key_set_times(lifetime, cooldown, maximum);
            assert_eq!(used, KeySetTimes::default(), "{named}");
            assert!(said.as_ref().is_some_and(|said| said.contains(named)), "{named}: {said:?}");
        }
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        for fine in [
            "https://app.example.com",
            "http://localhost:5173",
            "http://127.0.0.1:8080",
            "https://[::1]:8443",
            "https://[::1]",
            "chrome-extension://abcdefghijklmnop",
            "capacitor://localhost",
        ] {
            assert_eq!(origins(Some(fine)), (vec![fine], None), "{fine}");
        }
        assert_eq!(origins(None), (vec![], None));
        assert_eq!(origins(Some(" , ")), (vec![], None));
        for wrong in [
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://app.example.com:",
            "https://app.example.com:x",
            "https://app.example.com:08080",
            "https://app.example.com:65536",
            "https://*.example.com",
            "https://user@app.example.com",
            "https://App.example.com",
            "HTTPS://app.example.com",
            "https://[::1",
            "https://[x]",
            "://app.example.com",
            "[\"https://app.example.com\"]",
        ] {
            let both = format!("https://a.example, {wrong}");
            let (used, said) = origins(Some(&both));
            assert_eq!(used, ["https://a.example"], "{wrong}");
            assert!(said.is_some_and(|said| said.starts_with("CORS_ORIGINS: ")), "{wrong}");
        }
    }

    #[test]
    fn an_admin_number_is_digits() {
        assert!(admin_number(None).is_ok() && admin_number(Some("4915112345678")).is_ok());
        for wrong in ["", "+4915112345678", "49 151", "123456", "1234567890123456", "４９１５１１２３４５６"]
        {
            assert!(admin_number(Some(wrong)).is_err_and(|said| said.contains("ADMIN_NUMBER")), "{wrong}");
        }
    }
}
