//! Why a credential does not open the door. Callers get one answer for every reason; what differs is what it costs
//! those who show it.

use gateway_domain::error::ApiError;

use crate::error::Refusal;

/// See the module.
pub enum Failure {
    /// It could be a guess: no such key, or one that no longer works; a login that nobody's key signed. It counts.
    Guess,
    /// A login that a frontend did sign, and that is over, not valid yet, or not for us. Nobody guesses a signature,
    /// and people's logins end all the time.
    Genuine,
    /// Nobody can say right now.
    Unanswered(Refusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Unanswered(refusal)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Guess | Failure::Genuine => ApiError::unauthorized().into(),
            Failure::Unanswered(refusal) => refusal,
        }
    }
}
