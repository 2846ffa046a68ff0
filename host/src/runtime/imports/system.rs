//! `config`, `log`, `clock`, `random`.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime},
};

use crate::runtime::{
    bindings::network::wasmnet::driver::{clock, config, log, log::Level, random},
    call::CallState,
};

/// Most random bytes in one call.
const RANDOM_MAX: u32 = 4096;
/// Longest line a driver can log, in characters.
const LINE_MAX: usize = 2000;

/// The point in the past that `monotonic` counts from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

// === impl CallState ===

impl config::Host for CallState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.config.get(&key).cloned())
    }
}

impl log::Host for CallState {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let Some(left) = self.log_lines.checked_sub(1) else {
            self.lines_lost = self.lines_lost.saturating_add(1);
            return Ok(());
        };
        self.log_lines = left;
        let driver = &self.driver;
        let line: String = message.chars().take(LINE_MAX).collect();
        let line = line.escape_debug();
        match level {
            Level::Error => tracing::error!(target: "wasmnet::driver", %driver, "{line}"),
            Level::Warn => tracing::warn!(target: "wasmnet::driver", %driver, "{line}"),
            Level::Info => tracing::info!(target: "wasmnet::driver", %driver, "{line}"),
            Level::Debug => tracing::debug!(target: "wasmnet::driver", %driver, "{line}"),
        }
        Ok(())
    }
}

impl clock::Host for CallState {
    async fn monotonic(&mut self) -> wasmtime::Result<u64> {
        Ok(match &self.steady {
            Some(steady) => steady.monotonic(),
            None => nanoseconds(START.elapsed()),
        })
    }

    async fn wall(&mut self) -> wasmtime::Result<u64> {
        Ok(match &self.steady {
            Some(steady) => steady.wall(),
            None => SystemTime::UNIX_EPOCH.elapsed().map_or(0, nanoseconds),
        })
    }
}

impl random::Host for CallState {
    async fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        let length = length.min(RANDOM_MAX) as usize;
        if let Some(steady) = &self.steady {
            return Ok(steady.bytes(length));
        }
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += rustix::rand::getrandom(
                &mut bytes[filled..],
                rustix::rand::GetRandomFlags::empty(),
            )?;
        }
        Ok(bytes)
    }
}

pub(super) fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
