//! The client library's HTTP: media hosts. Workers' `fetch`; an answer is buffered whole, up to a limit: the memory is
//! that of all sessions of the isolate. A message's medium does not come this way (`media_host.rs`).

use futures::StreamExt;
use whatsapp_rust::anyhow::{Error, Result};
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response,
};

/// No answer of WhatsApp's web hosts takes longer.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// The largest answer: what the library itself downloads, history and app state.
const MAX_ANSWER_BYTES: usize = 17 * 1_024 * 1_024;

/// See the module.
pub struct FetchHttp;

#[async_trait::async_trait(?Send)]
impl HttpClient for FetchHttp {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse> {
        let aborter = AbortController::default();
        let signal = aborter.signal();
        let exchange = std::pin::pin!(exchange(request, &signal));
        match futures::future::select(exchange, Delay::from(TIMEOUT)).await {
            futures::future::Either::Left((response, _)) => {
                response.map_err(|error| Error::msg(error.to_string()))
            }
            futures::future::Either::Right(_) => {
                aborter.abort();
                Err(Error::msg("timed out"))
            }
        }
    }
}

async fn exchange(request: HttpRequest, signal: &worker::AbortSignal) -> worker::Result<HttpResponse> {
    let headers = Headers::new();
    for (name, value) in &request.headers {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(if request.method == "POST" { Method::Post } else { Method::Get }).with_headers(headers);
    if let Some(body) = &request.body {
        init.with_body(Some(js_sys::Uint8Array::from(body.as_ref()).into()));
    }
    // The addresses come from WhatsApp over the encrypted connection; where they would lead on, nobody follows.
    init.with_redirect(RequestRedirect::Manual);
    let request = Request::new_with_init(&address(&request.url), &init)?;
    let mut response = Fetch::Request(request).send_with_signal(signal).await?;
    let status_code = response.status_code();
    Ok(HttpResponse { status_code, body: read(&mut response).await? })
}

/// The whole answer, as far as there is room for it.
async fn read(response: &mut Response) -> worker::Result<Vec<u8>> {
    let Ok(mut stream) = response.stream() else { return Ok(Vec::new()) };
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(worker::Error::RustError("the answer is too large".to_owned()));
        }
        body.extend(chunk);
    }
    Ok(body)
}

#[cfg(not(feature = "simulator"))]
pub(crate) fn address(url: &str) -> String {
    url.to_owned()
}

/// The library asks media hosts over https only; the simulator's are on loopback and speak http.
#[cfg(feature = "simulator")]
pub(crate) fn address(url: &str) -> String {
    url.replacen("https://127.0.0.1:", "http://127.0.0.1:", 1)
}
