//! Fetching a file that a caller named by its URL: where to ask next, what is refused, and what is the file. Asking is
//! somebody else's; every answer is shown to an [`Errand`].
//!
//! Whatever goes wrong is wrong with the URL, so it is a `validation_error` that names the caller's field. It tells
//! the status of a host on the internet and nothing else that was answered: no body, no address, no cause of a failure.

use crate::error::ApiError;
use crate::message::too_large;
use crate::outbound_address::{OutboundAddress, Reach, Refused};

/// As many redirects are followed.
pub const MAX_REDIRECTS: u32 = 5;
/// How long all of it may take, every redirect and the body included.
pub const MAX_SECONDS: u64 = 50;

/// One file that is wanted.
pub struct Errand<'a> {
    field: &'a str,
    most: usize,
    reach: Reach,
    at: OutboundAddress,
    redirects: u32,
    /// How long the body says it is.
    announced: Option<u64>,
}

/// What of an answer's head decides.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the names are the headers'")]
pub struct Head<'a> {
    pub status: u16,
    pub location: Option<&'a str>,
    pub content_length: Option<&'a str>,
    pub content_encoding: Option<&'a str>,
    pub transfer_encoding: Option<&'a str>,
}

/// What follows from an answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask at [`Errand::address`]: the answer is a redirect.
    Ask,
    /// Read the body: it is the file.
    Read,
}

impl<'a> Errand<'a> {
    /// Begins one. `field` is what the caller's request calls the URL, `most` how many bytes the file may have.
    ///
    /// # Errors
    /// `validation_error` when the URL is not taken.
    pub fn new(field: &'a str, url: &str, most: usize, reach: Reach) -> Result<Self, ApiError> {
        let at = OutboundAddress::of_file(url, reach);
        let at = at.map_err(|Refused(why)| ApiError::validation(field, why))?;
        Ok(Self { field, most, reach, at, redirects: 0, announced: None })
    }

    /// Where to ask now.
    #[must_use]
    pub const fn address(&self) -> &OutboundAddress {
        &self.at
    }

    /// Looks at the head of an answer.
    ///
    /// # Errors
    /// `validation_error` when it is neither the file nor a redirect that is followed, or the file is too large.
    pub fn answered(&mut self, head: &Head<'_>) -> Result<Next, ApiError> {
        match (head.status, head.location) {
            (200, _) => self.found(head),
            (301..=303 | 307 | 308, Some(location)) => self.follow(location),
            (status, _) => {
                let message = format!("The server answers with status {status}, not with the file.");
                Err(self.invalid(message).with("status", status))
            }
        }
    }

    fn follow(&mut self, location: &str) -> Result<Next, ApiError> {
        if self.redirects == MAX_REDIRECTS {
            return Err(self.invalid(format!("Redirects more than {MAX_REDIRECTS} times.")));
        }
        self.redirects += 1;
        match self.at.redirected(location, self.reach) {
            Ok(address) => self.at = address,
            Err(refused) => return Err(self.refused(refused)),
        }
        Ok(Next::Ask)
    }

    fn found(&mut self, head: &Head<'_>) -> Result<Next, ApiError> {
        match head.content_encoding {
            None | Some("" | "identity") => {}
            // `fetch` decodes these, and these alone; the length is then that of what was encoded.
            Some("gzip" | "br") => return Ok(Next::Read),
            Some(_) => return Err(self.invalid("Comes in a content-encoding that is not read.")),
        }
        // Beside a transfer-encoding a length counts for nothing (RFC 9112, 6.3).
        let length = head.content_length.filter(|_| head.transfer_encoding.is_none());
        self.announced = length.and_then(|length| length.trim().parse().ok());
        match self.announced {
            Some(length) if length > self.most as u64 => Err(self.too_large()),
            _ => Ok(Next::Read),
        }
    }

    /// Whether a body that ended after so many bytes is the whole file.
    ///
    /// # Errors
    /// `validation_error` when it is shorter than it said: a file that was cut off must not pass for one.
    pub fn ended(&self, length: usize) -> Result<(), ApiError> {
        if length > self.most {
            return Err(self.too_large());
        }
        match self.announced {
            Some(announced) if announced != length as u64 => Err(self.failed()),
            _ => Ok(()),
        }
    }

    /// The error for an address that is not asked.
    #[must_use]
    pub fn refused(&self, Refused(why): Refused) -> ApiError {
        match self.redirects {
            0 => self.invalid(why),
            _ => self.invalid(format!("Redirects to an address that is not taken: {why}")),
        }
    }

    /// The error for a file with more bytes than it may have.
    #[must_use]
    pub fn too_large(&self) -> ApiError {
        too_large(self.field, self.most)
    }

    /// The error for no answer, and for one that broke off: one for all causes, else it would tell which ports are open.
    #[must_use]
    pub fn failed(&self) -> ApiError {
        self.invalid("Could not be fetched: the server can't be reached, or its answer breaks off.")
    }

    /// The error for an answer that is not whole in time.
    #[must_use]
    pub fn late(field: &str) -> ApiError {
        ApiError::validation(field, format!("Could not be fetched within {MAX_SECONDS} seconds."))
    }

    fn invalid(&self, message: impl Into<String>) -> ApiError {
        ApiError::validation(self.field, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.com/a/b.png";

    fn errand(most: usize) -> Errand<'static> {
        Errand::new("media.url", URL, most, Reach::Public).unwrap()
    }

    fn length(length: &str) -> Head<'_> {
        Head { status: 200, content_length: Some(length), ..Head::default() }
    }

    fn redirect(status: u16, location: &str) -> Head<'_> {
        Head { status, location: Some(location), ..Head::default() }
    }

    /// The message, of an error that names the field.
    fn message(error: ApiError) -> String {
        assert_eq!((error.status(), &error.error.details["field"]), (400, &"media.url".into()));
        error.error.message
    }

    #[test]
    fn what_is_no_address_of_a_file_is_not_asked() {
        assert_eq!(errand(1).address().as_str(), URL);
        for wrong in ["", "example.com", "ftp://example.com/", "http://127.0.0.1/", "http://localhost/x"] {
            let refused = Errand::new("media.url", wrong, 1, Reach::Public).err().expect(wrong);
            message(refused);
        }
        assert!(Errand::new("media.url", "http://localhost/x", 1, Reach::Anything).is_ok());
    }

    #[test]
    fn only_200_is_the_file() {
        assert_eq!(errand(1).answered(&Head { status: 200, ..Head::default() }), Ok(Next::Read));
        // A location beside it leads nowhere.
        assert_eq!(errand(1).answered(&redirect(200, "/x")), Ok(Next::Read));
        for status in
            [101, 201, 203, 204, 206, 226, 300, 304, 305, 306, 400, 401, 403, 404, 416, 500, 503, 999]
        {
            for head in [redirect(status, "/x"), Head { status, ..Head::default() }] {
                let error = errand(1).answered(&head).unwrap_err();
                assert_eq!(error.error.details["status"], status);
                message(error);
            }
        }
    }

    #[test]
    fn redirects_are_followed_so_often() {
        for status in [301, 302, 303, 307, 308] {
            let mut errand = errand(1);
            for hop in 1..=MAX_REDIRECTS {
                assert_eq!(errand.answered(&redirect(status, &format!("hop{hop}"))), Ok(Next::Ask));
                assert_eq!(errand.address().as_str(), format!("https://example.com/a/hop{hop}"));
            }
            let once_more = errand.answered(&redirect(status, "hop6")).unwrap_err();
            assert_eq!(message(once_more), "Redirects more than 5 times.");
            assert_eq!(errand.answered(&length("1")), Ok(Next::Read));
            let nowhere = errand.answered(&Head { status, ..Head::default() }).unwrap_err();
            assert_eq!(nowhere.error.details["status"], status);
        }
    }

    #[test]
    fn no_redirect_leads_inwards_and_none_is_repeated() {
        for inwards in [
            "http://169.254.169.254/latest/meta-data/",
            "//127.1/admin",
            "https://[::ffff:10.0.0.1]/",
            "http://metadata.google.internal/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://secret@example.com/",
        ] {
            let mut errand = errand(1);
            assert_eq!(errand.answered(&redirect(302, "http://cdn.example.net/")), Ok(Next::Ask));
            let refused = message(errand.answered(&redirect(302, inwards)).unwrap_err());
            assert!(refused.starts_with("Redirects to an address that is not taken: "), "{refused}");
            let host = inwards.split("//").nth(1).unwrap().split('/').next().unwrap();
            assert!(host.is_empty() || !refused.contains(host), "{refused}");
            assert_eq!(errand.address().as_str(), "http://cdn.example.net/");
        }
        let mut local = Errand::new("media.url", "http://127.0.0.1:1/a", 1, Reach::Anything).unwrap();
        assert_eq!(local.answered(&redirect(307, "//127.0.0.1:2/b")), Ok(Next::Ask));
    }

    #[test]
    fn a_file_that_says_it_is_too_large_is_not_read() {
        for fine in ["0", "1", "10", " 10 ", "", "-1", "ten", "10, 10"] {
            assert_eq!(errand(10).answered(&length(fine)), Ok(Next::Read), "{fine}");
        }
        for large in ["11", "4294967297", "18446744073709551615"] {
            let error = errand(10).answered(&length(large)).unwrap_err();
            assert_eq!(error.error.details["maxBytes"], 10);
            message(error);
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_none() {
        let mut ten = errand(10);
        assert_eq!(ten.answered(&length("10")), Ok(Next::Read));
        assert_eq!(ten.ended(10), Ok(()));
        assert!(ten.ended(9).is_err() && ten.ended(0).is_err());
        assert_eq!(ten.ended(11).unwrap_err().error.details["maxBytes"], 10);
        // Without a length of the file itself there is nothing to compare.
        for head in [
            Head { status: 200, ..Head::default() },
            Head { content_encoding: Some("gzip"), ..length("5") },
            Head { content_encoding: Some("br"), ..length("5000") },
            Head { transfer_encoding: Some("chunked"), ..length("5000") },
        ] {
            let mut errand = errand(10);
            assert_eq!(errand.answered(&head), Ok(Next::Read), "{head:?}");
            assert!(errand.ended(0).is_ok() && errand.ended(10).is_ok() && errand.ended(11).is_err());
        }
    }

    #[test]
    fn what_stays_encoded_is_no_file() {
        for encoding in ["deflate", "zstd", "gzip, gzip", "GZIP", "aes128gcm"] {
            let head = Head { content_encoding: Some(encoding), ..length("5") };
            assert!(message(errand(10).answered(&head).unwrap_err()).contains("content-encoding"));
        }
        let head = Head { content_encoding: Some("identity"), ..length("5") };
        let mut errand = errand(10);
        assert_eq!(errand.answered(&head), Ok(Next::Read));
        assert!(errand.ended(4).is_err());
    }
}
