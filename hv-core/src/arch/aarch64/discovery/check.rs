//! Whether a device tree blob is sound: the checks that the parser leaves out. Devicetree
//! specification 0.4, chapter 5.

const MAGIC: u32 = 0xd00d_feed;
const HEADER_SIZE: usize = 40;
/// The booting protocol of arm64 allows 2 MiB.
const MAX_SIZE: usize = 2 << 20;
const MAX_DEPTH: u32 = 32;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// The size that the first eight bytes of a blob give, if they are the start of one.
pub(in super::super) fn checked_size(header: [u8; 8]) -> Option<usize> {
    let [magic, size] = [&header[..4], &header[4..]]
        .map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let size = size as usize;
    (magic == MAGIC && (HEADER_SIZE..=MAX_SIZE).contains(&size)).then_some(size)
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn block(tree: &[u8], offset_at: usize, size_at: usize) -> Option<&[u8]> {
    let offset = word(tree, offset_at)? as usize;
    let size = word(tree, size_at)? as usize;
    tree.get(offset..offset.checked_add(size)?)
}

/// Checks the blob, whose size is that of its header.
///
/// # Errors
///
/// Says what is wrong with it.
pub(super) fn check(tree: &[u8]) -> Result<(), &'static str> {
    if word(tree, 0) != Some(MAGIC) || word(tree, 4).map(|size| size as usize) != Some(tree.len()) {
        return Err("bad header");
    }
    let structure = block(tree, 8, 36).ok_or("structure block outside of the blob")?;
    let strings = block(tree, 12, 32).ok_or("strings block outside of the blob")?;
    check_reservations(tree)?;
    check_structure(structure, strings)
}

fn check_reservations(tree: &[u8]) -> Result<(), &'static str> {
    let mut offset = word(tree, 16).ok_or("bad header")? as usize;
    loop {
        let entry = offset.checked_add(16).and_then(|end| tree.get(offset..end));
        let entry = entry.ok_or("memory reservations without an end")?;
        if entry.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        offset += 16;
    }
}

fn check_structure(structure: &[u8], strings: &[u8]) -> Result<(), &'static str> {
    let (mut offset, mut depth, mut after_child) = (0, 0_u32, [false; MAX_DEPTH as usize + 1]);
    loop {
        let token = word(structure, offset).ok_or("structure without an end")?;
        offset += 4;
        match token {
            BEGIN_NODE => {
                let rest = structure.get(offset..).ok_or("structure without an end")?;
                let len = rest.iter().position(|&byte| byte == 0).ok_or("endless node name")?;
                core::str::from_utf8(&rest[..len]).map_err(|_| "node name is not text")?;
                offset += (len + 1).next_multiple_of(4);
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err("nodes nested too deeply");
                }
                after_child[depth as usize] = false;
            }
            END_NODE => {
                depth = depth.checked_sub(1).ok_or("end of a node that has not begun")?;
                after_child[depth as usize] = true;
            }
            PROP if depth > 0 => {
                if after_child[depth as usize] {
                    return Err("property behind a child node");
                }
                let len = word(structure, offset).ok_or("property cut off")? as usize;
                let name = word(structure, offset + 4).ok_or("property cut off")? as usize;
                let name = strings.get(name..).ok_or("property name outside of the strings")?;
                let end = name.iter().position(|&b| b == 0).ok_or("endless property name")?;
                let name = &name[..end];
                core::str::from_utf8(name).map_err(|_| "property name is not text")?;
                offset += 8;
                let value = offset.checked_add(len).and_then(|end| structure.get(offset..end));
                check_value(name, value.ok_or("property cut off")?)?;
                offset += len.next_multiple_of(4);
            }
            // The parser stumbles over these.
            NOP => return Err("NOP tokens are not supported"),
            END if depth == 0 => return Ok(()),
            _ => return Err("unexpected token"),
        }
    }
}

/// The properties that the parser reads without looking at their size.
fn check_value(name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    let sound = match name {
        b"#address-cells" | b"#size-cells" => {
            matches!(word(value, 0), Some(0..=3)) && value.len() == 4
        }
        _ => true,
    };
    if sound { Ok(()) } else { Err("bad #address-cells or #size-cells") }
}
