//! Reading `-o key=value` options.

use std::str::FromStr;

use crate::{DriverOption, Error};

/// The options a user gave, looked up by key and parsed with an error that
/// names the key and says what would be right.
///
/// ```
/// use wasmnet_sdk::{Options, mock};
///
/// let network = mock::network("n1").option("acme.fast", "yes").option("acme.queue", "7").done();
/// let options = Options::new(&network.options);
/// assert_eq!(options.get("acme.queue"), Some("7"));
/// assert_eq!(options.parse::<u32>("acme.queue", "a number of packets")?, Some(7));
/// assert_eq!(options.parse::<u32>("acme.depth", "a number of packets")?, None);
/// let wrong = options.flag("acme.fast").unwrap_err();
/// assert_eq!(wrong.message, "option acme.fast: \"yes\" must be true or false");
/// # Ok::<(), wasmnet_sdk::Error>(())
/// ```
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
