//! The fence: a connection that is over can't write.
//!
//! The client library flushes in the background, also while it is being shut down. A flush that comes after a
//! newer connection began would rewind Signal state, and one after a logout would bring erased credentials back.
//! Each connection therefore gets its own [`FencedSql`]; raising the fence shuts every earlier one out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway_sql::{Row, Sql, SqlError, Value};

/// Which connection may use the keystore.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<AtomicU64>);

impl Fence {
    /// Shuts out every database handed out before.
    pub fn raise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How high it is: who began at this height is not shut out.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A database that works until the fence is next raised.
    pub fn guard<S: Sql>(&self, sql: S) -> FencedSql<S> {
        FencedSql { sql, fence: self.clone(), height: self.height() }
    }
}

/// A database behind a [`Fence`].
#[derive(Clone)]
pub struct FencedSql<S> {
    sql: S,
    fence: Fence,
    height: u64,
}

impl<S: Sql> Sql for FencedSql<S> {
    fn query(&self, statement: &str, bindings: &[Value]) -> Result<Vec<Row>, SqlError> {
        if self.fence.0.load(Ordering::Relaxed) == self.height {
            self.sql.query(statement, bindings)
        } else {
            Err(SqlError("the connection this belongs to is over".to_owned()))
        }
    }

    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.sql.atomically(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_sql::native::NativeSql;

    #[test]
    fn a_raised_fence_shuts_out_what_was_handed_out_before() {
        let fence = Fence::default();
        let old = fence.guard(NativeSql::in_memory().unwrap());
        assert!(old.query("SELECT 1", &[]).is_ok());
        fence.raise();
        let new = fence.guard(NativeSql::in_memory().unwrap());
        assert!(old.query("SELECT 1", &[]).is_err());
        assert!(new.query("SELECT 1", &[]).is_ok());
    }
}
