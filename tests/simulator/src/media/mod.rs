//! The media hosts: encrypted files by their hash, and the credentials for bringing more.

mod download;
pub mod http;
mod passes;
pub mod retry;
mod transfer;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wacore::download::MediaType;

use crate::account::DeviceAddress;
use crate::content::File;
use crate::store::{Kind, Rows, Shelf, Store};
use download::UnderWay;
use passes::Passes;
pub use passes::conn;
pub use transfer::Dropped;

/// Whose rows files are.
const OWNER: &str = "media";
/// When the files together are larger, the oldest are forgotten.
const CAPACITY: usize = 1 << 30;

/// What is known of a file from outside, as it is kept and shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// In which order they came.
    number: u64,
    /// The segment of the path it was uploaded under.
    #[serde(rename = "type")]
    pub kind: String,
    pub direct_path: String,
    /// Counts where the file has been before.
    generation: u32,
    pub uploaded_by: Option<DeviceAddress>,
    /// What a download is answered since it has expired.
    pub gone: Option<u16>,
    #[serde(skip_deserializing)]
    pub uploads: u32,
    #[serde(skip_deserializing)]
    pub downloads: u32,
}

/// A file as it was uploaded.
#[derive(Clone, Debug)]
pub struct Blob {
    pub record: Record,
    pub bytes: Bytes,
    /// Its downloads that have not come to an end.
    pub under_way: UnderWay,
}

/// A file on its way to somebody.
struct Fetched {
    bytes: Bytes,
    /// The how many-eth time it is downloaded.
    download: u32,
    under_way: UnderWay,
}

/// What a file was encrypted with, and what it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Key {
    /// Under which a host would take it; it names the kind of key as well.
    mms: String,
    pub mimetype: String,
    secret: Vec<u8>,
    pub sha256: Vec<u8>,
}

#[derive(Default)]
struct Shelves {
    blobs: HashMap<String, Blob>,
    keys: HashMap<String, Key>,
    /// The beginnings of uploads that broke off.
    parts: HashMap<String, Bytes>,
    total: usize,
    last: u64,
    shelf: Shelf,
}

/// Everything on the media hosts.
#[derive(Default)]
pub struct Media {
    shelves: Mutex<Shelves>,
    passes: Passes,
    authority: Mutex<String>,
}

/// The name of a file: the hash of its ciphertext.
pub fn name_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Media {
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Host and port under which phones say a file can be had.
    pub fn authority(&self) -> String {
        self.authority.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_authority(&self, authority: String) {
        *self.authority.lock().unwrap_or_else(PoisonError::into_inner) = authority;
    }

    pub fn restore(&self, rows: &mut Rows, store: &Store) -> Result<()> {
        let mut shelves = self.shelves();
        shelves.shelf = store.shelf(OWNER);
        for (name, value) in rows.take(Kind::Media, OWNER) {
            let (length, rest) = value.split_at_checked(4).context("a short file")?;
            let length = usize::try_from(crate::stanza::number(length))?;
            let (head, bytes) = rest.split_at_checked(length).context("a short file")?;
            let record: Record = serde_json::from_slice(head)?;
            shelves.last = shelves.last.max(record.number);
            shelves.total += bytes.len();
            shelves.blobs.insert(
                name,
                Blob { record, bytes: Bytes::copy_from_slice(bytes), under_way: UnderWay::default() },
            );
        }
        shelves.keys = rows.take_json(Kind::MediaKey, OWNER)?.into_iter().collect();
        Ok(())
    }

    pub fn clear(&self, store: &Store) {
        *self.shelves() = Shelves { shelf: store.shelf(OWNER), ..Shelves::default() };
        self.passes.clear();
    }

    /// Puts a file where others find it; one that is there already stays where it is.
    pub fn store(&self, kind: &str, bytes: Bytes, by: Option<DeviceAddress>) -> Record {
        let name = name_of(&bytes);
        let mut shelves = self.shelves();
        shelves.parts.remove(&name);
        if let Some(known) = shelves.blobs.get_mut(&name) {
            known.record.uploads += 1;
            if known.record.gone.take().is_none() {
                return known.record.clone();
            }
            return shelves.renew(&name).unwrap_or_else(|| Record::new(0, kind, &name, by));
        }
        shelves.last += 1;
        let record = Record { uploads: 1, ..Record::new(shelves.last, kind, &name, by) };
        shelves.total += bytes.len();
        shelves
            .blobs
            .insert(name.clone(), Blob { record: record.clone(), bytes, under_way: UnderWay::default() });
        shelves.keep(&name);
        shelves.make_room();
        record
    }

    /// The same file at another place, as after a phone was asked for it; none when nobody has it.
    pub fn renew(&self, name: &str) -> Option<Record> {
        self.shelves().renew(name)
    }

    /// From now on the file can't be had where it was.
    pub fn expire(&self, name: &str, status: u16) -> bool {
        let mut shelves = self.shelves();
        let Some(blob) = shelves.blobs.get_mut(name) else { return false };
        blob.record.gone = Some(status);
        shelves.keep(name);
        true
    }

    /// What a message says about its file.
    pub fn learn(&self, file: &File) {
        let mut shelves = self.shelves();
        let name = hex::encode(&file.enc_sha256);
        let key = Key {
            mms: file.kind.mms_type().to_owned(),
            mimetype: file.mimetype.clone(),
            secret: file.media_key.clone(),
            sha256: file.sha256.clone(),
        };
        shelves.shelf.put_json(Kind::MediaKey, name.as_str(), &key);
        shelves.keys.insert(name, key);
    }

    /// Everything that was uploaded, in its order, with what is known of its contents.
    pub fn list(&self) -> Vec<(String, Blob, Option<Key>)> {
        let shelves = self.shelves();
        let mut all: Vec<_> = shelves
            .blobs
            .iter()
            .map(|(name, blob)| (name.clone(), blob.clone(), shelves.keys.get(name).cloned()))
            .collect();
        all.sort_by_key(|(_, blob, _)| blob.record.number);
        all
    }

    /// A file by the hash of its ciphertext or of its contents, in hex.
    pub fn find(&self, hash: &str) -> Option<(String, Blob, Option<Key>)> {
        self.list().into_iter().find(|(name, _, key)| {
            name == hash || key.as_ref().is_some_and(|key| hex::encode(&key.sha256) == hash)
        })
    }

    /// The file at this place, or the status with which it is refused.
    fn fetch(&self, direct_path: &str) -> Result<Fetched, u16> {
        let mut shelves = self.shelves();
        let found = shelves.blobs.values_mut().find(|blob| bare(&blob.record.direct_path) == direct_path);
        let blob = found.ok_or(404u16)?;
        if let Some(status) = blob.record.gone {
            return Err(status);
        }
        blob.record.downloads += 1;
        Ok(Fetched {
            bytes: blob.bytes.clone(),
            download: blob.record.downloads,
            under_way: blob.under_way.clone(),
        })
    }

    /// The beginning of an upload that broke off.
    fn part(&self, name: &str) -> Bytes {
        self.shelves().parts.get(name).cloned().unwrap_or_default()
    }

    fn keep_part(&self, name: &str, part: Bytes) {
        self.shelves().parts.insert(name.to_owned(), part);
    }
}

/// A path without its query.
fn bare(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

impl Record {
    fn new(number: u64, kind: &str, name: &str, uploaded_by: Option<DeviceAddress>) -> Self {
        let mut record = Self {
            number,
            kind: kind.to_owned(),
            direct_path: String::new(),
            generation: 0,
            uploaded_by,
            gone: None,
            uploads: 0,
            downloads: 0,
        };
        record.place(name);
        record
    }

    /// Paths look like WhatsApp's: the signed expiry in the query is for show, whoever has the path may download.
    fn place(&mut self, name: &str) {
        let short = name.get(..32).unwrap_or(name);
        self.direct_path = format!(
            "/v/t62.7118-24/{short}_{}_n.enc?ccb=11-4&oh=01_{short}&oe=7FFFFFFF&_nc_sid=5e03e0",
            self.generation
        );
    }
}

impl Shelves {
    fn renew(&mut self, name: &str) -> Option<Record> {
        let blob = self.blobs.get_mut(name)?;
        blob.record.generation += 1;
        blob.record.gone = None;
        blob.record.place(name);
        let record = blob.record.clone();
        self.keep(name);
        Some(record)
    }

    fn keep(&self, name: &str) {
        let Some(blob) = self.blobs.get(name) else { return };
        self.shelf.put(Kind::Media, name, || {
            let head = serde_json::to_vec(&blob.record).unwrap_or_default();
            let length = u32::try_from(head.len()).unwrap_or_default().to_be_bytes();
            [length.as_slice(), &head, &blob.bytes].concat()
        });
    }

    fn make_room(&mut self) {
        while self.total > CAPACITY && self.blobs.len() > 1 {
            let oldest = self.blobs.iter().min_by_key(|(_, blob)| blob.record.number);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { return };
            if let Some(blob) = self.blobs.remove(&name) {
                self.total -= blob.bytes.len();
            }
            self.shelf.delete(Kind::Media, name);
        }
    }
}

impl Key {
    /// The contents of a file.
    pub fn open(&self, blob: &Blob) -> Result<Vec<u8>> {
        let kinds = [MediaType::Image, MediaType::Video, MediaType::Audio, MediaType::Document];
        let kind = kinds.into_iter().find(|kind| kind.mms_type() == self.mms).context("no such kind")?;
        let plain = wacore::download::DownloadUtils::verify_and_decrypt(&blob.bytes, &self.secret, kind)?;
        anyhow::ensure!(Sha256::digest(&plain).as_slice() == self.sha256, "not what its message says");
        Ok(plain)
    }
}
