//! The contract's reference: a page of the guide, written from `wit/`.

mod text;

use std::path::PathBuf;
use std::{fs, io};

use wit_parser::{Docs, Function, Interface, Resolve, TypeDef, TypeDefKind, World, WorldKey};

use crate::cargo::root;
use text::{Names, paragraph};

/// The page.
const PAGE: &str = "docs/contract.md";

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The contract cannot be understood. The words are the parser's.
    #[error("cannot understand wit/: {0}")]
    Contract(String),
    /// The page cannot be written.
    #[error("cannot write {PAGE}")]
    Write(#[source] io::Error),
}

/// Writes the page.
pub fn write() -> Result<(), Error> {
    fs::write(page(), generate()?).map_err(Error::Write)
}

/// What is wrong with the page that is there, if something is.
pub fn check() -> Result<Option<String>, Error> {
    let is = fs::read_to_string(page()).unwrap_or_default();
    let stale = is != generate()?;
    Ok(stale.then(|| format!("{PAGE} is not what wit/ says; run `cargo xtask reference`")))
}

fn page() -> PathBuf {
    root().join(PAGE)
}

fn generate() -> Result<String, Error> {
    let mut resolve = Resolve::default();
    let (id, _) = resolve
        .push_dir(root().join("wit"))
        .map_err(|error| Error::Contract(format!("{error:#}")))?;
    let missing = || Error::Contract("it has no package".to_owned());
    let package = resolve.packages.get(id).ok_or_else(missing)?;
    let names = Names(&resolve);

    let mut page = format!(
        "# The contract\n\n<!-- Written by `cargo xtask reference` from wit/. Do not edit. -->\n\n\
         This is `{}`.\n\n",
        package.name
    );
    page.push_str(&paragraph(&package.docs));
    for world in package.worlds.values().filter_map(|id| resolve.worlds.get(*id)) {
        page.push_str(&of_world(&resolve, world));
    }
    let mut interfaces: Vec<&Interface> =
        package.interfaces.values().filter_map(|id| resolve.interfaces.get(*id)).collect();
    interfaces.sort_by(|one, other| one.name.cmp(&other.name));
    for interface in interfaces {
        page.push_str(&of_interface(names, interface));
    }
    Ok(page.trim_end().to_owned() + "\n")
}

fn of_world(resolve: &Resolve, world: &World) -> String {
    let mut text = format!("## World `{}`\n\n{}", world.name, paragraph(&world.docs));
    for (what, items) in [("imports", &world.imports), ("exports", &world.exports)] {
        let links = items.keys().map(|key| match key {
            WorldKey::Name(name) => format!("`{name}`"),
            WorldKey::Interface(id) => {
                let interface = resolve.interfaces.get(*id);
                let name = interface.and_then(|one| one.name.as_deref()).unwrap_or_default();
                format!("[`{name}`](#interface-{name})")
            }
        });
        text.push_str(&format!("It {what} {}.\n\n", links.collect::<Vec<_>>().join(", ")));
    }
    text
}

fn of_interface(names: Names<'_>, interface: &Interface) -> String {
    let name = interface.name.as_deref().unwrap_or_default();
    let mut text = format!("## Interface `{name}`\n\n{}", paragraph(&interface.docs));
    let functions = |of: &str| -> String {
        let here = interface.functions.values();
        let here = here.filter(|function| names.resource(function).unwrap_or_default() == of);
        here.map(|function| of_function(names, function)).collect()
    };
    text.push_str(&functions(""));
    for id in interface.types.values() {
        let Some(ty) = names.0.types.get(*id) else { continue };
        text.push_str(&of_type(names, ty));
        if matches!(ty.kind, TypeDefKind::Resource) {
            text.push_str(&functions(ty.name.as_deref().unwrap_or_default()));
        }
    }
    text
}

fn of_function(names: Names<'_>, function: &Function) -> String {
    let (name, signature) = (function.item_name(), names.signature(function));
    let resource = names.resource(function).map(|of| format!("{of}.")).unwrap_or_default();
    format!(
        "### `{resource}{name}`\n\n```wit\n{name}: {signature}\n```\n\n{}",
        paragraph(&function.docs)
    )
}

/// A type; what is only another interface's is left out.
fn of_type(names: Names<'_>, ty: &TypeDef) -> String {
    let row = |name: &str, of: Option<String>, docs: &Docs| {
        let of = of.map(|of| format!(": `{of}`")).unwrap_or_default();
        let docs = paragraph(docs).replace('\n', " ");
        format!("- `{name}`{of}. {}\n", docs.trim())
    };
    let rows: String = match &ty.kind {
        TypeDefKind::Record(record) => record
            .fields
            .iter()
            .map(|field| row(&field.name, Some(names.of(&field.ty)), &field.docs))
            .collect(),
        TypeDefKind::Variant(variant) => variant
            .cases
            .iter()
            .map(|case| row(&case.name, case.ty.as_ref().map(|ty| names.of(ty)), &case.docs))
            .collect(),
        TypeDefKind::Enum(all) => {
            all.cases.iter().map(|case| row(&case.name, None, &case.docs)).collect()
        }
        TypeDefKind::Type(of) if names.is_elsewhere(of) => return String::new(),
        TypeDefKind::Resource => String::new(),
        other => format!("It is `{}`.\n", names.of_kind(other)),
    };
    let (kind, name) = (names.kind(ty), ty.name.as_deref().unwrap_or_default());
    let rows = if rows.is_empty() { rows } else { rows + "\n" };
    format!("### {kind} `{name}`\n\n{}{rows}", paragraph(&ty.docs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_contract_says() {
        let page = generate().unwrap();
        for says in [
            "# The contract\n",
            "## World `ipam-plugin`\n",
            "[`host-networks`](#interface-host-networks)",
            "### `create-bridge`\n\n```wit\n\
             create-bridge: func(label: string, options: bridge-options) -> result<link, error>\n",
            "### `link.mtu`\n",
            "### record `pool-request`\n\n",
            "- `sub-pool`: `option<ip-network>`. `--ip-range`.\n",
            "### type `mac-address`\n\nAn Ethernet address, first octet first.\n\n\
             It is `tuple<u8, u8, u8, u8, u8, u8>`.\n",
        ] {
            assert!(page.contains(says), "no {says}");
        }
        assert!(!page.contains("???"), "something has no name");
    }
}
