//! Instructions of VMX, SVM, SMX, SGX and SMM, none of which a guest has: #UD, and nothing worse.

use guest::board::Board;
use guest::{println, trap};

use super::code::{self, Code};
use crate::report::{Outcome, check};

/// By name and by bytes; RDI is an address, RAX is 0.
const INSTRUCTIONS: [(&str, &[u8]); 22] = [
    ("vmxon", &[0xf3, 0x0f, 0xc7, 0x37]),
    ("vmxoff", &[0x0f, 0x01, 0xc4]),
    ("vmclear", &[0x66, 0x0f, 0xc7, 0x37]),
    ("vmptrld", &[0x0f, 0xc7, 0x37]),
    ("vmptrst", &[0x0f, 0xc7, 0x3f]),
    ("vmread", &[0x0f, 0x78, 0xc0]),
    ("vmwrite", &[0x0f, 0x79, 0xc0]),
    ("vmlaunch", &[0x0f, 0x01, 0xc2]),
    ("vmresume", &[0x0f, 0x01, 0xc3]),
    ("vmfunc", &[0x0f, 0x01, 0xd4]),
    ("invept", &[0x66, 0x0f, 0x38, 0x80, 0x07]),
    ("invvpid", &[0x66, 0x0f, 0x38, 0x81, 0x07]),
    ("vmrun", &[0x0f, 0x01, 0xd8]),
    ("vmload", &[0x0f, 0x01, 0xda]),
    ("vmsave", &[0x0f, 0x01, 0xdb]),
    ("stgi", &[0x0f, 0x01, 0xdc]),
    ("clgi", &[0x0f, 0x01, 0xdd]),
    ("skinit", &[0x0f, 0x01, 0xde]),
    ("invlpga", &[0x0f, 0x01, 0xdf]),
    ("getsec", &[0x0f, 0x37]),
    ("encls", &[0x0f, 0x01, 0xcf]),
    ("rsm", &[0x0f, 0xaa]),
];
const RET: u8 = 0xc3;

static CODE: Code = Code::new();
/// Room for what `vmptrst` would write.
static OPERAND: Code = Code::new();

pub(super) fn run(_: &'static Board) -> Outcome {
    let mut failed = Ok(());
    for (name, bytes) in INSTRUCTIONS {
        CODE.put(0, bytes);
        CODE.put(bytes.len(), &[RET]);
        let trap = trap::expect(|| {
            code::call(CODE.address(), OPERAND.address(), 0);
        });
        let vector = trap.map(|trap| trap.vector);
        if vector != Some(trap::vector::UNDEFINED) {
            println!("probe: info nested {name}: {vector:?}");
            failed = check(false, "an instruction that is not undefined", vector.unwrap_or(0));
        }
    }
    failed
}
