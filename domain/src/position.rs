//! Where a reader stands in an organization's ledger, as readers are told it: opaque, and bound to the organization, so
//! that a damaged or foreign one is noticed.

use crate::checksum::checksum;
use crate::error::ApiError;

/// The largest number that JavaScript keeps whole.
const LARGEST: u64 = 9_007_199_254_740_991;

/// A place in the ledger, for readers.
#[must_use]
pub fn of_ledger(organization: &str, position: u64) -> String {
    format!("{position}-{}", mark(organization, position))
}

/// The place a reader names.
///
/// # Errors
/// `validation_error` naming `field` when this ledger gave out no such place.
pub fn in_ledger(organization: &str, field: &str, text: &str) -> Result<u64, ApiError> {
    let named = text.split_once('-').and_then(|(number, given)| {
        let plain = number.len() <= 16 && number.bytes().all(|byte| byte.is_ascii_digit());
        let position = number.parse::<u64>().ok().filter(|position| plain && *position <= LARGEST)?;
        (position.to_string() == number && given == mark(organization, position)).then_some(position)
    });
    named.ok_or_else(|| ApiError::validation(field, "Not a position this organization's log gave out."))
}

fn mark(organization: &str, position: u64) -> String {
    checksum(&format!("ledger:{organization}:{position}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_the_round_trip() {
        for position in [0, 1, 17, LARGEST] {
            assert_eq!(in_ledger("org", "after", &of_ledger("org", position)), Ok(position));
        }
    }

    #[test]
    fn a_damaged_or_foreign_position_is_refused() {
        let good = of_ledger("org", 17);
        let foreign = of_ledger("another", 17);
        let moved = good.replace("17", "18");
        let padded = good.replace("17", "017");
        for bad in
            [&foreign, &moved, &padded, "", "17", "-", "17-", "x-abcdef", "99999999999999999999-abcdef"]
        {
            assert!(in_ledger("org", "after", bad).is_err(), "{bad}");
        }
    }
}
