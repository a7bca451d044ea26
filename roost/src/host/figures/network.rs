//! Figures of the host's network and of guests' networks.

use super::{Services, Written};
use alloc::collections::BTreeSet;
use core::fmt;
use net::metrics::{Exposition, Kind, Value};
use shell::host::{Host as _, NetworkStatistics, SwitchPort};

impl Services {
    pub(super) fn network_figures(&self, all: &mut Exposition<'_, impl fmt::Write>) -> Written {
        type Figure = (&'static str, &'static str, fn(&NetworkStatistics) -> u64);
        const FIGURES: [Figure; 6] = [
            ("roost_network_receive_packets_total", "Frames that came to the host.", |of| {
                of.received_frames
            }),
            ("roost_network_receive_bytes_total", "Bytes of them.", |of| of.received_bytes),
            ("roost_network_receive_errors_total", "Frames that came and were of no use.", |of| {
                of.received_unfit
            }),
            ("roost_network_transmit_packets_total", "Frames that the host sent.", |of| {
                of.sent_frames
            }),
            ("roost_network_transmit_bytes_total", "Bytes of them.", |of| of.sent_bytes),
            ("roost_network_transmit_drop_total", "Frames that there was no room for.", |of| {
                of.sent_dropped
            }),
        ];
        let statistics = self.network_statistics();
        for (name, help, figure) in FIGURES {
            let value = Value::Count(figure(&statistics));
            all.family(name, Kind::Counter, help)?.sample(&[], value)?;
        }
        let mut taken = all.family(
            "roost_tcp_accepted_total",
            Kind::Counter,
            "Connections that came about on a port of the host.",
        )?;
        for tcp in &statistics.tcp {
            let port = alloc::format!("{}", tcp.port);
            taken.sample(&[("port", &port)], Value::Count(tcp.accepted))?;
        }
        self.switch_figures(all)
    }

    fn switch_figures(&self, all: &mut Exposition<'_, impl fmt::Write>) -> Written {
        type Figure = (&'static str, &'static str, fn(&SwitchPort) -> u64);
        const FIGURES: [Figure; 7] = [
            ("roost_switch_sent_packets_total", "Frames from a port that went on.", |port| {
                port.sent_frames
            }),
            ("roost_switch_sent_bytes_total", "Bytes of them.", |port| port.sent_bytes),
            ("roost_switch_received_packets_total", "Frames for a port.", |port| {
                port.received_frames
            }),
            ("roost_switch_received_bytes_total", "Bytes of them.", |port| port.received_bytes),
            ("roost_switch_dropped_packets_total", "Frames that a port had no room for.", |port| {
                port.dropped_frames
            }),
            ("roost_switch_dropped_bytes_total", "Bytes of them.", |port| port.dropped_bytes),
            (
                "roost_switch_refused_packets_total",
                "Frames from a port that were refused.",
                |port| port.refused.iter().map(|refused| refused.count).sum(),
            ),
        ];
        let switches = self.switches();
        for (name, help, figure) in FIGURES {
            let mut family = all.family(name, Kind::Counter, help)?;
            for switch in &switches {
                // Two figures must not have the same labels.
                let mut told = BTreeSet::new();
                for port in switch.ports.iter().filter(|port| told.insert(&port.name)) {
                    let labels = [("network", switch.name.as_str()), ("port", &port.name)];
                    family.sample(&labels, Value::Count(figure(port)))?;
                }
            }
        }
        Ok(())
    }
}
