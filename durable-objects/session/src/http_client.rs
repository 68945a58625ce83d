//! The client library's HTTP: the version page and, later, media hosts. Buffered whole; Workers' `fetch`.

use whatsapp_rust::anyhow::{Error, Result};
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use worker::{AbortController, Delay, Fetch, Headers, Method, Request, RequestInit};

/// No answer of WhatsApp's web hosts takes longer.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

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
    let request = Request::new_with_init(&request.url, &init)?;
    let mut response = Fetch::Request(request).send_with_signal(signal).await?;
    let status_code = response.status_code();
    Ok(HttpResponse { status_code, body: response.bytes().await? })
}
