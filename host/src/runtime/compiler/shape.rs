//! What can be said of a component without understanding it.

use wasmparser::{Parser, Payload};

use super::{COMPONENT_MAX, NESTING_MAX};
use crate::runtime::LoadError;

/// Refuses what is no component, too large, cut off, or nested too deep: what would make
/// reading it in full expensive. Takes time in proportion to the size.
pub fn check(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.len() > COMPONENT_MAX {
        return Err(LoadError::TooLarge);
    }
    check_kind(bytes)?;
    let mut depth = 1_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(LoadError::Damaged)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(LoadError::TooDeep);
        }
    }
    Ok(())
}

/// Says what a file is that is no component.
fn check_kind(bytes: &[u8]) -> Result<(), LoadError> {
    let wrong = match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "the file is a core WebAssembly module, not a component; build it for wasm32-wasip2"
        }
        [0, b'a', b's', b'm', ..] => "the file is of an unknown version of WebAssembly",
        [0x7f, b'E', b'L', b'F', ..] => {
            "the file is compiled code; only .wasm components are accepted"
        }
        _ => "the file is not WebAssembly",
    };
    Err(LoadError::NotAComponent(wrong))
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{Component, Module, ModuleSection, NestedComponentSection};

    use super::*;

    /// A component with this many around it, the outermost one counted.
    fn nested(depth: usize) -> Vec<u8> {
        let mut inner = Component::new();
        for _ in 1..depth {
            let mut outer = Component::new();
            outer.section(&NestedComponentSection(&inner));
            inner = outer;
        }
        inner.finish()
    }

    #[test]
    fn nesting_has_a_limit_and_neighbours_do_not_count() {
        check(&nested(NESTING_MAX)).unwrap();
        assert!(matches!(check(&nested(NESTING_MAX + 1)), Err(LoadError::TooDeep)));
        // Deep enough to overflow a stack, if there were recursion.
        assert!(matches!(check(&nested(2000)), Err(LoadError::TooDeep)));

        let mut wide = Component::new();
        for _ in 0..100 {
            wide.section(&ModuleSection(&Module::new()));
        }
        check(&wide.finish()).unwrap();
    }

    #[test]
    fn a_component_that_is_cut_off_is_refused_wherever_it_is() {
        let mut whole = Component::new();
        whole.section(&ModuleSection(&Module::new()));
        let whole = whole.finish();
        check(&whole).unwrap();
        // Up to 8 bytes it is no component, and with those alone it is an empty one.
        for length in 9..whole.len() {
            let cut = check(&whole[..length]);
            assert!(matches!(cut, Err(LoadError::Damaged(_))), "{length} bytes: {cut:?}");
        }
    }

    #[test]
    fn a_component_that_is_too_large_is_refused_unread() {
        let mut bytes = nested(1);
        bytes.resize(COMPONENT_MAX + 1, 0);
        assert!(matches!(check(&bytes), Err(LoadError::TooLarge)));
    }
}
