//! The body of a request to send, read as it comes. Its files are most of it, and it may be larger than the memory there is:
//! they are decoded and handed on, and what stays is the rest of the JSON, in which the number of a file stands for it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};

use super::limits;

/// The most that is kept of a file to tell what it is.
const HEAD: usize = 64;
/// As much base64 is decoded at a time; fours of letters are threes of bytes.
const LETTERS: usize = 32 * 1_024;
/// The longest name of a field that is looked at, as it is written: `data` can have escapes.
const MAX_NAME: usize = 64;

/// A body that is being read.
#[derive(Debug, Default)]
pub struct SendBody {
    /// The JSON without its files.
    rest: Vec<u8>,
    is_too_long: bool,
    /// The field of the whole that is being read, as it is written.
    field: Vec<u8>,
    files: Vec<FileFound>,
    /// The objects and lists around what is read now.
    around: Vec<Around>,
    state: State,
}

/// A file that was found in a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFound {
    /// How many bytes it has.
    pub length: u64,
    /// Its first bytes.
    pub head: Vec<u8>,
    /// Its SHA-256, which tells it from others.
    pub sha256: Vec<u8>,
    /// Whether it is something else than base64.
    pub is_damaged: bool,
    /// Whether there was more of it than any file may have.
    pub is_too_large: bool,
}

/// An object or a list.
#[derive(Debug)]
enum Around {
    List,
    Object { name: Name, wants_name: bool },
}

/// The field that is read, where it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Name {
    Media,
    Medias,
    Data,
    #[default]
    Other,
}

#[derive(Debug, Default)]
enum State {
    /// Between strings.
    #[default]
    Between,
    /// In a string that is kept. `escaped` is whether the letter before was a backslash.
    Text { escaped: bool },
    /// In a field's name.
    Name { text: Vec<u8>, escaped: bool },
    /// In a file.
    File(Letters),
}

/// Base64 inside a JSON string.
#[derive(Debug, Default)]
struct Letters {
    waiting: Vec<u8>,
    hash: Sha256,
    escape: Escape,
    has_standard: bool,
    has_url_safe: bool,
}

/// Where in a string's escape it is.
#[derive(Debug, Default)]
enum Escape {
    #[default]
    None,
    Begun,
    /// `\u`, and so many digits of it with what they say.
    Unicode(u8, u32),
}

/// Where the bytes of files go: the file's number, counted from zero, and what is next of it.
pub trait Take: FnMut(usize, &[u8]) {}
impl<F: FnMut(usize, &[u8])> Take for F {}

impl SendBody {
    /// Reads on.
    pub fn feed(&mut self, mut bytes: &[u8], take: &mut impl Take) {
        while let Some((first, behind)) = bytes.split_first() {
            match &mut self.state {
                State::Between => {
                    self.between(*first);
                    bytes = behind;
                }
                State::Text { escaped } => {
                    let end =
                        if *escaped { Some(0) } else { bytes.iter().position(|byte| b"\"\\".contains(byte)) };
                    let length = end.map_or(bytes.len(), |end| end.saturating_add(1));
                    let (text, behind) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
                    let was_escaped = std::mem::take(escaped);
                    match text.last() {
                        _ if was_escaped => {}
                        Some(b'"') => self.state = State::Between,
                        Some(b'\\') => *escaped = true,
                        _ => {}
                    }
                    self.keep(text);
                    bytes = behind;
                }
                State::Name { text, escaped } => {
                    let is_end = *first == b'"' && !*escaped;
                    *escaped = *first == b'\\' && !*escaped;
                    if is_end {
                        let name = Name::of(text);
                        if self.around.len() == 1 && !self.is_too_long {
                            self.field = std::mem::take(text);
                        }
                        if let Some(Around::Object { name: last, .. }) = self.around.last_mut() {
                            *last = name;
                        }
                        self.state = State::Between;
                    } else if text.len() <= MAX_NAME {
                        text.push(*first);
                    }
                    self.keep(&[*first]);
                    bytes = behind;
                }
                State::File(letters) => {
                    let number = self.files.len().saturating_sub(1);
                    let Some(file) = self.files.last_mut() else { return };
                    match letters.read(bytes, file, number, take) {
                        None => return,
                        Some(behind) => {
                            letters.end(file, number, take);
                            self.state = State::Between;
                            self.keep(b"\"");
                            bytes = behind;
                        }
                    }
                }
            }
        }
    }

    /// The JSON without its files, in which a file is its number in a string, and the files; `None` when that JSON is longer
    /// than a body without files may be.
    #[must_use]
    pub fn end(self) -> Option<(Vec<u8>, Vec<FileFound>)> {
        (!self.is_too_long).then_some((self.rest, self.files))
    }

    /// The field with which it has become more than a body may be: nothing that follows can mend it.
    #[must_use]
    pub fn too_long(&self) -> Option<&str> {
        let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let field = std::str::from_utf8(&self.field).ok().filter(is_name).unwrap_or("body");
        self.is_too_long.then_some(field)
    }

    /// Whether one of its files is none, or too large.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.files.iter().any(|file| file.is_damaged || file.is_too_large)
    }

    fn between(&mut self, byte: u8) {
        self.keep(&[byte]);
        match byte {
            b'"' => self.begin_string(),
            b'{' => self.around.push(Around::Object { name: Name::Other, wants_name: true }),
            b'[' => self.around.push(Around::List),
            b'}' | b']' => drop(self.around.pop()),
            b':' | b',' => {
                if let Some(Around::Object { wants_name, .. }) = self.around.last_mut() {
                    *wants_name = byte == b',';
                }
            }
            _ => {}
        }
    }

    fn begin_string(&mut self) {
        self.state = match self.around.as_slice() {
            [.., Around::Object { wants_name: true, .. }] => State::Name { text: Vec::new(), escaped: false },
            [Around::Object { name: Name::Media, .. }, Around::Object { name: Name::Data, .. }]
            | [
                Around::Object { name: Name::Medias, .. },
                Around::List,
                Around::Object { name: Name::Data, .. },
            ] => {
                // Each is a call and rows; one more than there may be is enough to be refused for.
                self.is_too_long |= self.files.len() > limits::MAX_ALBUM_MEDIAS;
                let number = self.files.len().to_string();
                self.keep(number.as_bytes());
                self.files.push(FileFound::default());
                State::File(Letters::default())
            }
            _ => State::Text { escaped: false },
        };
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.is_too_long |= self.rest.len().saturating_add(bytes.len()) > limits::MAX_REST_BYTES;
        if !self.is_too_long {
            self.rest.extend_from_slice(bytes);
        }
    }
}

impl Name {
    /// By how it is written, escapes and all.
    fn of(text: &[u8]) -> Self {
        let read = || serde_json::from_slice::<String>(&[b"\"", text, b"\""].concat()).ok();
        let name = if text.contains(&b'\\') { read() } else { String::from_utf8(text.to_vec()).ok() };
        match name.as_deref() {
            Some("media") => Self::Media,
            Some("medias") => Self::Medias,
            Some("data") => Self::Data,
            _ => Self::Other,
        }
    }
}

impl Letters {
    /// Reads to the end of the string; what is behind that, if it is here.
    fn read<'a>(
        &mut self,
        mut bytes: &'a [u8],
        file: &mut FileFound,
        number: usize,
        take: &mut impl Take,
    ) -> Option<&'a [u8]> {
        while let Some((first, behind)) = bytes.split_first() {
            match self.escape {
                Escape::None => {
                    let plain = bytes.iter().position(|byte| b"\"\\".contains(byte)).unwrap_or(bytes.len());
                    let (letters, rest) = bytes.split_at_checked(plain)?;
                    self.add(letters, file, number, take);
                    bytes = match rest.split_first() {
                        Some((b'"', behind)) => return Some(behind),
                        Some((_, behind)) => {
                            self.escape = Escape::Begun;
                            behind
                        }
                        None => rest,
                    };
                }
                Escape::Begun => {
                    self.escape = Escape::None;
                    match first {
                        b'u' => self.escape = Escape::Unicode(0, 0),
                        // Of what else can be escaped base64 has this.
                        b'/' => self.add(b"/", file, number, take),
                        _ => file.is_damaged = true,
                    }
                    bytes = behind;
                }
                Escape::Unicode(digits, value) => {
                    let digit = char::from(*first).to_digit(16);
                    file.is_damaged |= digit.is_none();
                    let value = value << 4 | digit.unwrap_or_default();
                    if digits == 3 {
                        self.escape = Escape::None;
                        match u8::try_from(value) {
                            Ok(letter) => self.add(&[letter], file, number, take),
                            Err(_) => file.is_damaged = true,
                        }
                    } else {
                        self.escape = Escape::Unicode(digits + 1, value);
                    }
                    bytes = behind;
                }
            }
        }
        None
    }

    /// Takes letters of base64.
    fn add(&mut self, mut letters: &[u8], file: &mut FileFound, number: usize, take: &mut impl Take) {
        while !letters.is_empty() && !file.is_damaged && !file.is_too_large {
            let room = LETTERS.saturating_sub(self.waiting.len()).min(letters.len());
            let (now, later) = letters.split_at_checked(room).unwrap_or((letters, &[]));
            self.has_standard |= now.iter().any(|letter| b"+/".contains(letter));
            self.has_url_safe |= now.iter().any(|letter| b"-_".contains(letter));
            self.waiting.extend(now.iter().map(|letter| match letter {
                b'-' => b'+',
                b'_' => b'/',
                letter => *letter,
            }));
            letters = later;
            // The last four stay: there may be padding among them.
            if self.waiting.len() == LETTERS {
                let last = self.waiting.split_off(LETTERS - 4);
                self.decode(DecodePaddingMode::RequireNone, file, number, take);
                self.waiting = last;
            }
        }
    }

    /// The string has ended.
    fn end(&mut self, file: &mut FileFound, number: usize, take: &mut impl Take) {
        self.decode(DecodePaddingMode::Indifferent, file, number, take);
        file.is_damaged |= self.has_standard && self.has_url_safe;
        file.sha256 = self.hash.finalize_reset().to_vec();
    }

    fn decode(
        &mut self,
        padding: DecodePaddingMode,
        file: &mut FileFound,
        number: usize,
        take: &mut impl Take,
    ) {
        if file.is_damaged || file.is_too_large {
            return;
        }
        let engine =
            GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(padding));
        let decoded = engine.decode(&self.waiting);
        self.waiting.clear();
        let Ok(bytes) = decoded else {
            file.is_damaged = true;
            return;
        };
        let room = HEAD.saturating_sub(file.head.len());
        file.head.extend(bytes.iter().take(room));
        file.length = file.length.saturating_add(bytes.len() as u64);
        file.is_too_large = file.length > limits::MAX_FILE_BYTES as u64;
        if !file.is_too_large {
            self.hash.update(&bytes);
            take(number, &bytes);
        }
    }
}
