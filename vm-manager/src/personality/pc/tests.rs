mod clocks;
mod exits;
mod interrupts;
mod loops;
mod machine;
mod power;
mod startup;
