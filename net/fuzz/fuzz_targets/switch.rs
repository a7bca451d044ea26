//! Whatever guests send, a unicast frame reaches no guest but its own, and none leaves with a false sender.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::switch::{
    Addresses, Attachment, Guard, HEAD_BYTES, Isolation, MacAddr, PortConfig, Rates, Switch,
    SwitchConfig, Verdict,
};
use net::time::Instant;

const GUESTS: u8 = 4;

fn mac(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, number])
}

fuzz_target!(|frames: Vec<(u8, u8, u8, Vec<u8>)>| {
    let mut switch = Switch::new(&SwitchConfig { reserved: vec![[10, 0, 0, 1].into()] });
    let ports: Vec<_> = (0..=GUESTS)
        .map(|number| {
            let guard = Guard { mac: mac(number), addresses: Addresses::FirstCome };
            let attachment =
                if number == GUESTS { Attachment::Open } else { Attachment::Guest(guard) };
            let config = PortConfig {
                attachment,
                isolation: Isolation::None,
                longest_frame: 1514,
                rates: Rates::default(),
            };
            switch.attach(config, Instant(0)).unwrap()
        })
        .collect();
    for (now, (from, to, source, rest)) in (0..).zip(frames) {
        let from = from % (GUESTS + 1);
        let to = to % 8;
        let source = if source < 128 { from } else { source % 8 };
        let frame = [&mac(to).0[..], &mac(source).0, &rest].concat();
        let head = &frame[..frame.len().min(HEAD_BYTES)];
        let verdict =
            switch.forward(ports[usize::from(from)], head, frame.len(), Instant(now << 32));
        let Verdict::Forward(reached) = verdict else { continue };
        assert!(!reached.is_empty() && !reached.contains(usize::from(from)));
        assert!(from == GUESTS || source == from);
        assert!(reached.iter().all(|port| port == usize::from(to) || port == usize::from(GUESTS)));
    }
});
