//! The drivers by name, those that could not be loaded included.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use crate::{
    id::DriverName,
    model::{AddressSpaces, IpamCapabilities, NetworkCapabilities, Scope},
    runtime::{CallError, Driver},
};

/// A driver's place under its name.
#[derive(Clone)]
pub enum Slot {
    /// Ready to be called.
    Ready(Arc<Driver>),
    /// It could not be loaded, for this reason (one line).
    Failed(String),
}

/// The drivers of a host, which may come and go while it runs.
#[derive(Default)]
pub struct Drivers(RwLock<BTreeMap<DriverName, Slot>>);

/// What the engine is told about a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// If it is a network driver.
    pub network: Option<NetworkCapabilities>,
    /// If it is an IPAM driver.
    pub ipam: Option<(IpamCapabilities, AddressSpaces)>,
}

// === impl Drivers ===

impl Clone for Drivers {
    fn clone(&self) -> Self {
        Self(RwLock::new(self.all()))
    }
}

impl Drivers {
    /// Puts a driver under a name. Calls that are under way go on with the one before.
    pub fn insert(&self, name: DriverName, slot: Slot) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, slot);
    }

    /// Takes the driver of a name away.
    pub fn remove(&self, name: &DriverName) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// All of them by name, as they are now.
    pub fn all(&self) -> BTreeMap<DriverName, Slot> {
        self.read().clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<DriverName, Slot>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The driver of a name, if it is ready.
    pub(super) fn get(&self, name: &DriverName) -> Result<Arc<Driver>, CallError> {
        let reason = match self.read().get(name) {
            Some(Slot::Ready(driver)) => return Ok(Arc::clone(driver)),
            Some(Slot::Failed(reason)) => reason.clone(),
            None => "it is not configured".to_owned(),
        };
        Err(CallError::NotLoaded { driver: name.clone(), reason })
    }

    /// What the engine is told. Of a driver that could not be loaded nobody knows what
    /// it would be, so it is said to be a network driver: the engine then gets as far
    /// as a call that can be refused with the reason.
    pub(super) fn roles(&self, name: &DriverName) -> Roles {
        match self.read().get(name) {
            Some(Slot::Ready(driver)) => Roles {
                network: driver.network_capabilities,
                ipam: driver.ipam_capabilities.clone(),
            },
            _ => Roles {
                network: Some(NetworkCapabilities {
                    scope: Scope::Local,
                    connectivity: Scope::Local,
                    gateway_allocation: false,
                }),
                ipam: None,
            },
        }
    }
}
