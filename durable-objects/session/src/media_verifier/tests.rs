use whatsapp_rust::download::MediaType;
use whatsapp_rust::wacore::libsignal::crypto::aes_256_cbc_encrypt_into;
use whatsapp_rust::wacore::upload::encrypt_media_with_key_and_sidecar;

use super::*;

const KEY: [u8; 32] = [7; 32];
const MOST: u64 = 1 << 20;

/// Numbers that are as good as random and the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % most.max(1)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }
}

/// What a message says.
#[derive(Clone, Default)]
struct Medium {
    key: Option<Vec<u8>>,
    file: Option<Vec<u8>>,
    sent: Option<Vec<u8>>,
}

impl Downloadable for Medium {
    fn direct_path(&self) -> Option<&str> {
        None
    }
    fn media_key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
    fn file_enc_sha256(&self) -> Option<&[u8]> {
        self.sent.as_deref()
    }
    fn file_sha256(&self) -> Option<&[u8]> {
        self.file.as_deref()
    }
    fn file_length(&self) -> Option<u64> {
        None
    }
    fn app_info(&self) -> MediaType {
        MediaType::Video
    }
}

impl Medium {
    fn expected(&self, most: u64) -> Expected {
        let decryption = match &self.key {
            Some(key) => MediaDecryption::Encrypted { media_key: key.clone(), media_type: MediaType::Video },
            None => MediaDecryption::Plaintext { file_sha256: self.file.clone().unwrap_or_default() },
        };
        Expected::of(self, &decryption, most).unwrap()
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// A file as the client library encrypts it, and what its message says.
fn encrypted(file: &[u8]) -> (Vec<u8>, Medium) {
    let sent = encrypt_media_with_key_and_sidecar(file, MediaType::Video, Some(&KEY), None).unwrap();
    let medium = Medium {
        key: Some(KEY.to_vec()),
        file: Some(sent.file_sha256.to_vec()),
        sent: Some(sent.file_enc_sha256.to_vec()),
    };
    (sent.data_to_upload, medium)
}

/// Any ciphertext with a right MAC.
fn with_mac(mut ciphertext: Vec<u8>) -> Vec<u8> {
    let (iv, _, key) = DownloadUtils::get_media_keys(&KEY, MediaType::Video).unwrap();
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&key).unwrap();
    mac.update(&iv);
    mac.update(&ciphertext);
    ciphertext.extend_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
    ciphertext
}

/// The file, when it is one.
type Verdict = Result<(Vec<u8>, Verified), Flaw>;

/// Feeds it in pieces of any size; what came out before the end, and then.
fn run(dice: &mut Dice, expected: Expected, sent: &[u8]) -> (Vec<u8>, Verdict) {
    let mut verifier = Verifier::new(expected);
    let (mut out, mut rest) = (Vec::new(), sent);
    let most = [1, 15, 16, 17, 100, 4_096, 70_000][dice.below(7)];
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(dice.below(most + 1).min(rest.len()));
        rest = others;
        if let Err(flaw) = verifier.feed(piece, &mut out) {
            return (out, Err(flaw));
        }
    }
    let early = out.clone();
    let verdict = verifier.finish(&mut out).map(|verified| (out, verified));
    (early, verdict)
}

#[test]
fn any_file_in_any_pieces_is_what_the_client_library_makes_of_it() {
    let dice = &mut Dice(1);
    let edges = (0..70).chain([4_095, 4_096, 4_097, 65_536, 99_990]);
    let lengths: Vec<usize> = edges.chain((0..100).map(|_| dice.below(20_000))).collect();
    for length in lengths {
        let file = dice.bytes(length);
        let (sent, medium) = encrypted(&file);
        let library = DownloadUtils::verify_and_decrypt(&sent, &KEY, MediaType::Video).unwrap();
        // No more may come than was announced: that is exactly enough.
        let expected = medium.expected(length as u64);
        assert_eq!(expected.most(), sent.len() as u64, "{length}");
        let (early, verdict) = run(dice, expected.clone(), &sent);
        let (opened, verified) = verdict.unwrap_or_else(|flaw| panic!("{length}: {flaw:?}"));
        assert!(opened == library && opened == file, "{length}");
        assert_eq!(verified.length, length as u64);
        // By less than a block, which only the end tells.
        if let Some(less) = (length as u64).checked_sub(1) {
            assert_eq!(run(dice, medium.expected(less), &sent).1, Err(Flaw::Longer), "{length}");
        }
        let (again_early, again) = run(dice, expected.again(&verified), &sent);
        assert_eq!(again.unwrap(), (file, verified), "{length}");
        // Something is missing until the verdict.
        for early in [early, again_early] {
            assert!(
                early.len() < length.max(1) && early.len() % BLOCK_BYTES == 0,
                "{length}: {}",
                early.len()
            );
        }
    }
}

#[test]
fn a_message_need_not_say_what_its_hashes_are() {
    let dice = &mut Dice(2);
    let file = dice.bytes(5_000);
    let (sent, medium) = encrypted(&file);
    for bare in [
        Medium { file: None, ..medium.clone() },
        Medium { sent: None, ..medium.clone() },
        Medium { sent: Some(Vec::new()), file: Some(Vec::new()), ..medium },
    ] {
        assert_eq!(run(dice, bare.expected(MOST), &sent).1.unwrap().0, file);
    }
}

#[test]
fn a_damaged_file_is_never_whole() {
    let dice = &mut Dice(3);
    for length in [0, 1, 15, 16, 17, 31, 32, 33, 100, 5_000] {
        let file = dice.bytes(length);
        let (sent, medium) = encrypted(&file);
        // Also where the message names no hashes: the MAC is always there.
        let bare = Medium { sent: None, file: None, ..medium.clone() };
        for medium in [medium, bare] {
            for _ in 0..40 {
                let mut damaged = sent.clone();
                let at = dice.below(damaged.len());
                damaged[at] ^= 1 << dice.below(8);
                let (_, verdict) = run(dice, medium.expected(MOST), &damaged);
                assert_eq!(verdict, Err(Flaw::Mac), "{length}, at {at}");
                let cut = dice.below(sent.len());
                let (_, verdict) = run(dice, medium.expected(MOST), &sent[..cut]);
                assert!(matches!(verdict, Err(Flaw::Mac | Flaw::Shorter)), "{length}, {cut}: {verdict:?}");
                let more = dice.below(40) + 1;
                let longer = [&sent[..], &dice.bytes(more)].concat();
                let (_, verdict) = run(dice, medium.expected(MOST), &longer);
                assert!(matches!(verdict, Err(Flaw::Mac | Flaw::Shorter)), "{length}, {more}: {verdict:?}");
                let (_, verdict) = run(dice, medium.expected(length as u64), &longer);
                assert_eq!(verdict, Err(Flaw::Longer), "{length}, {more}");
            }
            let mut wrong = medium.clone();
            wrong.key = Some(vec![8; 32]);
            assert_eq!(run(dice, wrong.expected(MOST), &sent).1, Err(Flaw::Mac), "{length}");
        }
    }
    // A key of any length is only a wrong one.
    for length in [0, 1, 31, 33, 1_000] {
        let (sent, medium) = encrypted(b"file");
        let wrong = Medium { key: Some(vec![7; length]), ..medium };
        assert_eq!(run(dice, wrong.expected(MOST), &sent).1, Err(Flaw::Mac), "{length}");
    }
}

#[test]
fn nothing_is_too_short_to_be_looked_at() {
    let dice = &mut Dice(4);
    let medium = Medium { key: Some(KEY.to_vec()), ..Medium::default() };
    for length in 0..60 {
        for sent in [dice.bytes(length), with_mac(dice.bytes(length))] {
            let (_, verdict) = run(dice, medium.expected(MOST), &sent);
            assert!(verdict.is_err(), "{length}: {verdict:?}");
        }
    }
}

#[test]
fn bad_padding_is_bad_under_a_right_mac_too() {
    let dice = &mut Dice(5);
    let (iv, cipher, _) = DownloadUtils::get_media_keys(&KEY, MediaType::Video).unwrap();
    let medium = Medium { key: Some(KEY.to_vec()), ..Medium::default() };
    let ends: [&[u8]; 6] = [&[0], &[17], &[255], &[1, 2], &[3, 2, 3], &[16; 15]];
    for end in ends {
        for blocks in [1, 2, 5] {
            let mut plain = vec![9; blocks * BLOCK_BYTES - end.len()];
            plain.extend_from_slice(end);
            let mut ciphertext = Vec::new();
            aes_256_cbc_encrypt_into(&plain, &cipher, &iv, &mut ciphertext).unwrap();
            // Without the padding that the library adds.
            ciphertext.truncate(plain.len());
            let sent = with_mac(ciphertext);
            assert!(DownloadUtils::verify_and_decrypt(&sent, &KEY, MediaType::Video).is_err());
            assert_eq!(run(dice, medium.expected(MOST), &sent).1, Err(Flaw::Padding), "{end:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_the_messages_is_refused_though_its_mac_is_right() {
    let dice = &mut Dice(6);
    let (file, other) = (dice.bytes(3_000), dice.bytes(3_000));
    let (sent, medium) = encrypted(&file);
    let (others, _) = encrypted(&other);
    assert_eq!(run(dice, medium.expected(MOST), &others).1, Err(Flaw::EncryptedHash));
    let by_contents = Medium { sent: None, ..medium.clone() };
    assert_eq!(run(dice, by_contents.expected(MOST), &others).1, Err(Flaw::Hash));
    // Whoever has the keys could give another file the second time.
    let bare = Medium { sent: None, file: None, ..medium };
    let (_, verified) = run(dice, bare.expected(MOST), &sent).1.unwrap();
    let (early, verdict) = run(dice, bare.expected(MOST).again(&verified), &others);
    assert_eq!(verdict, Err(Flaw::EncryptedHash));
    assert!(early.len() < other.len());
}

#[test]
fn what_is_not_encrypted_is_told_by_its_hash() {
    let dice = &mut Dice(7);
    for length in [0, 1, 16, 41, 42, 43, 100, 70_000] {
        let file = dice.bytes(length);
        let medium = Medium { file: Some(sha256(&file)), ..Medium::default() };
        let expected = medium.expected(length as u64);
        let (early, verdict) = run(dice, expected.clone(), &file);
        let (opened, verified) = verdict.unwrap();
        assert!(opened == file && verified.length == length as u64, "{length}");
        assert!(early.len() < length.max(1), "{length}");
        assert_eq!(run(dice, expected.clone().again(&verified), &file).1.unwrap().0, file, "{length}");
        let longer = [&file[..], b"x"].concat();
        assert_eq!(run(dice, expected, &longer).1, Err(Flaw::Longer), "{length}");
        assert_eq!(run(dice, medium.expected(MOST), &longer).1, Err(Flaw::EncryptedHash), "{length}");
        if let Some(shorter) = length.checked_sub(1) {
            let (_, verdict) = run(dice, medium.expected(MOST), &file[..shorter]);
            assert_eq!(verdict, Err(Flaw::EncryptedHash), "{length}");
        }
    }
    let unnamed = Medium { file: Some(Vec::new()), ..Medium::default() };
    assert_eq!(run(dice, unnamed.expected(MOST), b"file").1, Err(Flaw::EncryptedHash));
}
