//! Writing a manifest into a component, for languages whose SDK does not.

use serde::Deserialize;
use wasm_encoder::{ComponentSection, CustomSection, RawSection};
use wasmparser::BinaryReader;

use super::{LoadError, Manifest, compiler, facts::MANIFEST_SECTION};
use crate::grants::Grants;

/// Bytes before the first section: the magic number and the version.
const HEAD: usize = 8;
/// Sections of a component that are modules and components, and custom ones of both (the
/// binary formats of WebAssembly and of its component model).
const CUSTOM: u8 = 0;
const MODULE: u8 = 1;
const COMPONENT: u8 = 4;

/// A manifest as people write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    version: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    grants: Grants,
}

// === impl Manifest ===

impl Manifest {
    /// Reads a manifest from TOML: `name`, `version`, `description` and a table `grants`.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        let File { name, version, description, grants } = toml::from_str(text)?;
        Ok(Self { name, version, description, grants })
    }

    /// Writes it into a component, in the place of any that is there.
    pub fn write_into(&self, component: &[u8]) -> Result<Vec<u8>, LoadError> {
        compiler::check(component)?;
        let data = serde_json::to_vec(self).map_err(LoadError::Manifest)?;
        let mut annotated = without_manifest(component, true).map_err(LoadError::Damaged)?;
        CustomSection { name: MANIFEST_SECTION.into(), data: data.into() }
            .append_to_component(&mut annotated);
        Ok(annotated)
    }
}

/// A component or module without manifest, also of the parts of it. How deep they are was
/// looked at before.
fn without_manifest(bytes: &[u8], component: bool) -> wasmparser::Result<Vec<u8>> {
    let mut reader = BinaryReader::new(bytes, 0);
    let mut rest = reader.read_bytes(HEAD)?.to_vec();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let size = reader.read_var_u32()? as usize;
        let data = reader.read_bytes(size)?;
        match id {
            CUSTOM if BinaryReader::new(data, 0).read_string()? == MANIFEST_SECTION => {}
            MODULE if component => put(id, &without_manifest(data, false)?, &mut rest),
            COMPONENT if component => put(id, &without_manifest(data, true)?, &mut rest),
            _ => put(id, data, &mut rest),
        }
    }
    Ok(rest)
}

fn put(id: u8, data: &[u8], to: &mut Vec<u8>) {
    RawSection { id, data }.append_to_component(to);
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{Component, Module, ModuleSection};

    use super::*;
    use crate::runtime::Facts;

    const MANIFEST: &str = r#"
        name = "acme"
        version = "1.2.0"
        [grants]
        links = ["bridge"]
    "#;

    fn component() -> Vec<u8> {
        let section =
            CustomSection { name: MANIFEST_SECTION.into(), data: br#"{"name":"old"}"#.into() };
        let mut module = Module::new();
        module.section(&section);
        module.section(&CustomSection { name: "other".into(), data: b"kept".into() });
        let mut component = Component::new();
        component.section(&ModuleSection(&module));
        component.finish()
    }

    #[test]
    fn a_manifest_takes_the_place_of_the_one_that_was_there() {
        let bytes = component();
        assert_eq!(Facts::read(&bytes).unwrap().manifest.unwrap().name, "old");
        let manifest = Manifest::from_toml(MANIFEST).unwrap();
        let once = manifest.write_into(&bytes).unwrap();
        assert_eq!(Facts::read(&once).unwrap().manifest.as_ref(), Some(&manifest));
        assert_eq!(manifest.write_into(&once).unwrap(), once);
        wasmparser::validate(&once).unwrap();
        let text = String::from_utf8_lossy(&once);
        assert!(text.contains("kept") && !text.contains("old"), "{text}");
    }

    #[test]
    fn a_manifest_with_what_nobody_knows_is_refused() {
        for wrong in ["name = \"x\"", "name = 1", &format!("{MANIFEST}\nlink = [\"veth\"]")] {
            Manifest::from_toml(wrong).unwrap_err();
        }
    }
}
