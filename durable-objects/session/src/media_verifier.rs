//! A medium as it comes from WhatsApp's media host, in pieces of any size: decrypted where it is encrypted, and verified.
//! MAC and hashes are of the whole: what comes out before the end nobody has vouched for yet.

use aes::Aes256;
use cbc::Decryptor;
use cbc::cipher::{Block, BlockModeDecrypt, KeyIvInit};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use whatsapp_rust::download::{DownloadUtils, Downloadable, MediaDecryption};

/// HMAC-SHA256 of IV and ciphertext, cut to this, is the end of an encrypted file.
const MAC_BYTES: usize = 10;
const BLOCK_BYTES: usize = 16;
/// Nothing of these last bytes comes out before the verdict. Two blocks, for padding may be the whole of one: so whoever is
/// handed what came out before lacks something.
const HELD_BYTES: usize = 2 * BLOCK_BYTES + MAC_BYTES;

/// Why a file is not the one its message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There is more than there may be.
    Longer,
    /// It ends in the middle of a block, or before its MAC.
    Shorter,
    /// Its MAC is wrong.
    Mac,
    /// It is not the encrypted file the message names, or not the one that came the first time.
    EncryptedHash,
    /// Its padding is wrong.
    Padding,
    /// It decrypts to another file than the message names.
    Hash,
}

/// What a file must turn out to be.
#[derive(Clone)]
pub struct Expected {
    keys: Option<Keys>,
    /// SHA-256 of what the host sends.
    sent: Option<Vec<u8>>,
    /// SHA-256 of what that is decrypted to.
    file: Option<Vec<u8>>,
    /// How much the host may send.
    most: u64,
    /// How long the file may be: encrypted, it is hidden in a block.
    most_of_file: u64,
}

#[derive(Clone)]
struct Keys {
    iv: [u8; BLOCK_BYTES],
    cipher: [u8; 32],
    /// None when the MAC has been verified.
    mac: Option<[u8; 32]>,
}

/// A file that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// SHA-256 of what the host sent.
    sent: [u8; 32],
    /// How long the file is.
    pub length: u64,
}

/// See the module.
pub struct Verifier {
    /// What has come and not gone out: where the end is, only the end tells.
    held: Vec<u8>,
    cipher: Option<Decryptor<Aes256>>,
    mac: Option<Hmac<Sha256>>,
    sent: Sha256,
    file: Option<Sha256>,
    expected: Expected,
    /// How much more the host may send.
    left: u64,
    length: u64,
}

impl Expected {
    /// By what a message says of its medium, which is `most` bytes at most.
    ///
    /// # Errors
    /// When the media key is none.
    pub fn of(
        medium: &dyn Downloadable,
        decryption: &MediaDecryption,
        most: u64,
    ) -> whatsapp_rust::anyhow::Result<Self> {
        let given = |hash: Option<&[u8]>| hash.filter(|hash| !hash.is_empty()).map(<[u8]>::to_vec);
        Ok(match decryption {
            MediaDecryption::Encrypted { media_key, media_type } => {
                let (iv, cipher, mac) = DownloadUtils::get_media_keys(media_key, *media_type)?;
                let padding = BLOCK_BYTES as u64 - most % BLOCK_BYTES as u64;
                Self {
                    keys: Some(Keys { iv, cipher, mac: Some(mac) }),
                    sent: given(medium.file_enc_sha256()),
                    file: given(medium.file_sha256()),
                    most: most.saturating_add(padding + MAC_BYTES as u64),
                    most_of_file: most,
                }
            }
            MediaDecryption::Plaintext { file_sha256 } => {
                Self { keys: None, sent: Some(file_sha256.clone()), file: None, most, most_of_file: most }
            }
        })
    }

    /// The same bytes as were verified before, so that their hash is enough.
    #[must_use]
    pub fn again(mut self, verified: &Verified) -> Self {
        self.sent = Some(verified.sent.to_vec());
        self.file = None;
        if let Some(keys) = &mut self.keys {
            keys.mac = None;
        }
        self
    }

    /// How much the host may send.
    #[must_use]
    pub const fn most(&self) -> u64 {
        self.most
    }
}

impl Verifier {
    /// Before the first byte.
    #[must_use]
    pub fn new(expected: Expected) -> Self {
        let keys = expected.keys.as_ref();
        let mac = keys.and_then(|keys| {
            let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&keys.mac?).ok()?;
            mac.update(&keys.iv);
            Some(mac)
        });
        Self {
            held: Vec::new(),
            cipher: keys.map(|keys| Decryptor::new(&keys.cipher.into(), &keys.iv.into())),
            mac,
            sent: Sha256::new(),
            file: expected.file.is_some().then(Sha256::new),
            left: expected.most,
            expected,
            length: 0,
        }
    }

    /// Takes the next piece and appends to `out` what of the file can be told by now.
    ///
    /// # Errors
    /// When there is more than there may be.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Flaw> {
        self.left = self.left.checked_sub(piece.len() as u64).ok_or(Flaw::Longer)?;
        self.sent.update(piece);
        self.held.extend_from_slice(piece);
        let ready = self.held.len().saturating_sub(HELD_BYTES);
        let ready = ready - ready % BLOCK_BYTES;
        let start = out.len();
        out.extend(self.held.drain(..ready));
        let opened = out.get_mut(start..).unwrap_or_default();
        if let Some(mac) = &mut self.mac {
            mac.update(opened);
        }
        self.decrypt(opened);
        self.count(opened);
        Ok(())
    }

    /// There is no more: appends the rest of the file to `out`, if the whole is what it must be.
    ///
    /// # Errors
    /// What it is not. Then nothing is appended.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Verified, Flaw> {
        let mut rest = std::mem::take(&mut self.held);
        if self.cipher.is_some() {
            let ciphertext = rest.len().checked_sub(MAC_BYTES).ok_or(Flaw::Shorter)?;
            if ciphertext == 0 || ciphertext % BLOCK_BYTES != 0 {
                return Err(Flaw::Shorter);
            }
            let tag = rest.split_off(ciphertext);
            if let Some(mut mac) = self.mac.take() {
                mac.update(&rest);
                mac.verify_truncated_left(&tag).map_err(|_| Flaw::Mac)?;
            }
            self.decrypt(&mut rest);
        }
        let sent: [u8; 32] = std::mem::take(&mut self.sent).finalize().into();
        if self.expected.sent.as_ref().is_some_and(|hash| *hash != sent) {
            return Err(Flaw::EncryptedHash);
        }
        if self.cipher.is_some() {
            unpad(&mut rest)?;
        }
        self.count(&rest);
        if self.length > self.expected.most_of_file {
            return Err(Flaw::Longer);
        }
        let file = self.file.take().map(Sha256::finalize);
        if let (Some(file), Some(hash)) = (file, &self.expected.file)
            && file.as_slice() != hash
        {
            return Err(Flaw::Hash);
        }
        out.append(&mut rest);
        Ok(Verified { sent, length: self.length })
    }

    fn decrypt(&mut self, bytes: &mut [u8]) {
        if let Some(cipher) = &mut self.cipher {
            let (blocks, _whole_blocks_only) = Block::<Decryptor<Aes256>>::slice_as_chunks_mut(bytes);
            cipher.decrypt_blocks(blocks);
        }
    }

    fn count(&mut self, opened: &[u8]) {
        self.length += opened.len() as u64;
        if let Some(file) = &mut self.file {
            file.update(opened);
        }
    }
}

/// PKCS #7.
fn unpad(opened: &mut Vec<u8>) -> Result<(), Flaw> {
    let padding = opened.last().map_or(0, |last| usize::from(*last));
    let kept = opened.len().checked_sub(padding).ok_or(Flaw::Padding)?;
    let is_padding = opened.iter().skip(kept).all(|byte| usize::from(*byte) == padding);
    if !(1..=BLOCK_BYTES).contains(&padding) || !is_padding {
        return Err(Flaw::Padding);
    }
    opened.truncate(kept);
    Ok(())
}

#[cfg(test)]
mod tests;
