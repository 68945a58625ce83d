//! Randomness by name: one generator per entity, derived from the seed, so that the order of unrelated requests
//! changes nothing.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// The generator of the entity `name` of the kind `domain`.
pub fn derive(seed: u64, domain: &str, name: &str) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(domain.as_bytes());
    hash.update([0]);
    hash.update(name.as_bytes());
    StdRng::from_seed(hash.finalize().into())
}

/// `N` bytes of it.
pub fn bytes<const N: usize>(rng: &mut StdRng) -> [u8; N] {
    let mut out = [0; N];
    rng.fill_bytes(&mut out);
    out
}

/// A message or stanza id the way phones write them.
pub fn message_id(rng: &mut StdRng) -> String {
    format!("3EB0{}", hex::encode_upper(bytes::<9>(rng)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_give_the_same_bytes_and_another_name_gives_others() {
        let of = |seed, name| bytes::<16>(&mut derive(seed, "phone", name));
        assert_eq!(of(1, "a"), of(1, "a"));
        assert_ne!(of(1, "a"), of(1, "b"));
        assert_ne!(of(1, "a"), of(2, "a"));
    }
}
