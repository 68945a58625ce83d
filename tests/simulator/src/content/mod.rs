//! What is in a message: read for whoever looks at a phone, made for whoever writes on one.

mod about;
pub mod addons;
mod fields;
pub mod make;
mod media;
mod read;
mod request;

pub use media::{File, file, moved};
pub use read::{Shown, shown, unwrapped};
pub use request::Request;
