//! How much of their time CPUs and VMs have used lately.

use crate::platform::Platform;
use crate::shared::Shared;
use crate::vm::Vm;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::time::Instant;

/// How long a sample is.
const PERIOD: Duration = Duration::from_secs(1);

/// The last sample of each.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    taken_at: Instant,
    vms: BTreeMap<u32, Sample>,
    cpus: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    total_ns: u64,
    percent: u32,
}

impl Sample {
    fn update(&mut self, total_ns: u64, period_ns: u64) {
        let used = total_ns.saturating_sub(self.total_ns);
        self.percent =
            u32::try_from((used * 100 + period_ns / 2) / period_ns.max(1)).unwrap_or(u32::MAX);
        self.total_ns = total_ns;
    }
}

impl Usage {
    /// Takes a sample if it is time to; returns when the next one is due.
    pub(crate) fn sample<'a, P: Platform>(
        &mut self,
        now: Instant,
        shared: &Shared<P>,
        vms: impl Iterator<Item = &'a Arc<Vm<P>>>,
    ) -> Instant {
        let period = now.since(self.taken_at);
        if period < PERIOD {
            return self.taken_at + PERIOD;
        }
        let period_ns = period.as_nanos() as u64;
        self.taken_at = now;
        self.cpus.resize(shared.cpu_count(), Sample::default());
        for (cpu, sample) in self.cpus.iter_mut().enumerate() {
            sample.update(shared.idle_ns(cpu, now), period_ns);
        }
        for vm in vms {
            let sample = self.vms.entry(vm.id()).or_default();
            sample.update(vm.ran(now).as_nanos() as u64, period_ns);
        }
        now + PERIOD
    }

    pub(crate) fn forget(&mut self, vm: u32) {
        self.vms.remove(&vm);
    }

    pub(crate) fn vm_percent(&self, vm: u32) -> u32 {
        self.vms.get(&vm).map_or(0, |sample| sample.percent)
    }

    pub(crate) fn cpu_percent(&self, cpu: usize) -> u32 {
        let idle = self.cpus.get(cpu).map_or(100, |sample| sample.percent);
        100_u32.saturating_sub(idle)
    }
}

#[cfg(test)]
mod tests;
