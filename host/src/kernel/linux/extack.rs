//! Netlink errors with the kernel's own sentence.
//!
//! Documentation/userspace-api/netlink/intro.rst, "Extended ACK": after the
//! error number stands the header of the refused request, and after it
//! attributes, one of which may be a text.

use netlink_packet_core::ErrorMessage;
use rustix::io::Errno;

use crate::kernel::Refusal;

/// Length of a netlink message header.
const NLMSG_HDRLEN: usize = 16;
/// Length of an attribute's header.
const NLA_HDRLEN: usize = 4;
/// The attribute with the sentence (include/uapi/linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;
/// The bits of an attribute's type that are flags.
const NLA_TYPE_MASK: u16 = 0x3fff;

// === impl Refusal ===

impl From<rtnetlink::Error> for Refusal {
    fn from(error: rtnetlink::Error) -> Self {
        match error {
            rtnetlink::Error::NetlinkError(message) => Self::from(message),
            _ => Self::NoAnswer,
        }
    }
}

impl From<ErrorMessage> for Refusal {
    fn from(message: ErrorMessage) -> Self {
        let Some(code) = message.code else { return Self::NoAnswer };
        Self::Errno {
            errno: Errno::from_raw_os_error(code.get().saturating_abs()),
            sentence: message.header.get(NLMSG_HDRLEN..).and_then(sentence),
        }
    }
}

/// Finds the sentence among the attributes.
fn sentence(mut attributes: &[u8]) -> Option<String> {
    while let [l0, l1, t0, t1, ..] = *attributes {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let kind = u16::from_ne_bytes([t0, t1]) & NLA_TYPE_MASK;
        let value = attributes.get(NLA_HDRLEN..length)?;
        if kind == NLMSGERR_ATTR_MSG {
            let text = value.strip_suffix(b"\0").unwrap_or(value);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        attributes = attributes.get(length.next_multiple_of(NLA_HDRLEN)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_is_found_behind_other_attributes() {
        let mut attributes = vec![8, 0, 2, 0, 9, 9, 9, 9];
        attributes.extend([4 + 6, 0, 1, 0]);
        attributes.extend(b"taken\0");
        assert_eq!(sentence(&attributes).as_deref(), Some("taken"));
        assert_eq!(sentence(&[]), None);
        assert_eq!(sentence(&[255, 0, 1, 0, b'x']), None, "cut off");
        assert_eq!(sentence(&[0, 0, 2, 0]), None, "a length of zero must not loop");
    }
}
