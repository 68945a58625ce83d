//! What the gateway knows without a runtime: pure Rust, no Workers types, tested natively.
