//! Where the gateway may send a request that a caller named an address for: to the internet, never into the network it
//! runs in (server-side request forgery). An address is read as `fetch` will read it (WHATWG URL), so that no notation
//! means one host here and another there. What is said to a webhook is said by https only; a file is taken by http too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;
use url::{Host, Url};

/// The longest address that is taken.
pub const MAX_BYTES: usize = 2_048;

/// Names that mean a machine of the network one is in (RFC 6761, 6762, 8375; cloud metadata), with all below them.
const PRIVATE_NAMES: [&str; 5] = ["localhost", "localdomain", "local", "internal", "home.arpa"];

/// Which hosts are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The internet.
    Public,
    /// Everything, webhooks by http too: for tests on one's own machine.
    Anything,
}

/// An address that may be asked, as far as it can be told without looking its name up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundAddress {
    url: Url,
}

/// Why an address is not taken; for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub &'static str);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl OutboundAddress {
    /// Reads the address of a webhook.
    ///
    /// # Errors
    /// With why it is not taken.
    pub fn parse(text: &str, reach: Reach) -> Result<Self, Refused> {
        let url = read(text)?;
        match (url.scheme(), reach) {
            ("https", _) | ("http", Reach::Anything) => {}
            _ => return Err(Refused("Must be an https URL.")),
        }
        if url.fragment().is_some() {
            return Err(Refused("Must not have a fragment."));
        }
        Self::checked(url, reach)
    }

    /// Reads the address of a file to fetch. Its fragment is dropped: it is for whoever shows the file.
    ///
    /// # Errors
    /// With why it is not taken.
    pub fn of_file(text: &str, reach: Reach) -> Result<Self, Refused> {
        Self::file(read(text)?, reach)
    }

    /// Where a redirect of this file's address leads: the same rules, however it is written.
    ///
    /// # Errors
    /// With why it is not taken.
    pub fn redirected(&self, location: &str, reach: Reach) -> Result<Self, Refused> {
        let url = self.url.join(location).map_err(|_| Refused("Not a URL."))?;
        if url.as_str().len() > MAX_BYTES {
            return Err(TOO_LONG);
        }
        Self::file(url, reach)
    }

    fn file(mut url: Url, reach: Reach) -> Result<Self, Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused("Must be an http or https URL."));
        }
        url.set_fragment(None);
        Self::checked(url, reach)
    }

    /// What holds for every address.
    fn checked(url: Url, reach: Reach) -> Result<Self, Refused> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused("Must not have a user name or a password in it."));
        }
        let is_taken = match url.host() {
            None => return Err(Refused("Must have a host.")),
            Some(_) if reach == Reach::Anything => true,
            Some(Host::Ipv4(address)) => is_public_v4(address),
            Some(Host::Ipv6(address)) => is_public_v6(address),
            Some(Host::Domain(name)) => is_public_name(name),
        };
        if is_taken { Ok(Self { url }) } else { Err(Refused("Must be a host on the internet.")) }
    }

    /// The address, as it is asked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The name to look up, unless the host is an address already.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self.url.host() {
            Some(Host::Domain(name)) => Some(name),
            _ => None,
        }
    }
}

const TOO_LONG: Refused = Refused("Must be 2048 bytes at most.");

/// What a caller wrote, if it can't be read in two ways.
fn read(text: &str) -> Result<Url, Refused> {
    if text.len() > MAX_BYTES {
        return Err(TOO_LONG);
    }
    // The parser drops them, and so would whoever reads what was stored.
    if text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(Refused("Must not have spaces or control characters in it."));
    }
    Url::parse(text).map_err(|_| Refused("Not a URL."))
}

/// Whether a host of this name can be on the internet. A name may be written with the dot of the root at its end.
fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_below = |parent: &str| {
        name.strip_suffix(parent).is_some_and(|below| below.is_empty() || below.ends_with('.'))
    };
    name.contains('.') && !name.split('.').any(str::is_empty) && !PRIVATE_NAMES.into_iter().any(is_below)
}

/// Whether an address is one of a host on the internet (IANA, "Special-Purpose Address Registry", IPv4 and IPv6).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        // "This network", private, loopback, multicast, reserved, broadcast.
        [0 | 10 | 127 | 224..=255, ..]
            // Shared (carrier-grade NAT), link-local with the clouds' metadata, private.
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            // Protocol assignments, relays from IPv6, benchmarking, documentation.
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let embedded = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // An IPv4 address in IPv6 clothes: mapped, translated (NAT64), 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        // Protocol assignments with Teredo, documentation (two).
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // What the internet's addresses are made of; everything else is somebody's own, or reserved.
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

/// The addresses in an answer of a resolver (`application/dns-json`, types A and AAAA); what can't be read is none.
#[must_use]
pub fn resolved(answer: &[u8]) -> Vec<IpAddr> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default, rename = "Answer")]
        records: Vec<Record>,
    }
    #[derive(Deserialize)]
    struct Record {
        #[serde(rename = "type")]
        kind: u32,
        data: String,
    }
    let answer = serde_json::from_slice::<Answer>(answer);
    let records = answer.map(|answer| answer.records).unwrap_or_default();
    let addresses = records.into_iter().filter(|record| [1, 28].contains(&record.kind));
    addresses.filter_map(|record| record.data.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<OutboundAddress, Refused> {
        OutboundAddress::parse(text, Reach::Public)
    }

    fn file(text: &str) -> Result<OutboundAddress, Refused> {
        OutboundAddress::of_file(text, Reach::Public)
    }

    fn redirected(location: &str) -> Result<OutboundAddress, Refused> {
        file("https://files.example.com/a/b?c").unwrap().redirected(location, Reach::Public)
    }

    #[test]
    fn hosts_on_the_internet_are_taken() {
        for fine in [
            "https://example.com",
            "https://example.com/",
            "https://hooks.example.com:8443/path?token=x&y=%20",
            "HTTPS://EXAMPLE.COM/",
            "https://example.com./with/a/dot",
            "https://bücher.example/",
            "https://localhost.example.com/",
            "https://mylocal.host/",
            "https://local.example/",
            "https://8.8.8.8/",
            "https://1.1.1.1:8443/",
            "https://100.63.255.255/",
            "https://100.128.0.1/",
            "https://172.15.0.1/",
            "https://172.32.0.1/",
            "https://192.0.1.1/",
            "https://223.255.255.255/",
            "https://[2606:4700:4700::1111]/",
            "https://[2a00:1450:4001:80b::200e]:8443/",
            "https://[::ffff:8.8.8.8]/",
            "https://[64:ff9b::8.8.8.8]/",
            "https://[2002:808:808::1]/",
        ] {
            assert!(parse(fine).is_ok(), "{fine}: {:?}", parse(fine));
        }
    }

    /// As people write it, and as only parsers do.
    const IPV4: &str = "127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 0177.1 017700000001 \
        0x7f.0x0.0x0.0x1 127.0.0.1. %31%32%37.0.0.1 １２７.０.０.１ 127。0。0。1 ①②⑦.0.0.1 0 0.0.0.0 0.1.2.3 \
        10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 169.254.169.254 2852039166 0xa9fea9fe \
        0xA9.0xFE.0xA9.0xFE 0251.0376.0251.0376 172.16.0.1 172.31.255.255 192.168.0.1 192.0.0.1 \
        192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 \
        239.255.255.255 240.0.0.1 255.255.255.255";
    /// With IPv4 in it in every way there is.
    const IPV6: &str = "[::] [::1] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::127.0.0.1] [::8.8.8.8] \
        [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:169.254.169.254] [::ffff:0:127.0.0.1] \
        [::ffff:0:8.8.8.8] [64:ff9b::127.0.0.1] [64:ff9b::a9fe:a9fe] [64:ff9b::10.0.0.1] \
        [64:ff9b:1::8.8.8.8] [2002:7f00:1::] [2002:a9fe:a9fe::1] [2002:c0a8:1::1] [100::1] [2001::1] \
        [2001:0:4136:e378:8000:63bf:3fff:fdd2] [2001:2::1] [2001:db8::1] [3fff::1] [3fff:fff::1] \
        [5f00::1] [fc00::1] [fd00:ec2::254] [fe80::1] [febf::1] [fec0::1] [ff02::1] [4000::1]";
    /// In any case, with the dot of the root, and in letters that are folded to these.
    const NAMES: &str = "localhost LOCALHOST localhost. a.localhost a.b.localhost. ｌｏｃａｌｈｏｓｔ %6cocalhost printer.local \
        printer.local. PRINTER.LOCAL localhost.localdomain db.internal metadata.google.internal \
        metadata.google.internal. router.home.arpa home.arpa intranet intranet. metadata com local";

    #[test]
    fn every_notation_of_a_private_host_is_refused() {
        for private in [IPV4, IPV6, NAMES].into_iter().flat_map(str::split_whitespace) {
            for url in [format!("https://{private}/"), format!("https://{private}:8443/x")] {
                assert!(parse(&url).is_err(), "{url}: {:?}", parse(&url));
            }
            for url in [format!("https://{private}/"), format!("http://{private}:8080/x.png")] {
                assert!(file(&url).is_err(), "{url}: {:?}", file(&url));
                assert!(redirected(&url).is_err(), "{url}: {:?}", redirected(&url));
            }
            assert!(redirected(&format!("//{private}/")).is_err(), "{private}");
        }
    }

    #[test]
    fn what_is_no_plain_https_url_is_refused() {
        for wrong in [
            "",
            "example.com",
            "//example.com",
            "/path",
            "https:",
            "https://",
            "https:///",
            "http://example.com/",
            "ws://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "javascript:alert(1)",
            "https://user@example.com/",
            "https://user:password@example.com/",
            "https://:password@example.com/",
            "https://example.com/#fragment",
            "https://example.com/#",
            "https://example.com:99999/",
            "https://example.com /",
            " https://example.com/",
            "https://example.com/\n",
            "https://exa\tmple.com/",
            "https://example.com/\u{0}",
            "https://example..com/",
            "https://.example.com/",
            "https://example.com../",
            "https://256.256.256.256/",
            "https://1.2.3.4.5/",
            "https://example.0x7f/",
            "https://[::1/",
            "https://[fe80::1%25eth0]/",
            "https://xn--/",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}: {:?}", parse(wrong));
        }
        let path = "x".repeat(MAX_BYTES - "https://a.example/".len());
        assert!(parse(&format!("https://a.example/{path}")).is_ok());
        assert!(parse(&format!("https://a.example/{path}x")).is_err());
    }

    #[test]
    fn a_file_is_taken_by_http_too_and_a_webhook_is_not() {
        for (url, asked) in [
            ("http://example.com/a.png", "http://example.com/a.png"),
            ("https://example.com/a.png?x=1#page=2", "https://example.com/a.png?x=1"),
            ("HTTP://EXAMPLE.com:80", "http://example.com/"),
            ("http://8.8.8.8:8080/#", "http://8.8.8.8:8080/"),
        ] {
            assert_eq!(file(url).map(|address| address.as_str().to_owned()), Ok(asked.to_owned()));
            assert!(parse(url).is_err(), "{url}");
        }
        for wrong in [
            "",
            "example.com/a.png",
            "ftp://example.com/a.png",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
            "blob:https://example.com/x",
            "http://",
            "http://user@example.com/",
            "http://:password@example.com/",
            "http://example.com/a b",
            "http://exa\nmple.com/",
        ] {
            assert!(file(wrong).is_err(), "{wrong:?}: {:?}", file(wrong));
        }
        assert!(file(&format!("http://a.example/{}", "x".repeat(MAX_BYTES))).is_err());
        for local in ["http://127.0.0.1:9000/a", "https://localhost/a"] {
            assert!(OutboundAddress::of_file(local, Reach::Anything).is_ok(), "{local}");
        }
        assert!(OutboundAddress::of_file("ftp://127.0.0.1/", Reach::Anything).is_err());
    }

    #[test]
    fn a_redirect_is_read_from_where_it_was_found() {
        for (location, asked) in [
            ("/x", "https://files.example.com/x"),
            ("x", "https://files.example.com/a/x"),
            ("../../x#y", "https://files.example.com/x"),
            ("?d", "https://files.example.com/a/b?d"),
            ("", "https://files.example.com/a/b?c"),
            ("//cdn.example.net/x", "https://cdn.example.net/x"),
            ("http://cdn.example.net/ä ö", "http://cdn.example.net/%C3%A4%20%C3%B6"),
            ("/x, /y", "https://files.example.com/x,%20/y"),
        ] {
            assert_eq!(redirected(location).map(|address| address.as_str().to_owned()), Ok(asked.to_owned()));
        }
        let long = format!("/{}", "x".repeat(MAX_BYTES));
        // Letters grow when they are escaped: what counts is what would be asked.
        let grows = format!("/{}", "ä".repeat(MAX_BYTES / 4));
        for wrong in [
            "ftp://example.com/x",
            "file:///etc/passwd",
            "data:,x",
            "javascript:x",
            "https://",
            "//user@example.com/",
            "\\\\127.0.0.1\\x",
            "/\\127.0.0.1/x",
            "/\t/127.0.0.1/x",
            " //127.0.0.1/ ",
            "http:\\\\localhost",
            &long,
            &grows,
        ] {
            assert!(redirected(wrong).is_err(), "{wrong:?}: {:?}", redirected(wrong));
        }
        let local = OutboundAddress::of_file("http://127.0.0.1:1/a", Reach::Anything).unwrap();
        assert_eq!(local.redirected("b", Reach::Anything).unwrap().as_str(), "http://127.0.0.1:1/b");
        // What was taken says nothing about what it leads to.
        assert!(local.redirected("b", Reach::Public).is_err());
    }

    #[test]
    fn a_host_behind_tricks_is_the_one_that_would_be_asked() {
        for (trick, asked) in [
            ("https://example.com\\@other.example/", "https://example.com/@other.example/"),
            ("https:example.com", "https://example.com/"),
            ("https:\\\\example.com\\x", "https://example.com/x"),
        ] {
            assert_eq!(parse(trick).map(|address| address.as_str().to_owned()), Ok(asked.to_owned()));
        }
        for trick in ["https://8.8.8.8@127.0.0.1/", "https://127.0.0.1\\@example.com/", "https:127.1"] {
            assert!(parse(trick).is_err(), "{trick}");
        }
    }

    #[test]
    fn on_ones_own_machine_every_host_is_taken_and_the_rest_of_the_rules_hold() {
        let anything = |text| OutboundAddress::parse(text, Reach::Anything);
        for fine in ["http://127.0.0.1:9000/hook", "http://localhost/", "https://[::1]/", "http://db"] {
            assert!(anything(fine).is_ok(), "{fine}");
        }
        for wrong in ["ftp://127.0.0.1/", "http://user@127.0.0.1/", "http://127.0.0.1/#x", "127.0.0.1"] {
            assert!(anything(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_name_is_looked_up() {
        let name = |text| parse(text).unwrap().name().map(str::to_owned);
        assert_eq!(name("https://Hooks.Example.com./x").as_deref(), Some("hooks.example.com."));
        assert_eq!((name("https://8.8.8.8/"), name("https://[2606:4700::1]/")), (None, None));
    }

    #[test]
    fn a_resolvers_answer_is_its_addresses() {
        let answer = br#"{"Status":0,"Answer":[
            {"name":"a.example","type":5,"TTL":60,"data":"b.example."},
            {"name":"b.example","type":1,"TTL":60,"data":"10.0.0.1"},
            {"name":"b.example","type":28,"TTL":60,"data":"::1"},
            {"name":"b.example","type":1,"TTL":60,"data":"nonsense"},
            {"name":"b.example","type":16,"TTL":60,"data":"8.8.8.8"}]}"#;
        let addresses = resolved(answer);
        assert_eq!(addresses, ["10.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert!(!addresses.into_iter().any(is_public));
        for nothing in ["", "{}", "[]", "null", r#"{"Status":3}"#, r#"{"Answer":[{"type":"A"}]}"#] {
            assert_eq!(resolved(nothing.as_bytes()), Vec::<IpAddr>::new(), "{nothing}");
        }
    }
}
