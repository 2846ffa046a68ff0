//! Making errors.

use crate::{Error, ErrorCode};

// === impl Error ===

impl Error {
    /// The request makes no sense: `message` says which part, and what would.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::Invalid, message: message.into() }
    }

    /// There is none.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::NotFound, message: message.into() }
    }

    /// Cannot be done now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::Unavailable, message: message.into() }
    }

    /// There is one already.
    pub fn exists(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::Exists, message: message.into() }
    }

    /// Nothing is left.
    pub fn exhausted(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::Exhausted, message: message.into() }
    }
}
