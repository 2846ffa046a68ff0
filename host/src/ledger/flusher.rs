//! Flushing the store when no call waits for it.
//!
//! Calls come in rows: what the reaper forgets of one would be written while the next wants to
//! write. So it waits for a moment, and is written together with what came since.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::store::Store;

/// How long rows that need not last may wait.
const DELAY: Duration = Duration::from_secs(1);

/// Flushes a store some time after it was asked to, once for all who asked.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    asked: Arc<AtomicBool>,
}

// === impl Flusher ===

impl Flusher {
    /// Has the store flushed soon. One that is dropped before flushes itself.
    pub(super) fn wake(&self, store: &Arc<Store>) {
        if self.asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let (asked, store) = (Arc::clone(&self.asked), Arc::downgrade(store));
        tokio::spawn(async move {
            tokio::time::sleep(DELAY).await;
            // Before it begins: whoever comes while it flushes may be too late for it.
            asked.store(false, Ordering::Release);
            let Some(store) = store.upgrade() else { return };
            match tokio::task::spawn_blocking(move || store.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %crate::error::chain(&error), "cannot forget deleted objects; will try again");
                }
                Err(error) => tracing::error!(%error, "the store could not be flushed"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, Lasting, Table};

    #[tokio::test(start_paused = true)]
    async fn what_is_pending_is_in_the_file_after_a_while() {
        let store = Arc::new(Store::in_memory().unwrap());
        let flusher = Flusher::default();
        for round in 1..3 {
            for part in ["a", "b"] {
                let key = format!("{part}{round}").into_bytes();
                let batch = Batch::from([((Table::Keys, key), Some(Vec::new()))]);
                store.write(&batch, Lasting::Relaxed).unwrap();
                flusher.wake(&store);
            }
            let before = store.rows(Table::Keys).unwrap().len();
            assert_eq!(before, 2 * (round - 1));
            while store.rows(Table::Keys).unwrap().len() < 2 * round {
                tokio::time::sleep(DELAY).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_is_not_kept_open_for_it() {
        let store = Arc::new(Store::in_memory().unwrap());
        Flusher::default().wake(&store);
        assert!(Arc::into_inner(store).is_some());
    }
}
