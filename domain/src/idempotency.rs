//! `Idempotency-Key`: an operation is done once for a key, and its answer repeated (docs/decisions/idempotency.md). What
//! a key is, which requests are the same, whose turn it is, and what is kept of an answer.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::ApiError;

/// The header with the key.
pub const HEADER: &str = "Idempotency-Key";
/// The header of an answer that was given before.
pub const REPLAYED: &str = "Idempotency-Replayed";
/// How long a key is kept after it was last taken, in milliseconds.
pub const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long an attempt holds its key, in milliseconds: longer than an operation takes, and no longer, for of one that
/// died nobody hears.
pub const LEASE_MS: u64 = 90_000;
/// The longest key.
pub const MAX_KEY_BYTES: usize = 255;
/// The largest body that is kept.
pub const MAX_ANSWER_BYTES: usize = 64 * 1_024;

/// The fields that answers show once, by operation: they are not kept, and missing in a replay.
const SHOWN_ONCE: [(&str, &str); 6] = [
    ("createApiKey", "key"),
    ("rotateApiKey", "key"),
    ("createWebhook", "secret"),
    ("rotateWebhookSecret", "secret"),
    ("createRealtimeTicket", "ticket"),
    ("sessionPairingCode", "code"),
];

/// The field that an operation's answer shows once, if there is one.
#[must_use]
pub fn shown_once(operation: &str) -> Option<&'static str> {
    SHOWN_ONCE.iter().find(|(of, _)| *of == operation).map(|(_, field)| *field)
}

/// The key among the values of the header.
///
/// # Errors
/// `validation_error` for what is no key, and for more than one.
pub fn key<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<String>, ApiError> {
    let Some(value) = values.next() else { return Ok(None) };
    let is_one = values.next().is_none()
        && (1..=MAX_KEY_BYTES).contains(&value.len())
        && value.iter().all(u8::is_ascii_graphic);
    match String::from_utf8(value.to_vec()) {
        Ok(key) if is_one => Ok(Some(key)),
        _ => Err(ApiError::validation(HEADER, "Must be one, of 1 to 255 visible ASCII characters.")),
    }
}

/// What tells requests apart, taken in piece by piece.
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// That of a request whose body is to come.
    #[must_use]
    pub fn of(method: &str, path: &str, query: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [method, path, query] {
            hash.update(part.as_bytes());
            // In none of them.
            hash.update([0]);
        }
        Self(hash)
    }

    /// Takes in a piece of the body.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// As it is kept.
    #[must_use]
    pub fn finish(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.finalize())
    }
}

/// What an answer says of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was done: the answer is kept.
    Done,
    /// It was not done: the key is forgotten.
    Refused,
    /// Nobody knows: the key is kept for the same request, tried again.
    Unknown,
}

impl Ending {
    /// What a status says, of a first attempt or of one that followed another. What nobody knew of the attempt before a
    /// refusal doesn't tell.
    #[must_use]
    pub const fn of(status: u16, is_again: bool) -> Self {
        match status {
            200..=299 => Self::Done,
            400..=499 | 501 if !is_again => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

/// An answer, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The type of the body.
    pub content_type: Option<String>,
    /// The body; nothing where it can't be repeated.
    pub body: Option<String>,
}

impl Answer {
    /// What is kept of an operation's answer.
    #[must_use]
    pub fn kept(operation: &str, status: u16, content_type: Option<&str>, body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).ok();
        let body = match shown_once(operation) {
            None => text.map(str::to_owned),
            Some(field) => text.and_then(|text| without(field, text)),
        };
        Self {
            status,
            content_type: content_type.map(str::to_owned),
            body: body.filter(|body| body.len() <= MAX_ANSWER_BYTES),
        }
    }

    /// The body to repeat it with. A send says so in its body too.
    ///
    /// # Errors
    /// `conflict` when it can't be repeated.
    pub fn replayed(self) -> Result<String, ApiError> {
        let Some(body) = self.body else {
            return Err(conflict("It was done already, and the answer is too large to repeat."));
        };
        match serde_json::from_str::<Map<String, Value>>(&body) {
            Ok(mut send) if send.contains_key("mode") => {
                send.insert("replayed".to_owned(), Value::Bool(true));
                Ok(Value::Object(send).to_string())
            }
            _ => Ok(body),
        }
    }
}

/// An object without one of its fields; nothing if it is none, for then nobody knows where the field is.
fn without(field: &str, text: &str) -> Option<String> {
    let mut object = serde_json::from_str::<Map<String, Value>>(text).ok()?;
    object.remove(field);
    Some(Value::Object(object).to_string())
}

/// A key in the directory, after somebody tried to take it.
#[derive(Clone, Debug)]
pub struct Held {
    /// The fingerprint of the request.
    pub request: String,
    /// The id of what the operation makes.
    pub resource_id: String,
    /// The attempt that took it last.
    pub holder: String,
    /// Until when nobody else may, epoch milliseconds.
    pub leased_until: Option<u64>,
    /// The answer, once there is one.
    pub answer: Option<Answer>,
}

/// What an attempt is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The operation.
    Run {
        /// The id of what it makes.
        resource_id: String,
        /// Whether somebody tried before, so that it may be there.
        is_again: bool,
    },
    /// Nothing but answer.
    Replay(Answer),
}

impl Held {
    /// Whose turn it is, for an attempt that tried to take the key.
    ///
    /// # Errors
    /// `conflict` when the key is another request's, and, with `retryAfterSeconds`, when somebody is at it.
    pub fn turn(self, holder: &str, request: &str, now: u64) -> Result<Turn, ApiError> {
        if self.request != request {
            return Err(conflict("This key was used for another request."));
        }
        if let Some(answer) = self.answer {
            return Ok(Turn::Replay(answer));
        }
        if self.holder == holder {
            // An attempt that is the first brings the id.
            let is_again = self.resource_id != holder;
            return Ok(Turn::Run { resource_id: self.resource_id, is_again });
        }
        let error = conflict("A request with this key is under way.");
        Err(error.with("retryAfterSeconds", retry_after(self.leased_until.unwrap_or(now), now)))
    }
}

/// As long again as it takes already, until the lease is over.
fn retry_after(leased_until: u64, now: u64) -> u64 {
    let left = leased_until.saturating_sub(now);
    let taken = LEASE_MS.saturating_sub(left);
    taken.min(left).div_ceil(1_000).max(1)
}

fn conflict(message: &str) -> ApiError {
    ApiError::conflict(message).with("field", HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access;

    fn read(values: &[&[u8]]) -> Result<Option<String>, String> {
        key(values.iter().copied()).map_err(|error| error.error.details["field"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_key_is_one_of_up_to_255_visible_characters() {
        let longest = [b'x'; 255];
        assert_eq!(read(&[]), Ok(None));
        for fine in [&b"a"[..], b"!~", b"8e03978e-40d5-43dd-bc93-6894a57f9324", b"{\"a\":1,}", &longest] {
            assert_eq!(read(&[fine]), Ok(Some(String::from_utf8(fine.to_vec()).unwrap())));
        }
        let long = [b'x'; 256];
        for wrong in [&b""[..], b" ", b"a b", b"a\t", b"a\x7f", b"a\0", b"caf\xc3\xa9", b"\xff", &long] {
            assert_eq!(read(&[wrong]), Err(HEADER.to_owned()), "{wrong:?}");
        }
        // The runtime joins two of a name by a comma and a space.
        assert_eq!(read(&[b"a, b"]), Err(HEADER.to_owned()));
        assert_eq!(read(&[b"a", b"a"]), Err(HEADER.to_owned()));
    }

    fn fingerprint(method: &str, path: &str, query: &str, pieces: &[&str]) -> String {
        let mut fingerprint = Fingerprint::of(method, path, query);
        for piece in pieces {
            fingerprint.add(piece.as_bytes());
        }
        fingerprint.finish()
    }

    #[test]
    fn requests_are_told_apart_by_method_path_query_and_body() {
        let whole = fingerprint("POST", "/a", "b=c", &["{\"d\":1}"]);
        // printf 'POST\0/a\0b=c\0{"d":1}' | openssl dgst -sha256 -binary | base64, in base64url.
        assert_eq!(whole, "f-5CuiGx4WjKruo_oZTJ6ehjLvdimQCwuCdHO9mE7JQ");
        assert_eq!(fingerprint("POST", "/a", "b=c", &["{\"d\"", "", ":1}"]), whole, "in pieces");
        let others = [
            fingerprint("PUT", "/a", "b=c", &["{\"d\":1}"]),
            fingerprint("POST", "/ab", "=c", &["{\"d\":1}"]),
            fingerprint("POST", "/a", "b=", &["c{\"d\":1}"]),
            fingerprint("POST", "/a", "", &["b=c{\"d\":1}"]),
            fingerprint("POST", "/a", "b=c", &["{\"d\": 1}"]),
            fingerprint("POST", "/a", "b=c", &[]),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(*other, whole, "{index}");
            assert!(others.iter().skip(index + 1).all(|another| another != other), "{index}");
        }
    }

    #[test]
    fn a_status_says_whether_it_was_done() {
        for status in [200, 201, 202, 204] {
            assert_eq!(Ending::of(status, false), Ending::Done, "{status}");
            assert_eq!(Ending::of(status, true), Ending::Done, "{status}");
        }
        for status in [400, 401, 403, 404, 409, 429, 501] {
            assert_eq!(Ending::of(status, false), Ending::Refused, "{status}");
            assert_eq!(Ending::of(status, true), Ending::Unknown, "{status}");
        }
        for status in [500, 503, 502, 302, 101] {
            assert_eq!(Ending::of(status, false), Ending::Unknown, "{status}");
            assert_eq!(Ending::of(status, true), Ending::Unknown, "{status}");
        }
    }

    #[test]
    fn what_is_shown_once_is_not_kept() {
        for (operation, field) in SHOWN_ONCE {
            assert!(access::operation(operation).is_some(), "{operation}");
            let body = format!(r#"{{"id":"x","{field}":"the secret","more":[1]}}"#);
            let kept = Answer::kept(operation, 201, Some("application/json"), body.as_bytes());
            assert_eq!(kept.body.as_deref(), Some(r#"{"id":"x","more":[1]}"#), "{operation}");
            // What can't be looked through is not kept at all.
            for other in ["[{\"key\":\"the secret\"}]", "the secret", ""] {
                assert_eq!(Answer::kept(operation, 200, None, other.as_bytes()).body, None, "{operation}");
            }
        }
    }

    fn kept(body: &[u8]) -> Answer {
        Answer::kept("createSession", 201, Some("application/json"), body)
    }

    #[test]
    fn an_answer_is_repeated_letter_for_letter() {
        let texts = [r#"{"id":"b", "a":1.0}"#, "", "[]", "no JSON", r#"{"label":"{\"mode\":1}"}"#];
        for text in texts {
            let answer = kept(text.as_bytes());
            assert_eq!((answer.status, answer.content_type.as_deref()), (201, Some("application/json")));
            assert_eq!(answer.replayed().as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_send_that_is_repeated_says_so() {
        let sent = r#"{"mode":"sync","waMessageId":"3EB0","timestamp":1790000000000}"#;
        let replayed: Value = serde_json::from_str(&kept(sent.as_bytes()).replayed().unwrap()).unwrap();
        let mut expected: Value = serde_json::from_str(sent).unwrap();
        expected["replayed"] = Value::Bool(true);
        assert_eq!(replayed, expected);
    }

    #[test]
    fn what_is_too_large_is_not_done_again() {
        let largest = vec![b'x'; MAX_ANSWER_BYTES];
        assert_eq!(kept(&largest).replayed().map(|body| body.len()), Ok(MAX_ANSWER_BYTES));
        for body in [vec![b'x'; MAX_ANSWER_BYTES + 1], vec![0xff]] {
            let refused = kept(&body).replayed().unwrap_err();
            assert_eq!((refused.status(), &refused.error.details["field"]), (409, &Value::from(HEADER)));
        }
    }

    fn held(holder: &str, leased_until: Option<u64>, answer: Option<Answer>) -> Held {
        let text = str::to_owned;
        Held { request: text("r"), resource_id: text("first"), holder: text(holder), leased_until, answer }
    }

    #[test]
    fn whoever_holds_the_key_runs() {
        let run = |is_again| Ok(Turn::Run { resource_id: "first".to_owned(), is_again });
        assert_eq!(held("first", Some(91_000), None).turn("first", "r", 1_000), run(false));
        assert_eq!(held("second", Some(91_000), None).turn("second", "r", 1_000), run(true));
    }

    #[test]
    fn others_wait_hear_the_answer_or_are_refused() {
        let refused = |held: Held, request: &str, now| {
            let error = held.turn("mine", request, now).unwrap_err();
            assert_eq!(error.status(), 409);
            error.error.details.get("retryAfterSeconds").and_then(Value::as_u64)
        };
        let lease = Some(100_000);
        for (now, seconds) in
            [(10_000, 1), (12_500, 3), (55_000, 45), (90_000, 10), (99_999, 1), (100_000, 1), (200_000, 1)]
        {
            assert_eq!(refused(held("other", lease, None), "r", now), Some(seconds), "at {now}");
        }
        assert_eq!(refused(held("other", None, None), "r", 0), Some(1));
        let answer = kept(b"{}");
        let replay = held("other", None, Some(answer.clone())).turn("mine", "r", 0);
        assert_eq!(replay, Ok(Turn::Replay(answer.clone())));
        for held in [held("other", lease, None), held("other", None, None), held("other", None, Some(answer))]
        {
            assert_eq!(refused(held, "another", 10_000), None, "waiting is of no use");
        }
    }
}
