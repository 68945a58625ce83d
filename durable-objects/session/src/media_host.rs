//! WhatsApp's media hosts, asked for a medium that is taken as it comes. The client library can stream a download too, but
//! only through a blocking `std::io::Read`, which nothing in Workers can wait for: so its way from host to host, and to
//! fresh credentials, is here once more (`download.rs` of whatsapp-rust). The rest of it is the library's.

use std::fmt;
use std::time::Duration;

use gateway_object::outbound::{Answered, Pieces, within};
use whatsapp_rust::Client;
use whatsapp_rust::download::{DownloadUtils, Downloadable, MediaRoute};
use whatsapp_rust::wacore::download::DownloadRequest;
use worker::{CacheMode, Request, RequestInit, RequestRedirect};

use crate::http_client::address;
use crate::media_verifier::{Expected, Flaw, Verified, Verifier};

/// How long a host may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// How much of a file is a step: what comes in smaller pieces is handed on in such.
pub const STEP_BYTES: usize = 64 * 1_024;

/// Why there is no file.
pub enum Failure {
    /// The message lacks what hosts are asked with.
    Unnamed(String),
    /// WhatsApp names no hosts.
    NoRoute(String),
    /// A host answers this instead.
    Status(u16),
    /// A host can't be reached, or breaks off.
    Broken,
    /// A host has stopped saying anything.
    Silent,
    /// The file is larger than what is fetched.
    TooLarge,
    /// What a host has is not the file.
    Flawed(Flaw),
}

/// A message's medium on WhatsApp's hosts.
pub struct Medium<'a> {
    /// Who knows the hosts.
    pub client: &'a Client,
    /// What the message says.
    pub described: &'a dyn Downloadable,
    /// How long the message says it is.
    pub length: Option<u64>,
    /// How long it may be.
    pub most: u64,
}

/// A medium on its way. Dropping it ends the request.
pub struct Coming {
    pieces: Pieces,
    /// None when the end has been seen.
    verifier: Option<Verifier>,
    verified: Option<Verified>,
    /// What of the file has come and was not taken.
    ready: Vec<u8>,
}

impl Failure {
    /// Whether the credentials may be to blame, or an address that has changed with them.
    const fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(401 | 403 | 404 | 410))
    }

    /// Whether WhatsApp does not have the file any more.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Status(404 | 410))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed(why) => write!(text, "its message does not say enough: {why}"),
            Self::NoRoute(why) => write!(text, "nobody can be asked: {why}"),
            Self::Status(status) => write!(text, "status {status}"),
            Self::Broken => write!(text, "the host can't be reached, or broke off"),
            Self::Silent => write!(text, "the host says nothing any more"),
            Self::TooLarge => write!(text, "it is too large"),
            Self::Flawed(flaw) => write!(text, "not the message's file: {flaw:?}"),
        }
    }
}

impl From<Flaw> for Failure {
    fn from(flaw: Flaw) -> Self {
        Self::Flawed(flaw)
    }
}

impl Medium<'_> {
    /// Fetches all of it to verify it, and keeps it if it is no longer than `keep`.
    ///
    /// # Errors
    /// When no host has it.
    pub async fn verify(&self, keep: usize) -> Result<(Verified, Option<Vec<u8>>), Failure> {
        self.on_any_host(None, async |mut coming| {
            let announced = self.length.and_then(|length| usize::try_from(length).ok());
            let mut kept = announced
                .is_none_or(|length| length <= keep)
                .then(|| Vec::with_capacity(announced.unwrap_or_default()));
            while let Some(step) = coming.next().await? {
                kept = kept.filter(|kept| kept.len() + step.len() <= keep);
                if let Some(kept) = &mut kept {
                    kept.extend_from_slice(&step);
                }
            }
            Ok((coming.verified.ok_or(Failure::Broken)?, kept))
        })
        .await
    }

    /// Fetches it again, to hand it on; the first of it has come.
    ///
    /// # Errors
    /// When no host has it.
    pub async fn again(&self, verified: &Verified) -> Result<Coming, Failure> {
        self.on_any_host(Some(verified), async |mut coming| {
            coming.fill().await?;
            Ok(coming)
        })
        .await
    }

    async fn on_any_host<T>(
        &self,
        before: Option<&Verified>,
        mut take: impl AsyncFnMut(Coming) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut last = Failure::NoRoute("no hosts".to_owned());
        for is_refreshed in [false, true] {
            for request in self.requests(is_refreshed).await? {
                let taken = async { take(self.ask(&request, before).await?).await };
                match taken.await {
                    Ok(taken) => return Ok(taken),
                    // Nor is it smaller on another host.
                    Err(Failure::Flawed(Flaw::Longer)) if self.length.is_none() => {
                        return Err(Failure::TooLarge);
                    }
                    Err(failure) => last = failure,
                }
                worker::console_warn!("a media host does not have a file: {last}");
                if last.is_refusal() {
                    break;
                }
            }
            if !last.is_refusal() {
                break;
            }
        }
        Err(last)
    }

    async fn requests(&self, is_refreshed: bool) -> Result<Vec<DownloadRequest>, Failure> {
        // An address is asked as it is: there is nothing to be known of hosts.
        let route = if self.described.static_url().is_some() {
            MediaRoute::unauthenticated(Vec::new())
        } else {
            let hosts = self.client.refresh_media_conn(is_refreshed).await;
            MediaRoute::from(&hosts.map_err(|error| Failure::NoRoute(error.to_string()))?)
        };
        DownloadUtils::prepare_download_requests(self.described, &route)
            .map_err(|error| Failure::Unnamed(error.to_string()))
    }

    async fn ask(&self, request: &DownloadRequest, before: Option<&Verified>) -> Result<Coming, Failure> {
        let most = self.length.unwrap_or(self.most);
        let expected = Expected::of(self.described, &request.decryption, most)
            .map_err(|error| Failure::Unnamed(error.to_string()))?;
        let mut init = RequestInit::new();
        // Where a host would lead on, nobody follows; and nothing is kept, nor is the second answer the first.
        init.with_redirect(RequestRedirect::Manual).with_cache(CacheMode::NoStore);
        let asked = Request::new_with_init(&address(&request.url), &init).map_err(|_| Failure::Broken)?;
        let answered = within(SILENCE, Answered::to(asked)).await.ok_or(Failure::Silent)?;
        let answered = answered.map_err(|_| Failure::Broken)?;
        if !(200..300).contains(&answered.status()) {
            return Err(Failure::Status(answered.status()));
        }
        let length = answered.header("content-length").and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > expected.most()) {
            return Err(Flaw::Longer.into());
        }
        let expected = match before {
            Some(verified) => expected.again(verified),
            None => expected,
        };
        let verifier = Some(Verifier::new(expected));
        Ok(Coming { pieces: answered.pieces(), verifier, verified: None, ready: Vec::new() })
    }
}

impl Coming {
    /// The next step of the file; none when all of it has been taken. Its end comes when the whole is verified.
    ///
    /// # Errors
    /// When there is no more of it, or it is not what it must be.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.fill().await?;
        Ok(Some(std::mem::take(&mut self.ready)).filter(|step| !step.is_empty()))
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        while self.ready.len() < STEP_BYTES
            && let Some(verifier) = &mut self.verifier
        {
            let piece = within(SILENCE, self.pieces.next()).await.ok_or(Failure::Silent)?;
            if let Some(piece) = piece.map_err(|_| Failure::Broken)? {
                verifier.feed(&piece, &mut self.ready)?;
            } else if let Some(verifier) = self.verifier.take() {
                self.verified = Some(verifier.finish(&mut self.ready)?);
            }
        }
        Ok(())
    }
}
