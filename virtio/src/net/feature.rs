//! The feature bits of a network card (5.1.3).

/// `VIRTIO_NET_F_CSUM`: the device completes checksums.
pub(super) const CSUM: u64 = 1 << 0;
/// `VIRTIO_NET_F_GUEST_CSUM`: the driver does.
pub(super) const GUEST_CSUM: u64 = 1 << 1;
/// `VIRTIO_NET_F_CTRL_GUEST_OFFLOADS`: the driver switches what it does on and off.
pub(super) const CTRL_GUEST_OFFLOADS: u64 = 1 << 2;
/// `VIRTIO_NET_F_MTU`: the configuration has the largest packet.
pub(super) const MTU: u64 = 1 << 3;
/// `VIRTIO_NET_F_MAC`: the configuration has the address.
pub(super) const MAC: u64 = 1 << 5;
/// `VIRTIO_NET_F_GUEST_TSO4`: the driver takes segments of TCP over IPv4 together.
pub(super) const GUEST_TSO4: u64 = 1 << 7;
/// `VIRTIO_NET_F_GUEST_TSO6`: and over IPv6.
pub(super) const GUEST_TSO6: u64 = 1 << 8;
/// `VIRTIO_NET_F_HOST_TSO4`: the device cuts TCP over IPv4 into segments.
pub(super) const HOST_TSO4: u64 = 1 << 11;
/// `VIRTIO_NET_F_HOST_TSO6`: and over IPv6.
pub(super) const HOST_TSO6: u64 = 1 << 12;
/// `VIRTIO_NET_F_MRG_RXBUF`: a frame may be spread over several buffers.
pub(super) const MRG_RXBUF: u64 = 1 << 15;
/// `VIRTIO_NET_F_STATUS`: the configuration says whether there is a link.
pub(super) const STATUS: u64 = 1 << 16;
/// `VIRTIO_NET_F_CTRL_VQ`: there is a control queue.
pub(super) const CTRL_VQ: u64 = 1 << 17;
/// `VIRTIO_NET_F_CTRL_RX`: by which it is told what to receive.
pub(super) const CTRL_RX: u64 = 1 << 18;
/// `VIRTIO_NET_F_CTRL_MAC_ADDR`: and its address.
pub(super) const CTRL_MAC_ADDR: u64 = 1 << 23;

/// All that are offered. ECN is not: a segment that has it is cut by the guest.
pub(super) const OFFERED: u64 = CSUM
    | GUEST_CSUM
    | CTRL_GUEST_OFFLOADS
    | MTU
    | MAC
    | GUEST_TSO4
    | GUEST_TSO6
    | HOST_TSO4
    | HOST_TSO6
    | MRG_RXBUF
    | STATUS
    | CTRL_VQ
    | CTRL_RX
    | CTRL_MAC_ADDR;

/// Those that the driver may switch (5.1.6.5.6).
pub(super) const SWITCHABLE: u64 = GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6;
