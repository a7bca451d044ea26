//! The devices, where guests expect them.

use crate::board::Board;
use crate::console::Cursor;
use crate::testing::chore::COUNT_AT;
use crate::testing::machine::{EPOCH, Machine};
use crate::testing::platform::FIRST_SEED;
use crate::testing::sim::Pace;
use crate::virt_map::{self, GicVersion};
use hv_core::guest::{GuestMemory, GuestPhysAddr, Level, Width};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn every_device_answers_at_its_first_and_last_word_and_no_further() {
    for gic in [GicVersion::V2, GicVersion::V3] {
        let mut machine = Machine::with(1, Pace::Simulated, gic);
        let program = machine.program(|guest| async move {
            let mut windows =
                vec![virt_map::GICD, virt_map::PL011, virt_map::PL031, virt_map::PL061];
            if guest.gic == GicVersion::V3 {
                windows.push(virt_map::Window { size: 2 * virt_map::GICR.size, ..virt_map::GICR });
            }
            for window in windows {
                let end = window.base.0 + window.size;
                for addr in [window.base.0, end - 4] {
                    assert!(guest.load(addr, Width::B4).await.is_some(), "{addr:#x}");
                }
                let is_next_taken = end == virt_map::PL031.base.0 || end == virt_map::GICC.base.0;
                assert!(is_next_taken || guest.load(end, Width::B4).await.is_none(), "{end:#x}");
            }
            guest.note("end");
        });
        machine.boot("guest", program, &[("vcpus", "2")]);
        machine.run_for(MS);
        assert_eq!(machine.notes(), ["end"]);
    }
}

#[test]
fn where_no_device_is_accesses_are_aborted() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], |guest| async move {
        // Each of the virtio slots, which are empty, and the ends of the address space.
        for slot in 0..u64::from(virt_map::VIRTIO_SLOTS) {
            let addr = virt_map::VIRTIO.base.0 + slot * virt_map::VIRTIO.size;
            assert_eq!(guest.load(addr, Width::B4).await, None, "{addr:#x}");
        }
        for addr in [0, 0x3fff_fff8, 0x4020_0000, u64::MAX - 7] {
            assert_eq!(guest.load(addr, Width::B8).await, None, "{addr:#x}");
        }
        guest.note("end");
    });
    assert_eq!(notes, ["end"]);
}

#[test]
fn what_is_plugged_in_works_in_the_time_of_its_guest_and_interrupts_it() {
    let (window, spi) = virt_map::virtio_slot(0);
    for cpus in [1, 2] {
        let mut machine = Machine::new(cpus);
        let notes = machine.run(&[("rng", "true")], move |guest| async move {
            guest.enable_shared(spi.intid()).await;
            guest.store(window.base.0, Width::B4, 100).await;
            let intid = guest.interrupt().await;
            let mut calls = [0; 8];
            guest.ram.read(GuestPhysAddr(COUNT_AT), &mut calls).unwrap();
            guest.note(format!("{intid} {}", u64::from_le_bytes(calls)));
        });
        assert_eq!(notes, [format!("{} 100", spi.intid())]);
        let devices = machine.vm(1).board().devices();
        let device = devices.last().unwrap();
        assert_eq!((device.name, device.address), ("chore", window.base.0));
        assert_eq!(device.activity.as_ref().unwrap().notifications, 100);
    }
}

#[test]
fn the_clock_tells_the_time_of_day() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], |guest| async move {
        let seconds = guest.load(virt_map::PL031.base.0, Width::B4).await.unwrap();
        guest.note(seconds.to_string());
    });
    assert_eq!(notes, [EPOCH.as_secs().to_string()]);
}

#[test]
fn the_guest_is_given_its_device_tree() {
    let mut machine = Machine::new(1);
    let notes =
        machine.run(&[("vcpus", "2"), ("cmdline", "console=ttyAMA0")], |guest| async move {
            let mut blob = vec![0; 32 << 10];
            guest.ram.read(GuestPhysAddr(guest.argument), &mut blob).unwrap();
            let tree = fdt::Fdt::new(&blob).unwrap();
            let memory = tree.memory().regions().next().unwrap();
            guest.note(format!(
                "{} CPUs, {:?} bytes, {}",
                tree.cpus().count(),
                memory.size,
                tree.chosen().bootargs().unwrap()
            ));
        });
    assert_eq!(notes, ["2 CPUs, Some(2097152) bytes, console=ttyAMA0"]);
}

#[test]
fn each_start_of_a_guest_gets_a_seed_of_its_own() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        let mut blob = vec![0; 32 << 10];
        guest.ram.read(GuestPhysAddr(guest.argument), &mut blob).unwrap();
        let tree = fdt::Fdt::new(&blob).unwrap();
        let chosen = tree.find_node("/chosen").unwrap();
        guest.note(format!("{:x?}", chosen.property("rng-seed").unwrap().value));
    });
    for name in ["a", "b"] {
        machine.boot(name, program, &[]);
        machine.run_for(MS);
    }
    let expected = [FIRST_SEED, FIRST_SEED + 1].map(|seed| seed.to_le_bytes().repeat(4));
    assert_eq!(machine.notes(), expected.map(|seed| format!("{seed:x?}")));
}

#[test]
fn the_power_key_is_a_gpio_line() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        const GPIO: u64 = virt_map::PL061.base.0;
        // GPIOIBE: both edges; GPIOIE: the power key's line.
        guest.enable_shared(virt_map::PL061_SPI.intid()).await;
        guest.store(GPIO + 0x408, Width::B4, 1 << 3).await;
        guest.store(GPIO + 0x410, Width::B4, 1 << 3).await;
        loop {
            let intid = guest.interrupt().await;
            let data = guest.load(GPIO + 0x3fc, Width::B4).await;
            guest.store(GPIO + 0x41c, Width::B4, 1 << 3).await;
            guest.note(format!("{intid} {data:?}"));
        }
    });
    let id = machine.boot("guest", program, &[]);
    machine.run_for(MS);
    machine.vm(id).board().set_power_key(Level::High);
    machine.run_for(MS);
    machine.vm(id).board().set_power_key(Level::Low);
    machine.run_for(MS);
    let notes = machine.notes();
    assert_eq!(
        (notes.first().unwrap().as_str(), notes.last().unwrap().as_str()),
        ("39 Some(8)", "39 Some(0)")
    );
}

#[test]
fn what_is_typed_waits_in_the_serial_port_and_the_rest_is_not_taken() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        // UARTCR: receive enable, UART enable; UARTLCR_H: FIFOs on.
        guest.store(0x0900_0030, Width::B4, 0x201).await;
        guest.store(0x0900_002c, Width::B4, 0x70).await;
        guest.work(MS).await;
        let mut text = String::new();
        while guest.load(0x0900_0018, Width::B4).await.unwrap() & 1 << 4 == 0 {
            text.push(guest.typed().await as u8 as char);
        }
        guest.note(text);
    });
    let id = machine.boot("guest", program, &[]);
    machine.run_for(MS / 2);
    let alphabet = b"abcdefghijklmnopqrstuvwxyz";
    let taken = machine.manager.type_in(id, alphabet).unwrap();
    assert!((1..alphabet.len()).contains(&taken), "{taken}");
    machine.run_for(2 * MS);
    assert_eq!(machine.notes(), [str::from_utf8(&alphabet[..taken]).unwrap()]);
}

#[test]
fn devices_are_listed_as_they_are_placed() {
    for (gic, name) in [(GicVersion::V2, "GICv2"), (GicVersion::V3, "GICv3")] {
        let mut machine = Machine::with(1, Pace::Simulated, gic);
        let program = machine.exits(vec![]);
        let id = machine.create("guest", program, &[("vcpus", "4")]);
        let vm = machine.vm(id);
        assert_eq!(vm.board().interrupt_controller(), name);
        let devices = vm.board().devices();
        assert!(devices.iter().all(|device| device.bytes > 0));
        let uart = devices.iter().find(|device| device.name == "pl011 uart").unwrap();
        assert_eq!((uart.address, uart.interrupt), (0x0900_0000, Some(33)));
    }
}

#[test]
fn a_gic_that_the_host_has_not_is_refused() {
    let mut machine = Machine::new(1);
    let program = machine.exits(vec![]);
    let config = machine.config("guest", program, &[("gic", "2")]);
    let error = machine.manager.create(config, &machine.images).unwrap_err();
    assert_eq!(error.to_string(), "this machine can give guests a GICv3 only");
    assert_eq!(machine.pool.free(), crate::testing::machine::POOL_BYTES);
}

#[test]
fn output_of_guests_is_kept_apart() {
    let mut machine = Machine::new(1);
    let programs = [b'a', b'b'].map(|letter| {
        machine.program(move |guest| async move {
            for _ in 0..100 {
                guest.store(0x0900_0000, Width::B4, letter.into()).await;
            }
        })
    });
    let ids = [machine.boot("a", programs[0], &[]), machine.boot("b", programs[1], &[])];
    machine.run_for(5 * MS);
    for (id, letter) in ids.into_iter().zip([b'a', b'b']) {
        let mut text = [0; 200];
        let read = machine.vm(id).sink().output().read(&mut Cursor::BEGINNING.clone(), &mut text);
        assert_eq!(&text[..read.bytes], &[letter; 100]);
    }
}
