//! A file as a body, of an answer or of a request: written while it comes, at the pace of whoever reads it.

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use gateway_object::outbound::within;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::web_sys::{ReadableStream, WritableStreamDefaultWriter};
use worker::worker_sys::FixedLengthStream;

/// How long a reader may take nothing. One that has hung up does not always say so.
const IDLE: Duration = Duration::from_mins(2);

/// The body, which is so long. It ends when all of it has come, or breaks off before its end.
///
/// # Errors
/// When the runtime refuses the stream.
pub fn body(
    steps: impl Stream<Item = Result<Vec<u8>, String>> + 'static,
    length: u64,
) -> worker::Result<ReadableStream> {
    // With a length: a body that breaks off is seen to be short. Not workers-rs' own: there a failure goes unhandled, and
    // nothing is let go when nobody reads.
    let length = u32::try_from(length).map_err(|error| worker::Error::RustError(error.to_string()))?;
    let stream = FixedLengthStream::new(length)?;
    let writer = stream.writable().get_writer()?;
    spawn_local(async move {
        if let Err(why) = write(steps, &writer).await {
            worker::console_warn!("a file breaks off: {why}");
            let _is_over = JsFuture::from(writer.abort_with_reason(&"the file broke off".into())).await;
        }
    });
    Ok(stream.readable())
}

async fn write(
    steps: impl Stream<Item = Result<Vec<u8>, String>>,
    writer: &WritableStreamDefaultWriter,
) -> Result<(), String> {
    let mut steps = pin!(steps);
    while let Some(step) = steps.next().await {
        taken(writer.write_with_chunk(&Uint8Array::from(step?.as_slice()))).await?;
    }
    taken(writer.close()).await
}

/// Waits until what was written has been read.
async fn taken(written: Promise) -> Result<(), String> {
    let written = within(IDLE, JsFuture::from(written)).await.ok_or("nobody reads it")?;
    written.map(drop).map_err(|_| "its reader is gone".to_owned())
}
