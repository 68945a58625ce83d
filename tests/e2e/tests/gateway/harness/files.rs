//! Files to send, made by their specifications, and a server that has some: as well or as badly behaved as a test wants it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::MutexGuard;

pub fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// A PNG of one colour, whole: it has a preview. Each is another file.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let colour: [u8; 3] = rand::rng().random();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    let pixels = colour.repeat(usize::try_from(width * height).unwrap());
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    file
}

/// The beginning of a still WebP.
pub fn webp(width: u16, height: u16) -> Vec<u8> {
    let mut file = b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\x30\x01\0\x9d\x01\x2a".to_vec();
    file.extend(width.to_le_bytes());
    file.extend(height.to_le_bytes());
    file
}

fn boxed(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut boxed = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
    boxed.extend(name);
    boxed.extend(body);
    boxed
}

/// An MP4 that shows something for so long, of so many bytes.
pub fn mp4(width: u16, height: u16, milliseconds: u32, length: usize) -> Vec<u8> {
    let time = [&[0; 4][..], &1_u32.to_be_bytes(), &2_u32.to_be_bytes()].concat();
    let header = [&time[..], &1_000_u32.to_be_bytes(), &milliseconds.to_be_bytes(), &[0; 80]].concat();
    let mut track =
        [&time[..], &1_u32.to_be_bytes(), &[0; 4], &milliseconds.to_be_bytes(), &[0; 16]].concat();
    for number in [0x1_0000_u32, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000] {
        track.extend(number.to_be_bytes());
    }
    track.extend([u32::from(width) << 16, u32::from(height) << 16].map(u32::to_be_bytes).concat());
    let handler = boxed(*b"mdia", &boxed(*b"hdlr", &[&[0; 8][..], b"vide", &[0; 13]].concat()));
    let track = boxed(*b"trak", &[boxed(*b"tkhd", &track), handler].concat());
    let movie = boxed(*b"moov", &[boxed(*b"mvhd", &header), track].concat());
    let kind = boxed(*b"ftyp", b"isom\0\0\x02\0isomiso2");
    let mut media = vec![0; length.saturating_sub(kind.len() + movie.len() + 8)];
    rand::fill(&mut media[..]);
    [kind, boxed(*b"mdat", &media), movie].concat()
}

/// A voice note: Opus in Ogg.
pub fn opus(milliseconds: u64) -> Vec<u8> {
    let page = |granule: u64, body: &[u8]| {
        let mut page = b"OggS\0\0".to_vec();
        page.extend(granule.to_le_bytes());
        page.extend(7_u32.to_le_bytes());
        page.extend([0; 8]);
        page.extend([1, u8::try_from(body.len()).unwrap()]);
        page.extend(body);
        page
    };
    let head = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
    [page(0, head), page(0, b"OpusTags"), page(milliseconds * 48 + 312, &random(20))].concat()
}

pub fn pdf(length: usize) -> Vec<u8> {
    [b"%PDF-1.4\n", &random(length - 9)[..]].concat()
}

pub fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes[..]);
    bytes
}

/// An isolate has memory for a few large files at a time, and refuses more: tests that send such take turns.
pub async fn large() -> MutexGuard<'static, ()> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    TURN.lock().await
}

/// A part of an answer.
#[derive(Clone)]
pub enum Part {
    Bytes(Vec<u8>),
    /// The same again and again, as fast as it is taken.
    Forever(Vec<u8>),
    /// The same again and again, at this pace.
    Every(Duration, Vec<u8>),
    /// Nothing more, and the connection stays.
    Silence,
}

#[derive(Default)]
struct Shelf {
    answers: BTreeMap<String, Vec<Part>>,
    asked: Vec<String>,
    open: usize,
}

/// See the module: bytes on a socket, for each path its own. Stops when dropped.
pub struct FileServer {
    port: u16,
    shelf: Arc<Mutex<Shelf>>,
    task: tokio::task::JoinHandle<()>,
}

impl FileServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shelf: Arc<Mutex<Shelf>> = Arc::default();
        let of = Arc::clone(&shelf);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let of = Arc::clone(&of);
                tokio::spawn(async move {
                    of.lock().unwrap().open += 1;
                    let _hung_up = answer(socket, &of).await;
                    of.lock().unwrap().open -= 1;
                });
            }
        });
        Self { port, shelf, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Whoever asks for this path gets these bytes; its URL.
    pub fn says(&self, path: &str, parts: &[Part]) -> String {
        self.shelf.lock().unwrap().answers.insert(path.to_owned(), parts.to_vec());
        self.url(path)
    }

    /// Whoever asks for this path gets this head, with the line breaks it wants, and this body.
    pub fn answers(&self, path: &str, head: &str, body: &[u8]) -> String {
        let head = format!("{}\r\n\r\n", head.replace('\n', "\r\n")).into_bytes();
        self.says(path, &[Part::Bytes([&head[..], body].concat())])
    }

    /// A file, served as it should be.
    pub fn file(&self, path: &str, kind: &str, file: &[u8]) -> String {
        let length = file.len();
        let head =
            format!("HTTP/1.1 200 OK\ncontent-type: {kind}\ncontent-length: {length}\nconnection: close");
        self.answers(path, &head, file)
    }

    /// The heads of the requests for a path.
    pub fn asked(&self, path: &str) -> Vec<String> {
        let is_it = |head: &&String| head.split(' ').nth(1) == Some(path);
        self.shelf.lock().unwrap().asked.iter().filter(is_it).cloned().collect()
    }

    /// How many connections there are.
    pub fn open(&self) -> usize {
        self.shelf.lock().unwrap().open
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut socket: TcpStream, shelf: &Mutex<Shelf>) -> std::io::Result<()> {
    let (mut head, mut chunk) = (Vec::new(), [0; 4_096]);
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut chunk).await? {
            0 => return Ok(()),
            read => head.extend_from_slice(&chunk[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let parts = {
        let mut shelf = shelf.lock().unwrap();
        shelf.asked.push(head);
        shelf.answers.get(&path).cloned()
    };
    let none =
        || vec![Part::Bytes(b"HTTP/1.1 404 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec())];
    for part in parts.unwrap_or_else(none) {
        match part {
            Part::Bytes(bytes) => socket.write_all(&bytes).await?,
            Part::Forever(bytes) => loop {
                socket.write_all(&bytes).await?;
            },
            Part::Every(pause, bytes) => {
                let mut beat = tokio::time::interval(pause);
                loop {
                    beat.tick().await;
                    socket.write_all(&bytes).await?;
                }
            }
            Part::Silence => while socket.read(&mut chunk).await? > 0 {},
        }
    }
    Ok(())
}
