//! Six letters that make a typo visible: CRC-32 in base62.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How long a checksum is: 62^6 is more than 2^32.
pub const LENGTH: usize = 6;

/// The checksum of a text.
#[must_use]
pub fn checksum(text: &str) -> String {
    base62(u128::from(crc32(text.as_bytes())), LENGTH)
}

/// The last `length` digits of a number in base62.
#[must_use]
pub fn base62(mut number: u128, length: usize) -> String {
    let mut digits: Vec<char> = (0..length)
        .map(|_| {
            let digit = usize::try_from(number % 62).unwrap_or_default();
            number /= 62;
            ALPHABET.get(digit).map_or('0', |letter| char::from(*letter))
        })
        .collect();
    digits.reverse();
    digits.into_iter().collect()
}

/// CRC-32 as in IEEE 802.3 and zlib. Bit by bit: what is summed here is a few dozen bytes.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_ieee_802_3() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms; zlib's crc32().
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414F_A339);
    }

    #[test]
    fn base62_is_padded_and_holds_every_crc() {
        assert_eq!(base62(0, 6), "000000");
        assert_eq!(base62(61, 6), "00000z");
        assert_eq!(base62(62, 6), "000010");
        assert_eq!(base62(u128::from(u32::MAX), 6), "4gfFC3");
        assert_eq!(checksum(""), "000000");
    }
}
