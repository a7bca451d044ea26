//! A guest's device tree, read back from it (Devicetree Specification, chapter 5).

const BEGIN_NODE: u32 = 1;
const PROPERTY: u32 = 3;
/// A constant seed, as long as QEMU's. Without any, Linux spends thousands of instructions more on each system call, to
/// gather randomness.
const SEED: [u8; 32] = [0x5a; 32];
const SEED_NAME: &[u8] = b"rng-seed\0";

/// Decodes base64; what is not of its alphabet is skipped.
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.bytes().filter_map(value) {
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// The same tree with a seed in `/chosen`, from which Linux has erased its own.
pub(crate) fn with_seed(tree: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u32::from_be_bytes(tree.get(at..at + 4)?.try_into().ok()?));
    let offset = |at: usize| Some(word(at)? as usize);
    let (structure, strings, reservations) = (offset(8)?, offset(12)?, offset(16)?);
    let (strings_size, structure_size) = (offset(32)?, offset(36)?);

    let mut names = tree.get(strings..strings + strings_size)?.to_vec();
    let mut property: Vec<u8> = [PROPERTY, SEED.len() as u32, names.len() as u32]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect();
    property.extend(SEED);
    names.extend(SEED_NAME);

    let mut nodes = tree.get(structure..structure + structure_size)?.to_vec();
    let mut chosen = BEGIN_NODE.to_be_bytes().to_vec();
    chosen.extend(b"chosen\0\0");
    let at = nodes.windows(chosen.len()).position(|window| window == chosen)? + chosen.len();
    nodes.splice(at..at, property);

    // Header, reservations, nodes, names, in this order.
    let reserved = tree.get(reservations..structure.max(reservations + 16))?;
    let structure = 40 + reserved.len();
    let strings = structure + nodes.len();
    let total = strings + names.len();
    let mut out = Vec::new();
    for field in [
        word(0)?,
        total as u32,
        structure as u32,
        strings as u32,
        40,
        word(20)?,
        word(24)?,
        word(28)?,
        names.len() as u32,
        nodes.len() as u32,
    ] {
        out.extend(field.to_be_bytes());
    }
    out.extend(reserved);
    out.extend(nodes);
    out.extend(names);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{from_base64, with_seed};

    #[test]
    fn base64_is_decoded_across_lines() {
        assert_eq!(from_base64("Um9v\r\nc3Q="), b"Roost");
    }

    #[test]
    fn what_is_no_device_tree_gives_none() {
        assert_eq!(with_seed(b""), None);
        assert_eq!(with_seed(&[0xff; 64]), None);
    }
}
