//! The body of a request to send, read as it comes and before anything is done with it: its files are most of it, and may be
//! larger than the memory there is. Small ones are handed on with the request; of larger ones each part goes to the session's
//! object at once, into a lot which the request takes over, or nobody (docs/decisions/media.md).

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures::StreamExt;
use gateway_domain::error::ApiError;
use gateway_domain::ids;
use gateway_domain::message::{FileFound, SendBody, limits};
use gateway_object::budget::Share;
use gateway_object::calls::PART_BYTES;
use gateway_object::calls::session::{Call, Part};
use http::{Request, header};
use worker::Env;

use crate::auth::Organization;
use crate::configuration::{now, random};
use crate::directory::{Directory, SessionRow};
use crate::error::Refusal;
use crate::request::is_json;
use crate::routes::messages::must_have_been_started;
use crate::session_object::SessionObject;

/// A part on its way: here, as the call's body, and in the object.
const COPIES: usize = 4;
/// How long a part waits for memory.
const MEMORY_PATIENCE: Duration = Duration::from_secs(10);
/// As much of a piece is read at once: what is decoded of it waits in memory.
const BITE: usize = 256 * 1024;

/// The files of a request, on its extensions.
#[derive(Clone, Default)]
pub struct Files {
    /// What was found, by number.
    pub found: Arc<Vec<FileFound>>,
    /// They themselves, unless they are in a lot.
    pub bytes: Arc<Vec<Vec<u8>>>,
    /// The lot they are in.
    pub lot: Option<String>,
}

/// Files that a session's object keeps for a request.
pub struct Lot {
    row: SessionRow,
    id: String,
    has_begun: bool,
}

impl Lot {
    /// Nothing has come of the request: nobody needs to keep its files. If this doesn't get there, the object drops them
    /// after some time.
    pub async fn refuse(self, env: &Env) {
        let call = Call::RefuseLot { lot: self.id };
        let _not_important = SessionObject::of(env, &self.row).call::<()>(call).await;
    }
}

/// Takes the files out of a request's body. What is left is JSON in which their numbers stand for them.
///
/// # Errors
/// When the body is too large or breaks off, and where nothing could be sent. The rest of it is read all the same: who is
/// still sending hears no answer.
pub async fn take_in(
    env: &Env,
    organization: &Organization,
    request: Request<Body>,
) -> Result<(Request<Body>, Option<Lot>), Refusal> {
    // Anything else is refused by its handler.
    if !is_json(request.headers()) {
        return Ok((request, None));
    }
    let (mut parts, body) = request.into_parts();
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<usize>().ok());
    let mut stream = body.into_data_stream();
    if announced.is_some_and(|length| length > limits::MAX_BODY_BYTES) {
        drain(&mut stream).await;
        return Err(unread());
    }
    let session = parts.uri.path().split('/').nth(4).and_then(ids::parse);
    let mut taking = Taking {
        env,
        organization,
        session,
        body: SendBody::default(),
        files: Vec::new(),
        lot: None,
        left: limits::MAX_BODY_BYTES,
    };
    if let Err(refusal) = taking.read(&mut stream).await {
        drain(&mut stream).await;
        if let Some(lot) = taking.lot {
            lot.refuse(env).await;
        }
        return Err(refusal);
    }
    let (files, rest, lot) = taking.taken()?;
    parts.extensions.insert(files);
    Ok((Request::from_parts(parts, Body::from(rest)), lot))
}

/// Lets the rest of a body go by, unless there is no end to it.
async fn drain(stream: &mut BodyDataStream) {
    let mut left = 2 * limits::MAX_BODY_BYTES;
    while let Some(Ok(piece)) = stream.next().await {
        match left.checked_sub(piece.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}

fn unread() -> Refusal {
    ApiError::validation("body", "Must be whole, and 88 MiB at most.").into()
}

/// A body on its way in.
struct Taking<'a> {
    env: &'a Env,
    organization: &'a Organization,
    session: Option<String>,
    body: SendBody,
    files: Vec<Waiting>,
    lot: Option<Lot>,
    /// How many bytes more the body may have.
    left: usize,
}

/// What of a file is here.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many parts are not, because they are in the lot.
    parts: usize,
}

impl Taking<'_> {
    async fn read(&mut self, stream: &mut BodyDataStream) -> Result<(), Refusal> {
        while let Some(piece) = stream.next().await {
            let piece: Bytes = piece.map_err(|_| unread())?;
            self.left = self.left.checked_sub(piece.len()).ok_or_else(unread)?;
            for bite in piece.chunks(BITE) {
                self.take(bite).await?;
            }
        }
        self.keep(true).await
    }

    async fn take(&mut self, bite: &[u8]) -> Result<(), Refusal> {
        let files = &mut self.files;
        self.body.feed(bite, &mut |number: usize, bytes: &[u8]| {
            if files.len() <= number {
                files.resize_with(number.saturating_add(1), Waiting::default);
            }
            if let Some(file) = files.get_mut(number) {
                file.bytes.extend_from_slice(bytes);
            }
        });
        if let Some(field) = self.body.too_long() {
            let message = "Too much: what is no file must be 1 MiB at most, all together, and files 30.";
            return Err(ApiError::validation(field, message).into());
        }
        if self.body.is_damaged() {
            // Its files go nowhere.
            self.files.clear();
        }
        let waiting: usize = self.files.iter().map(|file| file.bytes.len()).sum();
        if self.lot.is_none() && waiting > PART_BYTES {
            self.begin_lot().await?;
        }
        self.keep(false).await
    }

    async fn begin_lot(&mut self) -> Result<(), Refusal> {
        let session = self.session.as_deref().ok_or_else(ApiError::not_found)?;
        let row = Directory::of(self.env, self.organization)?.session(session).await?;
        let row = row.ok_or_else(ApiError::not_found)?;
        must_have_been_started(&row)?;
        self.lot = Some(Lot { row, id: ids::mint(now(), random()), has_begun: false });
        Ok(())
    }

    /// Hands the object what is a whole part; of files that have ended all there is.
    async fn keep(&mut self, is_over: bool) -> Result<(), Refusal> {
        let Some(lot) = &mut self.lot else { return Ok(()) };
        let object = SessionObject::of(self.env, &lot.row);
        let last = self.files.len().saturating_sub(1);
        for (number, file) in self.files.iter_mut().enumerate() {
            while file.bytes.len() >= PART_BYTES || (!file.bytes.is_empty() && (is_over || number < last)) {
                let share = Share::within(COPIES * PART_BYTES, MEMORY_PATIENCE).await;
                let _share = share
                    .ok_or_else(|| ApiError::unavailable("Too many files at once; try again shortly."))?;
                let rest = file.bytes.split_off(file.bytes.len().min(PART_BYTES));
                let bytes = std::mem::replace(&mut file.bytes, rest);
                let part = Part { number: file.parts, is_first: !lot.has_begun };
                object.keep_part(&lot.id, number, part, bytes).await?;
                lot.has_begun = true;
                file.parts = file.parts.saturating_add(1);
            }
        }
        Ok(())
    }

    fn taken(self) -> Result<(Files, Vec<u8>, Option<Lot>), Refusal> {
        let (rest, found) = self.body.end().ok_or_else(unread)?;
        let mut bytes: Vec<Vec<u8>> = self.files.into_iter().map(|file| file.bytes).collect();
        bytes.resize(found.len(), Vec::new());
        if self.lot.is_some() {
            bytes.clear();
        }
        let lot = self.lot.as_ref().map(|lot| lot.id.clone());
        Ok((Files { found: Arc::new(found), bytes: Arc::new(bytes), lot }, rest, self.lot))
    }
}
