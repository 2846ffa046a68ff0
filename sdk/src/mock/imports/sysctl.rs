//! The kernel's per-link settings (net.ipv4.conf.LINK.* and net.ipv6.conf.LINK.*).

use crate::{
    Error, IpFamily,
    links::Link,
    mock::{object::Object, state::operation},
};

/// Writes one setting of a link of this driver. `key` is the last part of the name
/// ("accept_ra"), `value` what would be written with sysctl(8).
pub fn set(link: &Link, family: IpFamily, key: &str, value: &str) -> Result<(), Error> {
    let name = link.name();
    operation(|state| {
        state.link(&name)?;
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if key.is_empty() || !key.bytes().all(word) {
            return Err(Error::invalid(format!("\"{key}\" is not the name of a link's setting")));
        }
        state.retain(|_, object| !matches!(object, Object::Setting { link, family: f, key: k, .. } if *link == name && *f == family && k == key));
        let (key, value) = (key.to_owned(), value.to_owned());
        state.make(Object::Setting { link: name, family, key, value });
        Ok(())
    })
}
