# Roost: set up, build, run, test. `make help` explains the targets and the variables.

ARCH ?= aarch64
CPUS ?= 2
MEM ?= 2G
GIC ?= 3
CPU ?= cortex-a57
CMD ?=
APPEND ?=
AUTOSTART ?=
TESTS ?=
# Where a UART is if there is no device tree to say so: QEMU's. For another board, `make build ROOST_EARLYCON=0x...`, or empty.
ROOST_EARLYCON ?= 0x09000000
export CPUS MEM GIC CPU CMD APPEND ROOST_EARLYCON

ifneq ($(ARCH),aarch64)
$(error ARCH=$(ARCH): only aarch64 is there yet)
endif

TARGET := aarch64-unknown-none-softfloat
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
BUILD := $(abspath build/$(ARCH))
IMAGES := $(BUILD)/images
XTASK := $(TARGET_DIR)/release/xtask
ROOST_ELF := $(TARGET_DIR)/$(TARGET)/release/roost
# The guests are a workspace of their own, and so is where they are built.
GUEST_DIR := $(TARGET_DIR)/guests
GUESTS := $(GUEST_DIR)/$(TARGET)/release

# Which cargo to call: tools/setup.sh finds out.
-include build/toolchain.mk
CARGO ?= cargo
CARGO_BARE ?= cargo

.DEFAULT_GOAL := help
.PHONY: help setup build xtask guests image bundle run test test-host test-machine test-all bench check fmt clean

help: ## Explain the targets and the variables.
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo "Variables:"
	@echo "  ARCH=aarch64     the machine to build for (the only one yet)"
	@echo "  CPUS=$(CPUS)           how many CPUs the emulated machine has"
	@echo "  MEM=$(MEM)           how much memory it has"
	@echo "  GIC=$(GIC)            the version of its interrupt controller, 2 or 3"
	@echo "  CPU=$(CPU)   its processor, as 'qemu-system-aarch64 -cpu help' lists them"
	@echo "  CMD='...'        shell commands that Roost runs at boot:"
	@echo "                   make run CMD='vm create linux; vm start linux'"
	@echo "  AUTOSTART=FILE   a script for the bundle, which Roost runs at boot"
	@echo "  APPEND='...'     more of Roost's own command line"
	@echo "  TESTS=NAME       which machine tests to run: those whose name has NAME in it"

setup: ## Install what is missing (on Debian and Ubuntu), or say what is.
	@tools/setup.sh $(ARCH)

build/toolchain.mk:
	@tools/setup.sh $(ARCH)

build: xtask ## Build the hypervisor.
	@mkdir -p $(BUILD)
	$(CARGO_BARE) build --quiet --release -p roost --target $(TARGET) --target-dir $(TARGET_DIR) $(BUILD_STD)
	@$(XTASK) flatten $(ROOST_ELF) $(BUILD)/roost.bin
	@cp $(ROOST_ELF) $(BUILD)/roost.elf

xtask:
	@$(CARGO) build --quiet --release -p xtask --target-dir $(TARGET_DIR)

guests: xtask
	@cd images && $(CARGO_BARE) build --quiet --release --target-dir $(GUEST_DIR) $(BUILD_STD)
	@for guest in hello probe; do \
		mkdir -p $(IMAGES)/$$guest && \
		cp $(GUESTS)/$$guest $(IMAGES)/$$guest/$$guest.elf && \
		$(XTASK) flatten $(GUESTS)/$$guest $(IMAGES)/$$guest/$$guest.bin && \
		gzip -9nc $(IMAGES)/$$guest/$$guest.elf >$(IMAGES)/$$guest/$$guest.elf.gz || exit 1; \
	done

# Linux is packed again when a part of it changed; its packages are fetched once.
$(IMAGES)/linux/initrd.cpio.gz: $(wildcard images/linux/[!h]* images/linux/helper/src/* images/.cargo/config.toml images/Cargo.toml) | guests
	@mkdir -p $(@D)
	@images/linux/build.sh $(@D) $(XTASK) $(GUESTS)/linux-helper

image: guests $(IMAGES)/linux/initrd.cpio.gz ## Build the guests: Linux, hello and probe.

bundle: image ## Pack configurations and guests into what Roost gets as initrd.
	@$(XTASK) bundle $(BUILD)/bundle.cpio configs $(IMAGES) $(AUTOSTART)

run: setup ## Set up, build, and boot Roost in QEMU with its shell on this terminal.
	@$(MAKE) --no-print-directory build bundle
	@exec tools/run.sh $(BUILD)

test: setup ## Run the host tests and the machine tests.
	@$(MAKE) --no-print-directory test-host test-machine

test-host: ## Run the tests that need no emulator.
	$(CARGO) test --quiet

test-machine: build bundle ## Run the tests that boot Roost in QEMU; TESTS=NAME selects.
	ROOST_BUILD=$(BUILD) $(CARGO) test --quiet -p machine-tests -- --test-threads=2 $(TESTS)

test-all: test ## The same as test, and every test that is slow.
	ROOST_BUILD=$(BUILD) $(CARGO) test --quiet -p machine-tests -- --test-threads=2 --ignored $(TESTS)

bench: setup ## Measure, in counted instructions: a table here, JSON in build/bench.json.
	@$(MAKE) --no-print-directory build bundle
	@ROOST_BUILD=$(BUILD) $(CARGO) run --quiet --release -p machine-tests --bin bench -- build/bench.json

# Clippy sees each crate twice: on the host with its tests, and on the target as it is shipped.
check: setup xtask ## What must pass before a commit: format, lints on host and target, documentation, host tests.
	$(CARGO) fmt --check
	cd images && $(CARGO) fmt --check
	$(XTASK) lint
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings
	$(CARGO_BARE) clippy --quiet -p roost -p shell -p vm-manager -p virtio -p net -p hv-core --target $(TARGET) $(BUILD_STD) -- -D warnings
	cd images && $(CARGO_BARE) clippy --quiet --release --target-dir $(GUEST_DIR) $(BUILD_STD) -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --quiet --workspace --no-deps
	$(CARGO) test --quiet

fmt: ## Format the sources.
	$(CARGO) fmt
	cd images && $(CARGO) fmt

clean: ## Remove what was built; packages that were fetched stay in the cache.
	rm -rf build target
