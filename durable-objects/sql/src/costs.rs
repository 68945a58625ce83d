//! What the objects of this isolate have cost so far, as the platform counts it: rows read and written, requests to
//! objects, alarms. Simulator build only; docs/costs.md is checked against it.

use std::cell::Cell;

thread_local! {
    static COSTS: Cell<Costs> = const { Cell::new(Costs { rows_read: 0, rows_written: 0, requests: 0, alarms: 0 }) };
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    /// Rows that statements have read.
    pub rows_read: u64,
    /// Rows that statements have written, indexes included.
    pub rows_written: u64,
    /// Calls of one object to another, or of the front door.
    pub requests: u64,
    /// Alarms that were set: each is a row written, and a request when it rings.
    pub alarms: u64,
}

/// So far.
#[must_use]
pub fn so_far() -> Costs {
    COSTS.get()
}

/// One statement more.
pub fn statement(rows_read: u64, rows_written: u64) {
    let costs = COSTS.get();
    COSTS.set(Costs {
        rows_read: costs.rows_read + rows_read,
        rows_written: costs.rows_written + rows_written,
        ..costs
    });
}

/// One call more.
pub fn request() {
    let costs = COSTS.get();
    COSTS.set(Costs { requests: costs.requests + 1, ..costs });
}

/// One alarm more.
pub fn alarm() {
    let costs = COSTS.get();
    COSTS.set(Costs { alarms: costs.alarms + 1, ..costs });
}
