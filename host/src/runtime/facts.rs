//! What can be said of a component without compiling it.

use std::{collections::BTreeSet, fmt::Write as _};

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload};

use super::{
    LoadError, Manifest, compiler,
    contract::{CONTRACT, Interface},
};

/// The custom section with the manifest.
pub(super) const MANIFEST_SECTION: &str = "wasmnet:manifest";

/// What a component says by its bytes alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its size in bytes.
    pub size: usize,
    /// Its SHA-256, in hex.
    pub digest: String,
    /// What it says of itself; none if it has no manifest, and so asks for nothing.
    pub manifest: Option<Manifest>,
    /// What it imports of the contract.
    pub imports: BTreeSet<Interface>,
    /// What it exports of the contract.
    pub exports: BTreeSet<Interface>,
    /// What else it imports: WASI's interfaces, as a rule.
    pub others: BTreeSet<String>,
}

// === impl Facts ===

impl Facts {
    /// Reads a component, but refuses what would be expensive to read.
    pub fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        compiler::check(bytes)?;
        let mut facts = Self {
            size: bytes.len(),
            digest: hex(&Sha256::digest(bytes)),
            manifest: None,
            imports: BTreeSet::new(),
            exports: BTreeSet::new(),
            others: BTreeSet::new(),
        };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(LoadError::Damaged)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                // Linkers leave the section of a module in the module.
                Payload::CustomSection(section)
                    if section.name() == MANIFEST_SECTION && facts.manifest.is_none() =>
                {
                    let manifest = serde_json::from_slice(section.data());
                    facts.manifest = Some(manifest.map_err(LoadError::Manifest)?);
                }
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        let name = import.map_err(LoadError::Damaged)?.name.name;
                        match Interface::read(name) {
                            Some(interface) => drop(facts.imports.insert(interface)),
                            None => drop(facts.others.insert(name.to_owned())),
                        }
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        let name = export.map_err(LoadError::Damaged)?.name.name;
                        facts.exports.extend(Interface::read(name));
                    }
                }
                _ => {}
            }
        }
        Ok(facts)
    }

    /// Refuses what this host cannot run: another contract, or no role in it.
    pub fn check(&self) -> Result<(), LoadError> {
        self.check_contract()?;
        match self.roles().is_empty() {
            true => Err(LoadError::NoRole),
            false => Ok(()),
        }
    }

    /// Refuses another contract.
    pub fn check_contract(&self) -> Result<(), LoadError> {
        let mut interfaces = self.imports.iter().chain(&self.exports);
        if let Some(other) = interfaces.find(|interface| !interface.is_served()) {
            let (wants, advice) = (other.version.clone(), other.advice());
            return Err(LoadError::Contract { wants, advice });
        }
        Ok(())
    }

    /// What it is: "network", "ipam".
    pub fn roles(&self) -> Vec<&'static str> {
        let exports = |name| self.exports.iter().any(|export| export.name == name);
        let role = |name, role| exports(name).then_some(role);
        let roles = [role("network-driver", "network"), role("ipam-driver", "ipam")];
        roles.into_iter().flatten().collect()
    }

    /// The capabilities it imports ("links", "firewall").
    pub fn capabilities(&self) -> Vec<String> {
        let names = self.imports.iter().map(|import| import.name.clone());
        names.filter(|name| name != "types").collect()
    }

    /// All that it imports, by full names ("wasmnet:driver/links@0.1.0").
    pub fn import_names(&self) -> Vec<String> {
        self.imports.iter().map(Interface::to_string).chain(self.others.iter().cloned()).collect()
    }

    /// What it exports of the contract, by full names.
    pub fn export_names(&self) -> Vec<String> {
        self.exports.iter().map(Interface::to_string).collect()
    }

    /// The versions of the contract that it is made for: one, as a rule.
    pub fn contract(&self) -> BTreeSet<&str> {
        let interfaces = self.imports.iter().chain(&self.exports);
        interfaces.map(|interface| interface.version.as_str()).collect()
    }

    /// The version of the contract that this host speaks.
    pub fn host_contract() -> String {
        CONTRACT.to_string()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        Component, ComponentImportSection, ComponentTypeRef, ComponentTypeSection, InstanceType,
        Module, ModuleSection, RawSection,
    };

    use super::*;

    /// A component that imports an empty interface of this name.
    fn importing(name: &str) -> Vec<u8> {
        let mut component = Component::new();
        let mut types = ComponentTypeSection::new();
        types.instance(&InstanceType::new());
        component.section(&types);
        let mut imports = ComponentImportSection::new();
        imports.import(name, ComponentTypeRef::Instance(0));
        component.section(&imports);
        component.finish()
    }

    #[test]
    fn another_contract_is_told_from_none() {
        for (name, says) in [
            (
                "wasmnet:driver/links@0.2.0",
                "the driver wants contract 0.2.0, this host has 0.1.0; it needs a newer wasmnet",
            ),
            (
                "wasmnet:driver/links@0.0.9",
                "the driver wants contract 0.0.9, this host has 0.1.0; build it anew with this version's SDK",
            ),
        ] {
            let facts = Facts::read(&importing(name)).unwrap();
            assert_eq!(facts.check().unwrap_err().to_string(), says);
        }
        let facts = Facts::read(&importing("wasmnet:driver/links@0.1.0")).unwrap();
        assert!(matches!(facts.check(), Err(LoadError::NoRole)));
        assert_eq!(facts.capabilities(), ["links"]);
        let other = Facts::read(&importing("wasi:cli/exit@0.2.6")).unwrap();
        assert_eq!((other.imports.len(), other.others.len()), (0, 1));
    }

    #[test]
    fn parts_inside_do_not_count() {
        let mut outer = Component::new();
        let inner = importing("wasmnet:driver/links@9.0.0");
        outer.section(&RawSection { id: 4, data: &inner });
        outer.section(&ModuleSection(&Module::new()));
        let facts = Facts::read(&outer.finish()).unwrap();
        assert!(facts.contract().is_empty(), "{facts:?}");
    }
}
