//! The front door of the gateway.
