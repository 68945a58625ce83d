//! Lists: `{"data": […], "nextCursor": null | "…"}`, and the limits of a page.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;

/// How many a page holds when the caller doesn't say.
pub const DEFAULT_LIMIT: u32 = 50;
/// How many a page holds at most.
pub const MAX_LIMIT: u32 = 200;

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// The page's items.
    pub data: Vec<T>,
    /// Where the next page begins; null when there is none.
    pub next_cursor: Option<String>,
}

/// The `limit` of a request.
///
/// # Errors
/// `validation_error` unless it is a whole number from 1 to 200.
pub fn limit(text: Option<&str>) -> Result<u32, ApiError> {
    let Some(text) = text else { return Ok(DEFAULT_LIMIT) };
    match text.parse::<u32>() {
        Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
        _ => Err(ApiError::validation("limit", "Must be a whole number from 1 to 200.")),
    }
}

/// A cursor after the item with this key. Opaque to callers; it carries a mark so that a damaged one is noticed.
#[must_use]
pub fn cursor_after(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("after:{key}"))
}

/// The key a cursor was made from.
///
/// # Errors
/// `validation_error` when it is not a cursor of ours.
pub fn read_cursor(cursor: &str) -> Result<String, ApiError> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix("after:").map(str::to_owned))
        .ok_or_else(|| ApiError::validation("cursor", "Not a cursor this list gave out."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_round_trip_and_damage_is_noticed() {
        assert_eq!(
            read_cursor(&cursor_after("01ARZ3NDEKTSV4RRFFQ69G5FAV")),
            Ok("01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned())
        );
        for damaged in ["", "!!!", "YWZ0", "💥", "eHg"] {
            assert!(read_cursor(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn a_limit_is_1_to_200_and_50_when_missing() {
        assert_eq!(limit(None), Ok(50));
        assert_eq!(limit(Some("200")), Ok(200));
        for wrong in ["0", "201", "-1", "1.5", "x", "", "99999999999999999999"] {
            assert!(limit(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
