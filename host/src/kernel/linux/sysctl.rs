//! Settings of links below /proc/sys.

use std::fs;

use crate::kernel::{Error, Object, Sysctl, Undo};

/// Writes a setting; the inverse puts the old value back.
///
/// /proc/sys/net shows the namespace of the thread that opens the file, and
/// procfs does not block, so this needs no thread of its own.
pub(super) fn set(setting: &Sysctl) -> Result<Undo, Error> {
    let path = setting.path();
    let file = format!("/proc/sys/{path}");
    let failed =
        |source: std::io::Error| Error::Sysctl { path: path.clone(), source: source.into() };
    let value = match fs::read_to_string(&file) {
        Ok(value) => value.trim_end().to_owned(),
        // A kernel booted with ipv6.disable=1 has no IPv6 to set anything of.
        Err(error) if setting.ipv6 && error.kind() == std::io::ErrorKind::NotFound => {
            return if setting.key == "disable_ipv6" && setting.value == "1" {
                Ok(Undo::Nothing)
            } else {
                Err(failed(error))
            };
        }
        Err(error) => return Err(failed(error)),
    };
    if value == setting.value {
        return Ok(Undo::Nothing);
    }
    fs::write(&file, &setting.value).map_err(failed)?;
    let old = Sysctl { value, ..setting.clone() };
    Ok(Undo::Replace(Object::Sysctl(old), Object::Sysctl(setting.clone())))
}

/// The value of a setting, if it is there.
pub(super) fn get(setting: &Sysctl) -> Option<String> {
    let value = fs::read_to_string(format!("/proc/sys/{}", setting.path())).ok()?;
    Some(value.trim_end().to_owned())
}

/// Puts back what a setting of a link that stays was before. One of a link that goes
/// goes with it; there is no value that would be "none".
pub(super) fn put_back(setting: &Sysctl) -> Result<(), Error> {
    let Some(before) = &setting.before else { return Ok(()) };
    let path = setting.path();
    match fs::write(format!("/proc/sys/{path}"), before) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Sysctl { path, source: error.into() })
        }
        _ => Ok(()),
    }
}
