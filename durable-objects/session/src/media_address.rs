//! Where a message says its media lies.

/// Where the media lies is the sender's word: it must not lead anywhere but to WhatsApp's hosts. The library puts the path
/// behind a host's name as it is, and takes an address whole.
#[must_use]
pub fn is_whatsapps(path: Option<&str>, address: Option<&str>) -> bool {
    let is_path = path.is_none_or(|path| path.starts_with('/') && !path.starts_with("//"));
    let is_host = address.is_none_or(|address| {
        let rest = address.strip_prefix("https://").unwrap_or_default();
        let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        host.ends_with(".whatsapp.net")
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    });
    (path.is_some() || address.is_some()) && is_path && is_host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_lie_on_whatsapps_hosts_or_are_not_asked_for() {
        assert!(is_whatsapps(Some("/v/t62.7118-24/a?x=1"), None));
        assert!(is_whatsapps(Some("/o1/v"), Some("https://mmg.whatsapp.net/o1/v")));
        for path in [".evil.example/x", "@evil.example/x", ":8080/x", "//evil.example", "", "x"] {
            assert!(!is_whatsapps(Some(path), None), "{path}");
        }
        for address in [
            "http://mmg.whatsapp.net/x",
            "https://evil.example/x",
            "https://whatsapp.net.evil.example/",
            "https://evilwhatsapp.net/",
            "https://mmg.whatsapp.net@evil.example/",
            "https://mmg.whatsapp.net:1@evil.example/",
            "https://evil.example\\.whatsapp.net/",
            "https://evil.example/.whatsapp.net",
            "",
        ] {
            assert!(!is_whatsapps(None, Some(address)), "{address}");
            assert!(!is_whatsapps(Some("/good"), Some(address)), "{address}");
        }
        assert!(!is_whatsapps(None, None));
    }
}
