//! Votes. They come encrypted with the poll's own secret, and name the options by their hashes.

use whatsapp_rust::wacore::poll::{PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_secret};
use whatsapp_rust::waproto::whatsapp::message::PollEncValue;

/// A vote as it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ballot {
    payload: Vec<u8>,
    iv: Vec<u8>,
}

/// The poll a vote is in, as it was stored.
pub struct Poll<'a> {
    /// Its message.
    pub id: &'a str,
    /// What its votes are encrypted with.
    pub secret: &'a [u8],
    /// What can be voted for.
    pub options: &'a [String],
    /// By which names who asked goes.
    pub creators: &'a [String],
}

impl Ballot {
    /// The vote in a message.
    pub fn of(value: &PollEncValue) -> Self {
        Self {
            payload: value.enc_payload.clone().unwrap_or_default(),
            iv: value.enc_iv.clone().unwrap_or_default(),
        }
    }

    /// What was voted for; nothing when it can't be read, or names an option that is not the poll's.
    ///
    /// Who asked and who voted are part of the key, and either may be known by number or by hidden id: the names are
    /// tried in turn.
    pub fn open(&self, poll: &Poll<'_>, voters: &[String]) -> Option<Vec<String>> {
        let ciphertext = PollVoteCiphertext { enc_payload: &self.payload, enc_iv: &self.iv };
        let mut pairs =
            poll.creators.iter().flat_map(|creator| voters.iter().map(move |voter| (creator, voter)));
        let chosen = pairs.find_map(|(creator, voter)| {
            decrypt_poll_vote_with_secret(ciphertext, poll.secret, poll.id, creator, voter).ok()
        })?;
        chosen.iter().map(|hash| poll.option(hash)).collect()
    }
}

impl Poll<'_> {
    fn option(&self, hash: &[u8]) -> Option<String> {
        self.options.iter().find(|option| compute_option_hash(option) == hash).cloned()
    }
}
