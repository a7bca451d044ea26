//! Which VM a word means. Ids and names are accepted wherever a VM is named.

use crate::access::{Role, User};
use crate::amount;
use crate::error::Error;
use crate::host::{Host, VmId, VmSummary};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// An error lists at most so many VMs.
const LISTED: usize = 8;

/// The VM whose id or name is `word`, among those that the user may look at. An id goes first, should a name look like one.
pub(crate) fn resolve(user: &User, host: &dyn Host, word: &str) -> Result<VmSummary, Error> {
    let mut vms = user.vms(host);
    let id = word.parse().ok().map(VmId);
    let found = vms
        .iter()
        .position(|vm| Some(vm.id) == id)
        .or_else(|| vms.iter().position(|vm| vm.name == word));
    match found {
        Some(index) => Ok(vms.swap_remove(index)),
        None => Err(missing(user, &vms, word, id)),
    }
}

fn missing(user: &User, vms: &[VmSummary], word: &str, id: Option<VmId>) -> Error {
    let what = if id.is_some() { word.to_string() } else { format!("'{word}'") };
    if vms.is_empty() {
        return Error::new(match user.role {
            None => format!("no VM {what}: there is none that you may look at"),
            Some(Role::Viewer) => format!("no VM {what}: there is none yet"),
            Some(Role::Operator | Role::Admin) => {
                format!("no VM {what}: there is none yet; 'vm create CONFIG' makes one")
            }
        });
    }
    let mut names: Vec<String> = vms
        .iter()
        .take(LISTED)
        .map(|vm| if id.is_some() { vm.id.to_string() } else { vm.name.clone() })
        .collect();
    if vms.len() > LISTED {
        names.push(format!("{} more", vms.len() - LISTED));
    }
    Error::new(format!("no VM {what}: 'vm list' shows {}", amount::listed(&names, "and")))
}
