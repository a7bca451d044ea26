//! What is where: which ports there are of the card, of Roost and of the host's stack, and the stacks on them.

use super::card::HostCard;
use super::gateway::Gateway;
use super::wire::{GatewayPort, HostPort, Seat, Wire};
use super::{NO_CARD, time};
use crate::networks::port::Plain;
use crate::networks::{self, Request};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use hv_core::host;
use net::stack::{Card, Error, Ipv4Config, Ipv6Config, Stack, StackConfig};
use net::switch::MacAddr;
use vm_manager::host_config::{Addressing, Management, NetworkKind, Prefix};
use vm_manager::sink::Bell;

/// Roost's ports on networks of guests.
pub(super) fn gateways(seed: u64, bell: &Arc<dyn Bell>, notes: &mut Vec<String>) -> Vec<Gateway> {
    let mut gateways = Vec::new();
    for (network, index) in networks::get().iter().zip(0u8..) {
        // Of those addresses that anybody may use (IEEE 802, 8.4); the same network has another one after each boot.
        let [a, b, c, d, ..] = seed.rotate_left(32).to_le_bytes();
        match Gateway::new(network, MacAddr([2, a, b, c, d, index]), bell) {
            Ok(gateway) => gateways.extend(gateway),
            Err(why) => notes.push(why),
        }
    }
    gateways
}

/// The port of the card on the network that is bridged to it.
pub(super) fn bridge(
    card: Option<&HostCard>,
    bell: &Arc<dyn Bell>,
    notes: &mut Vec<String>,
) -> Option<(Arc<networks::Network>, Plain)> {
    let mut bridge = None;
    for network in networks::get().iter() {
        let config = network.config();
        if config.kind != NetworkKind::Bridged {
            continue;
        }
        let problem = match (card, &bridge) {
            (None, _) => NO_CARD.to_string(),
            (Some(_), Some(_)) => "another network is bridged to the card".to_string(),
            (Some(card), None) => match network.attach(Request::open("card"), Arc::clone(bell)) {
                Ok(port) => {
                    bridge = Some((Arc::clone(network), Plain::new(port)));
                    continue;
                }
                Err(error) => networks::refusal(error, &config.name, card.mac()),
            },
        };
        notes.push(format!("network '{}' is bridged to nothing: {problem}", config.name));
    }
    bridge
}

/// Where the host's stack is.
pub(super) fn seat(
    config: &Management,
    gateways: &[Gateway],
    card: Option<&HostCard>,
    bell: &Arc<dyn Bell>,
) -> Result<Seat, String> {
    let Some(name) = &config.network else { return Ok(Seat::Card) };
    let has_name = |gateway: &Gateway| gateway.network.config().name == *name;
    if let Some(index) = gateways.iter().position(has_name) {
        return Ok(Seat::Gateway(index));
    }
    let problem = |why: String| format!("the host has no network: {why}");
    let network = networks::get().find(name).map_err(problem)?;
    let card = card.ok_or_else(|| problem(NO_CARD.into()))?;
    let port = network
        .attach(Request::open("host"), Arc::clone(bell))
        .map_err(|error| problem(networks::refusal(error, name, card.mac())))?;
    Ok(Seat::Port(Plain::new(port), card.mac()))
}

/// What is to be said of networks of kind nat when the host's stack is on the port of another one, and not outside.
pub(super) fn without_outside(gateways: &[Gateway], seat: usize) -> Vec<String> {
    let name = |gateway: &Gateway| gateway.network.config().name.clone();
    let Some(own) = gateways.get(seat).map(name) else { return Vec::new() };
    let is_nat = |gateway: &&Gateway| gateway.network.config().kind == NetworkKind::Nat;
    let note = |gateway| {
        format!("network '{}' leads nowhere: Roost's only address is on '{own}'", name(gateway))
    };
    gateways.iter().filter(is_nat).map(note).collect()
}

/// The host's own stack.
pub(super) fn host_stack(
    wire: &mut Wire,
    config: &Management,
    seed: u64,
) -> Result<Stack, &'static str> {
    let mut addresses = StackConfig { ipv4: ipv4(config), ipv6: ipv6(config) };
    // There is nobody there whom DHCP could ask but Roost itself.
    if let (Seat::Gateway(index), Ipv4Config::Dhcp) = (&wire.seat, addresses.ipv4)
        && let Some(gateway) = wire.gateways.get(*index)
    {
        addresses.ipv4 = gateway.stack_config().ipv4;
    }
    Stack::new(&addresses, &mut HostPort(wire), seed, time(host::now())).map_err(words)
}

/// The stacks of gateways; none where the host's own is.
pub(super) fn gateway_stacks(wire: &mut Wire, seed: u64) -> Vec<Option<Stack>> {
    let taken = match wire.seat {
        Seat::Gateway(index) => Some(index),
        Seat::Card | Seat::Port(..) => None,
    };
    let configs: Vec<StackConfig> = wire.gateways.iter().map(Gateway::stack_config).collect();
    let stack = |(config, index): (StackConfig, usize)| {
        if taken == Some(index) {
            return None;
        }
        let seed = seed.rotate_left(index as u32 + 1);
        let port = &mut GatewayPort(wire, index);
        Stack::new(&config, port, seed, time(host::now())).ok()
    };
    configs.into_iter().zip(0..).map(stack).collect()
}

fn ipv4(config: &Management) -> Ipv4Config {
    match config.ipv4 {
        Addressing::Off => Ipv4Config::Off,
        Addressing::Automatic => Ipv4Config::Dhcp,
        Addressing::Static(Prefix { address, bits }) => {
            Ipv4Config::Static { address, prefix: bits, gateway: config.gateway }
        }
    }
}

fn ipv6(config: &Management) -> Ipv6Config {
    match config.ipv6 {
        Addressing::Off => Ipv6Config::Off,
        Addressing::Automatic => Ipv6Config::LinkLocal,
        Addressing::Static(Prefix { address, bits }) => {
            Ipv6Config::Static { address, prefix: bits, gateway: config.gateway6 }
        }
    }
}

fn words(error: Error) -> &'static str {
    match error {
        Error::NotUnicast => "the card's address is not that of one card",
        Error::Address => "no host can have the address that is configured",
        Error::Port => "the port cannot be had",
        Error::Unreachable => "it cannot be reached",
    }
}
