//! Reading `-o key=value` options.

use std::str::FromStr;

use crate::{DriverOption, Error};

/// The options a user gave, looked up by key and parsed with an error that
/// names the key and says what would be right.
pub struct Options<'a>(&'a [DriverOption]);

// === impl Options ===

impl<'a> Options<'a> {
    /// Wraps the options of a network or endpoint.
    pub fn new(options: &'a [DriverOption]) -> Self {
        Self(options)
    }

    /// The value of `key`, the last one if it was given twice.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|option| option.key == key).map(|option| option.value.as_str())
    }

    /// The value of `key` parsed; `expected` completes "must be …".
    pub fn parse<T: FromStr>(&self, key: &str, expected: &str) -> Result<Option<T>, Error> {
        self.get(key)
            .map(|value| {
                value.parse().map_err(|_| {
                    Error::invalid(format!("option {key}: \"{value}\" must be {expected}"))
                })
            })
            .transpose()
    }

    /// A truth value as Go's `strconv.ParseBool` reads it, since that is what
    /// the engine's own drivers accept.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        self.get(key)
            .map(|value| match value {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
                _ => {
                    Err(Error::invalid(format!("option {key}: \"{value}\" must be true or false")))
                }
            })
            .transpose()
    }
}
