//! The manager's answers in the shell's words.

use super::HostVm;
use crate::disks::{Disks, Found, User};
use crate::platform::Hardware;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hv_core::device::Notice;
use hv_core::disk::{Writability, WriteCache};
use hv_core::{host, memory as ram, page};
use log::LevelFilter;
use shell::host::{
    BalloonInfo, Count, CpuState, CpuSummary, CrashRecord, DeviceActivity, DeviceSummary,
    DiskUserSummary, HostDiskSummary, LogLevel, MemorySummary, PartitionSummary, Register,
    VcpuInfo, VcpuState, VcpuSummary, VmId, VmInfo, VmState, VmSummary,
};
use virtio::disk::gpt::{Copy, Partition};
use virtio::disk::{Access, SECTOR_BYTES, SectorRange};
use vm_manager::board::Board;
use vm_manager::crash;
use vm_manager::manager::Manager;
use vm_manager::plug;
use vm_manager::sched::TaskState;
use vm_manager::slot::VcpuSlot;
use vm_manager::vm;

pub(super) fn state(state: vm::VmState) -> VmState {
    match state {
        vm::VmState::Created => VmState::Created,
        vm::VmState::Loading => VmState::Loading,
        vm::VmState::Running => VmState::Running,
        vm::VmState::Paused => VmState::Paused,
        vm::VmState::Stopped => VmState::Stopped,
        vm::VmState::Crashed => VmState::Crashed,
    }
}

pub(super) fn summary(vm: &HostVm, manager: &Manager<Hardware>) -> VmSummary {
    VmSummary {
        id: VmId(vm.id()),
        name: vm.name().into(),
        state: state(vm.state()),
        vcpus: vm.slots().len() as u32,
        memory_bytes: vm.memory().0,
        cpu_percent: manager.vm_percent(vm.id()),
        uptime_ns: vm.uptime(host::now()).as_nanos() as u64,
    }
}

pub(super) fn info(vm: &HostVm, manager: &Manager<Hardware>) -> VmInfo {
    let board = vm.board();
    let device = |device: vm_manager::board::DeviceInfo| DeviceSummary {
        name: device.name.into(),
        address: device.address,
        interrupt: device.interrupt,
        activity: device.activity.map(activity),
    };
    let (bad, last) = vm.bad_accesses();
    let mut notes = Vec::new();
    if bad > 0 {
        notes.push(format!("{bad} accesses to where nothing is, the last one to {last}"));
    }
    let overwritten = vm.sink().output().overwritten_bytes();
    if overwritten > 0 {
        notes.push(format!("{overwritten} bytes of console output are no longer kept"));
    }
    notes.push(format!("{} KiB of stage-2 tables", vm.memory().1 >> 10));
    VmInfo {
        summary: summary(vm, manager),
        reason: vm
            .crash()
            .filter(|_| vm.state() == vm::VmState::Crashed)
            .map(|c| c.fault.to_string()),
        config: vm.config().file().into(),
        interrupt_controller: board.interrupt_controller().into(),
        restarts: vm.restarts(),
        console_bytes: vm.sink().output().total_bytes(),
        balloon: vm.balloon().map(|handle| balloon(vm, handle)),
        vcpu_list: vm.slots().iter().map(|slot| vcpu_info(vm, slot)).collect(),
        devices: board.devices().into_iter().map(device).collect(),
        disks: super::slots::summaries(vm),
        notes,
    }
}

fn balloon(vm: &HostVm, balloon: &dyn plug::Balloon) -> BalloonInfo {
    let state = balloon.state();
    let (waiting, gone) = vm.ram().lent();
    let count = |(name, count): (&str, u64)| Count { name: name.into(), count };
    BalloonInfo {
        memory_bytes: vm.config().memory_bytes,
        target_bytes: state.target_bytes,
        lent_bytes: waiting + gone,
        claimed_bytes: state.claimed_bytes,
        waits_for_memory: balloon.waits_for_memory(),
        statistics: state.statistics.into_iter().map(count).collect(),
    }
}

fn activity(activity: plug::Activity) -> DeviceActivity {
    let fault = |(name, count): (&str, u32)| Count { name: name.into(), count: count.into() };
    DeviceActivity {
        notifications: activity.notifications,
        interrupts: activity.interrupts,
        faults: activity.faults.into_iter().map(fault).collect(),
    }
}

fn vcpu_info(vm: &HostVm, slot: &VcpuSlot<Hardware>) -> VcpuInfo {
    let counts = slot.exits().filter(|&(_, count)| count > 0);
    VcpuInfo {
        summary: vcpu(vm, slot),
        exits_by_reason: counts.map(|(name, count)| Count { name: name.into(), count }).collect(),
    }
}

fn vcpu(vm: &HostVm, slot: &VcpuSlot<Hardware>) -> VcpuSummary {
    let (task, cpu, weight, affinity) = vm.placement(slot);
    VcpuSummary {
        vm_id: VmId(vm.id()),
        vm_name: vm.name().into(),
        vcpu: slot.index().into(),
        state: match task {
            TaskState::Off => VcpuState::Off,
            TaskState::Held => VcpuState::Halted,
            TaskState::Blocked => VcpuState::Idle,
            TaskState::Queued => VcpuState::Ready,
            TaskState::Running if slot.is_busy() => VcpuState::Running,
            TaskState::Running => VcpuState::Idle,
        },
        cpu: Some(cpu as u32),
        affinity: (0..64).filter(|cpu| affinity >> cpu & 1 != 0).collect(),
        weight: weight.into(),
        cpu_time_ns: slot.ran_ns(host::now()),
        exits: slot.exits().map(|(_, count)| count).sum(),
    }
}

pub(super) fn vcpus(vm: &HostVm) -> Vec<VcpuSummary> {
    vm.slots().iter().map(|slot| vcpu(vm, slot)).collect()
}

pub(super) fn crash(record: crash::CrashRecord) -> CrashRecord {
    let register = |(name, value): (&str, u64)| Register { name: name.into(), value };
    CrashRecord {
        reason: match record.detail {
            Some(detail) => format!("{}: {detail}", record.fault),
            None => record.fault.to_string(),
        },
        time_ns: record.at.0,
        vcpu: record.vcpu.into(),
        pc: record.pc,
        instruction: record.instruction,
        registers: record.registers.into_iter().map(register).collect(),
        last_exits: record.last_exits,
    }
}

pub(super) fn cpus(manager: &Manager<Hardware>, failed: &[String]) -> Vec<CpuSummary> {
    let shared = manager.shared();
    let online = (0..shared.cpu_count()).map(|cpu| {
        let (model, affinity) = host::cpu_description(cpu);
        CpuSummary {
            id: cpu as u32,
            hardware_id: affinity,
            model,
            state: CpuState::Online,
            busy_percent: manager.cpu_percent(cpu),
            vcpus: shared.population(cpu) as u32,
            running: shared
                .running(cpu)
                .and_then(|slot| Some(format!("{}/{}", slot.vm()?.name(), slot.index()))),
        }
    });
    let failed = failed.iter().enumerate().map(|(index, note)| CpuSummary {
        id: (shared.cpu_count() + index) as u32,
        hardware_id: 0,
        model: note.clone(),
        state: CpuState::Failed,
        busy_percent: 0,
        vcpus: 0,
        running: None,
    });
    online.chain(failed).collect()
}

pub(super) fn memory(manager: &Manager<Hardware>, bundle_bytes: u64) -> MemorySummary {
    let all = ram::usage();
    let (guests_bytes, guest_tables) = manager.memory();
    let tables_bytes = all.own_tables + guest_tables;
    // Disks in memory are guests', too.
    let guests_bytes = guests_bytes + page::bytes();
    let hypervisor_bytes = all.total.saturating_sub(all.free + guests_bytes);
    let known = bundle_bytes + all.heap + tables_bytes + all.stacks;
    MemorySummary {
        total_bytes: all.total,
        free_bytes: all.free,
        guests_bytes,
        hypervisor_bytes,
        image_bytes: hypervisor_bytes.saturating_sub(known),
        bundle_bytes,
        heap_bytes: all.heap,
        heap_used_bytes: all.heap_used,
        tables_bytes,
        stacks_bytes: all.stacks,
    }
}

pub(super) fn disk(disks: &Disks, found: &Found) -> HostDiskSummary {
    let info = &found.info;
    let users = |range: SectorRange| disks.users(&found.name, range);
    let partition = |partition: &Partition| PartitionSummary {
        number: partition.number,
        label: partition.label.clone(),
        start_bytes: partition.range.offset_bytes(),
        size_bytes: partition.range.bytes(),
        kind: partition.kind.to_string(),
        used_by: users(partition.range),
    };
    let user = |user: User| {
        let partition = found.partitions().iter().find(|partition| partition.range == user.range);
        let statistics = user.statistics;
        DiskUserSummary {
            name: user.name,
            partition: partition.map(|partition| partition.number),
            is_read_only: user.access == Access::ReadOnly,
            requests: statistics.requests,
            flushes: statistics.flushes,
            read_bytes: statistics.read_bytes,
            written_bytes: statistics.written_bytes,
            errors: statistics.errors,
            late: statistics.late,
            longest_ns: statistics.longest.as_nanos() as u64,
        }
    };
    let table_note = match &found.table {
        Ok(table) => match table.copy {
            Copy::Primary => None,
            Copy::Backup(why) => Some(format!("by the table's copy at the disk's end: {why}")),
        },
        Err(why) => Some(why.to_string()),
    };
    let statistics = found.statistics();
    HostDiskSummary {
        name: found.name.clone(),
        size_bytes: info.sectors.saturating_mul(SECTOR_BYTES),
        block_bytes: info.block_bytes,
        place: info.place.to_string(),
        serial: info.serial.clone(),
        is_read_only: info.writability == Writability::ReadOnly,
        has_cache: info.cache == WriteCache::Volatile,
        interrupts: info.notice == Notice::Interrupt,
        used_by: SectorRange::new(0, info.sectors).map(users).unwrap_or_default(),
        partitions: found.partitions().iter().map(partition).collect(),
        users: disks.all_users(&found.name).into_iter().map(user).collect(),
        table_note,
        commands: statistics.commands,
        flushes: statistics.flushes,
        read_bytes: statistics.read_bytes,
        written_bytes: statistics.written_bytes,
        errors: statistics.errors,
        late: statistics.late,
        in_flight: statistics.in_flight as u64,
    }
}

pub(super) fn level_of(filter: LevelFilter) -> LogLevel {
    match filter {
        LevelFilter::Off => LogLevel::Off,
        LevelFilter::Error => LogLevel::Error,
        LevelFilter::Warn => LogLevel::Warn,
        LevelFilter::Info => LogLevel::Info,
        LevelFilter::Debug => LogLevel::Debug,
        LevelFilter::Trace => LogLevel::Trace,
    }
}
