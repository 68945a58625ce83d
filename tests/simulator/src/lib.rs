//! A WhatsApp on loopback.
