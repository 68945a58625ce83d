//! A request under way and its answer, which is read as far as it is wanted. Dropping either ends it on the network too,
//! so a deadline is a future that is dropped.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, select};
use worker::{AbortController, ByteStream, Delay, Fetch, Request, Response};

/// A body that comes in more pieces is not read on. Each costs a turn of the isolate, and whoever sends single bytes would
/// have millions of them; 64 MiB in pieces of a kilobyte are so many.
const MAX_PIECES: u32 = 65_536;

/// What comes of it within some time; after that it is dropped.
pub async fn within<F: Future>(time: Duration, work: F) -> Option<F::Output> {
    match select(pin!(work), Delay::from(time)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

/// An answer whose body is still to come.
pub struct Answered {
    response: Response,
    under_way: UnderWay,
}

/// A body on its way, piece by piece.
pub struct Pieces {
    stream: Option<ByteStream>,
    _under_way: UnderWay,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where its sender ended it.
    Whole,
    /// There is more than was wanted.
    More,
    /// It broke off.
    Broken,
    /// What takes it wants no more.
    Refused,
}

/// What ends a request that nobody waits for any more. Aborting one that is over does nothing.
struct UnderWay(Option<AbortController>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(aborter) = self.0.take() {
            aborter.abort();
        }
    }
}

impl Answered {
    /// Sends a request and waits for the head of its answer, for as long as the runtime does.
    ///
    /// # Errors
    /// When there is none.
    pub async fn to(request: Request) -> worker::Result<Self> {
        let aborter = AbortController::default();
        let signal = aborter.signal();
        let under_way = UnderWay(Some(aborter));
        let response = Fetch::Request(request).send_with_signal(&signal).await?;
        Ok(Self { response, under_way })
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status_code()
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.response.headers().get(name).ok().flatten()
    }

    /// The body, for who takes it as it comes.
    #[must_use]
    pub fn pieces(mut self) -> Pieces {
        // A status without a body has no stream.
        Pieces { stream: self.response.stream().ok(), _under_way: self.under_way }
    }

    /// Reads the body into `body`, `most` bytes of it. What was read stays there when this is dropped before its end.
    pub async fn read(&mut self, body: &mut Vec<u8>, most: usize) -> End {
        self.read_to(most, |piece| {
            body.extend_from_slice(piece);
            true
        })
        .await
    }

    /// The same, to what takes a piece and says whether it wants more.
    pub async fn read_to(&mut self, most: usize, mut take: impl FnMut(&[u8]) -> bool) -> End {
        // A status without a body has no stream.
        let Ok(mut stream) = self.response.stream() else { return End::Whole };
        let mut room = most;
        for _ in 0..MAX_PIECES {
            match stream.next().await {
                None => return End::Whole,
                Some(Err(_)) => return End::Broken,
                Some(Ok(piece)) => {
                    if !take(piece.get(..room).unwrap_or(&piece)) {
                        return End::Refused;
                    }
                    match room.checked_sub(piece.len()) {
                        Some(left) => room = left,
                        None => return End::More,
                    }
                }
            }
        }
        End::Broken
    }
}

impl Pieces {
    /// The next piece; none when there is no more.
    ///
    /// # Errors
    /// When it broke off.
    pub async fn next(&mut self) -> worker::Result<Option<Vec<u8>>> {
        match &mut self.stream {
            Some(stream) => stream.next().await.transpose(),
            None => Ok(None),
        }
    }
}
