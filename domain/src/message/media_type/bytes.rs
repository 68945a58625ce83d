//! Bytes of files that need not be in memory, and numbers out of bytes that may end anywhere.

use std::borrow::Cow;

/// A file that need not be in memory.
pub trait File {
    /// How many bytes it has.
    fn length(&self) -> u64;

    /// As many of its bytes from `offset` on; fewer where it ends.
    fn read(&self, offset: u64, most: usize) -> Cow<'_, [u8]>;
}

impl<T: AsRef<[u8]>> File for T {
    fn length(&self) -> u64 {
        self.as_ref().len() as u64
    }

    fn read(&self, offset: u64, most: usize) -> Cow<'_, [u8]> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.as_ref().get(offset..));
        let rest = rest.unwrap_or_default();
        Cow::Borrowed(rest.get(..most).unwrap_or(rest))
    }
}

/// The last bytes of a file.
pub(super) fn tail(file: &dyn File, most: usize) -> Cow<'_, [u8]> {
    file.read(file.length().saturating_sub(most as u64), most)
}

/// The `N` bytes from `offset` on.
pub(super) fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

pub(super) fn be16(bytes: &[u8], offset: usize) -> Option<u16> {
    at(bytes, offset).map(u16::from_be_bytes)
}

pub(super) fn be32(bytes: &[u8], offset: usize) -> Option<u32> {
    at(bytes, offset).map(u32::from_be_bytes)
}

pub(super) fn be64(bytes: &[u8], offset: usize) -> Option<u64> {
    at(bytes, offset).map(u64::from_be_bytes)
}

pub(super) fn le16(bytes: &[u8], offset: usize) -> Option<u16> {
    at(bytes, offset).map(u16::from_le_bytes)
}

pub(super) fn le24(bytes: &[u8], offset: usize) -> Option<u32> {
    at(bytes, offset).map(|[low, middle, high]| u32::from_le_bytes([low, middle, high, 0]))
}

pub(super) fn le32(bytes: &[u8], offset: usize) -> Option<u32> {
    at(bytes, offset).map(u32::from_le_bytes)
}

pub(super) fn le64(bytes: &[u8], offset: usize) -> Option<u64> {
    at(bytes, offset).map(u64::from_le_bytes)
}
