//! A component made ready to be called.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use super::{
    Call, CallLimits, Facts, LoadError, Runtime,
    bindings::{ipam::IpamPluginPre, network::NetworkPluginPre},
    call::CallState,
    compiler,
    instance::{Instances, Of},
};
use crate::{
    grants::{Grants, Permits},
    id::DriverName,
    ledger::Limits,
    model::{AddressSpaces, IpamCapabilities, NetworkCapabilities, Scope},
    trust,
};

/// What a component says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What it asks for.
    #[serde(default)]
    pub grants: Grants,
}

/// What the operator says of a driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// What it is granted; none grants what it asks for.
    pub grants: Option<Grants>,
    /// The SHA-256 its component must have, in hex.
    pub digest: Option<String>,
    /// Whether its networks may be those of a whole cluster.
    pub global: bool,
    /// How much a call may do to the kernel and the store.
    pub limits: Limits,
    /// How much time and memory a call has.
    pub call_limits: CallLimits,
    /// What the driver is told.
    pub config: Arc<BTreeMap<String, String>>,
}

/// A driver, ready to be called.
#[derive(Clone)]
pub struct Driver {
    /// Its name in Docker.
    pub name: DriverName,
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// What it may do.
    pub permits: Arc<Permits>,
    /// What the operator says of it.
    pub settings: Settings,
    /// The capabilities it imports ("links", "firewall"), WASI left out.
    pub imports: Vec<String>,
    /// What it answered for its networks, if it is a network driver.
    pub network_capabilities: Option<NetworkCapabilities>,
    /// What it answered as an IPAM driver, if it is one.
    pub ipam_capabilities: Option<(IpamCapabilities, AddressSpaces)>,
    pub(super) network: Option<Arc<Instances<NetworkPluginPre<CallState>>>>,
    pub(super) ipam: Option<Arc<Instances<IpamPluginPre<CallState>>>>,
    pub(super) runtime: Arc<Runtime>,
}

// === impl Driver ===

impl Driver {
    /// Loads a driver from a file, if its bytes are trusted, and asks it what it can. `call`
    /// gives it the call it is asked in.
    pub async fn load(
        runtime: &Arc<Runtime>,
        name: DriverName,
        path: &Path,
        settings: Settings,
        trusted: impl Fn(&[u8]) -> Result<(), trust::Error>,
        call: impl Fn() -> Call,
    ) -> Result<Self, LoadError> {
        let of = path.to_owned();
        let bytes = tokio::task::spawn_blocking(move || read_component(&of)).await;
        let bytes = bytes.map_err(io::Error::other).flatten();
        let bytes = bytes.map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        trusted(&bytes)?;
        Self::from_bytes(runtime, name, bytes, settings, call).await
    }

    /// Loads a driver from a component's bytes.
    pub async fn from_bytes(
        runtime: &Arc<Runtime>,
        name: DriverName,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        settings: Settings,
        call: impl Fn() -> Call,
    ) -> Result<Self, LoadError> {
        let bytes = Arc::new(bytes);
        let of = Arc::clone(&bytes);
        let looked_at = tokio::task::spawn_blocking(move || Facts::read((*of).as_ref()));
        let facts = looked_at
            .await
            .map_err(|error| LoadError::Compile(wasmtime::Error::msg(error.to_string())))??;
        let (roles, imports) = (facts.roles(), facts.capabilities());
        if let Some(expected) = settings.digest.clone().filter(|digest| *digest != facts.digest) {
            return Err(LoadError::Digest { expected, digest: facts.digest });
        }
        facts.check_contract()?;
        let (digest, manifest) = (facts.digest, facts.manifest.unwrap_or_default());
        let component = runtime.cache.component(&runtime.engine, &digest, &bytes).await?;

        let wanted = manifest.grants.clone();
        let granted = settings.grants.clone().unwrap_or_else(|| wanted.clone());
        let of = Of {
            driver: name.clone(),
            limits: settings.call_limits,
            config: Arc::clone(&settings.config),
        };
        let has = |role| roles.contains(&role);
        let network = has("network").then(|| network(runtime, &component)).transpose()?;
        let ipam = has("ipam").then(|| ipam(runtime, &component)).transpose()?;
        let mut driver = Self {
            name,
            manifest,
            digest,
            permits: Arc::new(Permits { wanted, granted }),
            settings,
            imports,
            network_capabilities: None,
            ipam_capabilities: None,
            network: network.map(|world| Instances::new(world, of.clone())),
            ipam: ipam.map(|world| Instances::new(world, of)),
            runtime: Arc::clone(runtime),
        };
        if driver.network.is_none() && driver.ipam.is_none() {
            return Err(LoadError::NoRole);
        }
        driver.ask(call).await?;
        Ok(driver)
    }

    /// The same with other limits.
    pub fn with_limits(&self, limits: Limits) -> Arc<Self> {
        let settings = Settings { limits, ..self.settings.clone() };
        Arc::new(Self { settings, ..self.clone() })
    }

    /// The same with other rights.
    pub fn with_permits(&self, permits: Permits) -> Arc<Self> {
        Arc::new(Self { permits: Arc::new(permits), ..self.clone() })
    }

    async fn ask(&mut self, call: impl Fn() -> Call) -> Result<(), LoadError> {
        let failed = |error| LoadError::Capabilities("capabilities", Box::new(error));
        if self.network.is_some() {
            let capabilities = self.capabilities(call()).await.map_err(failed)?;
            if capabilities.scope == Scope::Global && !self.settings.global {
                return Err(LoadError::Scope);
            }
            self.network_capabilities = Some(capabilities);
        }
        if self.ipam.is_some() {
            let capabilities = self.ipam_capabilities(call()).await.map_err(failed)?;
            let spaces = self.default_address_spaces(call()).await.map_err(|error| {
                LoadError::Capabilities("default-address-spaces", Box::new(error))
            })?;
            self.ipam_capabilities = Some((capabilities, spaces));
        }
        Ok(())
    }
}

fn network(
    runtime: &Runtime,
    component: &Component,
) -> Result<NetworkPluginPre<CallState>, LoadError> {
    let pre = runtime.network.instantiate_pre(component).map_err(LoadError::Link)?;
    NetworkPluginPre::new(pre).map_err(LoadError::Link)
}

fn ipam(runtime: &Runtime, component: &Component) -> Result<IpamPluginPre<CallState>, LoadError> {
    let pre = runtime.ipam.instantiate_pre(component).map_err(LoadError::Link)?;
    IpamPluginPre::new(pre).map_err(LoadError::Link)
}

/// Reads a component's file, but no more of it than shows that it is too large.
pub fn read_component(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = std::fs::OpenOptions::new();
    // A named pipe must not keep the daemon waiting.
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(compiler::COMPONENT_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
