# Roost: set up, build, run, test. `make help` explains the targets and the variables.

# What was asked for; both architectures are tested unless one was.
ASKED := $(if $(filter command line environment,$(origin ARCH)),$(ARCH))
ARCHES ?= $(or $(ASKED),aarch64 x86_64)
ARCH ?= aarch64
MACHINE ?= qemu
CPUS ?= $(if $(filter bochs,$(MACHINE)),1,2)
MEM ?= $(if $(filter bochs,$(MACHINE)),1G,2G)
GIC ?= 3
CPU ?=
CMD ?=
APPEND ?=
AUTOSTART ?=
DISK ?=
NET ?=
PARTITIONS ?=
TESTS ?=
BENCH ?=
FUZZ ?=
FUZZ_SECONDS ?= 60
# Where a UART is if there is no device tree to say so: QEMU's. For another board, `make build ROOST_EARLYCON=0x...`, or empty.
ROOST_EARLYCON ?= 0x09000000
# What it is built from, for `version` and the metrics; nothing outside of a clone.
ifeq ($(origin ROOST_COMMIT),undefined)
ROOST_COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
endif
export ROOST_COMMIT FUZZ_SECONDS ARCH ARCHES MACHINE CPUS MEM GIC CPU CMD APPEND DISK NET ROOST_EARLYCON

TARGET_aarch64 := aarch64-unknown-none-softfloat
TARGET_x86_64 := x86_64-unknown-none
TARGET := $(TARGET_$(ARCH))
ifeq ($(TARGET),)
$(error ARCH=$(ARCH): there are aarch64 and x86_64)
endif
ifeq ($(filter $(ARCH)-$(MACHINE),aarch64-qemu x86_64-qemu x86_64-bochs),)
$(error ARCH=$(ARCH) MACHINE=$(MACHINE): there are qemu, and with ARCH=x86_64 also bochs)
endif
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
BUILD := $(abspath build/$(ARCH))
IMAGES := $(BUILD)/images
# A boot sector is for a PC only.
GUESTS_OF_OTHERS := $(if $(filter x86_64,$(ARCH)),,--exclude real)
# What hello.bin and probe.bin are: a Linux Image, or multiboot.
FLAT_FORM := $(if $(filter x86_64,$(ARCH)),multiboot,flatten)
XTASK := $(TARGET_DIR)/release/xtask
ROOST_ELF := $(TARGET_DIR)/$(TARGET)/release/roost
# The guests are a workspace of their own, and so is where they are built.
GUEST_DIR := $(TARGET_DIR)/guests
GUESTS := $(GUEST_DIR)/$(TARGET)/release

# Tests are named after machines; those of an architecture that was not asked for are left out.
SKIP_aarch64 := $(if $(filter aarch64,$(ARCHES)),,--skip aarch64::)
SKIP_x86_64 := $(if $(filter x86_64,$(ARCHES)),,--skip svm:: --skip vmx::)
RUN_TESTS = ROOST_BUILD=$(abspath build) $(CARGO) test --quiet -p machine-tests -- --test-threads=2 $(SKIP_aarch64) $(SKIP_x86_64)

# Which cargo to call: tools/setup.sh finds out.
-include build/toolchain.mk
CARGO ?= cargo
CARGO_BARE ?= cargo

.DEFAULT_GOAL := help
.PHONY: help setup setup-machine setup-tests build xtask roostctl guests image bundle disk debian iso passwd run test test-host test-machine test-all bench fuzz check check-target fmt clean

help: ## Explain the targets and the variables.
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo "Variables:"
	@echo "  ARCH=$(ARCH)     the architecture: aarch64 or x86_64"
	@echo "  MACHINE=$(MACHINE)     the emulator: qemu, or for x86_64 also bochs, which has Intel's VMX"
	@echo "  CPUS=$(CPUS)           how many CPUs the emulated machine has"
	@echo "  MEM=$(MEM)           how much memory it has"
	@echo "  GIC=$(GIC)            the version of its interrupt controller, 2 or 3"
	@echo "  CPU=NAME         its processor, as 'qemu-system-$(ARCH) -cpu help' or 'bochs --help cpu' lists them"
	@echo "  CMD='...'        shell commands that Roost runs at boot:"
	@echo "                   make run CMD='vm create linux; vm start linux'"
	@echo "  AUTOSTART=FILE   a script for the bundle, which Roost runs at boot"
	@echo "  DISK=FILE        a disk for the machine, such as the one of 'make disk'"
	@echo "  NET=user         its network in QEMU: user with ports 127.0.0.1:2323 for telnet and 2324 for programs, none, or"
	@echo "                   flags of QEMU"
	@echo "  PARTITIONS='...' more partitions for 'make disk', each LABEL=KIND:SIZE:SOURCE: debian=image::FILE, data=empty:64M"
	@echo "  APPEND='...'     more of Roost's own command line"
	@echo "  BENCH=virtio     what to measure, or network; all in counted instructions if left out"
	@echo "  FUZZ=NAME        which fuzz target to run; all if left out"
	@echo "  FUZZ_SECONDS=$(FUZZ_SECONDS)  how long each of them runs"
	@echo "  TESTS=NAME       which machine tests to run: those whose name has NAME in it"

setup: ## Install what is missing (on Debian and Ubuntu), or say what is.
	@tools/setup.sh $(ARCH)

# What `run` needs, and what all tests need.
setup-machine:
	@tools/setup.sh $(if $(filter x86_64,$(ARCH)),$(if $(filter bochs,$(MACHINE)),bochs,qemu-x86_64),$(ARCH))

setup-tests:
	@tools/setup.sh $(ARCHES)

build/toolchain.mk:
	@tools/setup.sh $(ARCH)

# QEMU and GRUB load the ELF on x86_64, without its debug information; on AArch64 it is a Linux Image.
build: xtask ## Build the hypervisor.
	@mkdir -p $(BUILD)
	$(CARGO_BARE) build --quiet --release -p roost --target $(TARGET) --target-dir $(TARGET_DIR) $(BUILD_STD)
ifeq ($(ARCH),x86_64)
	@$(XTASK) strip $(ROOST_ELF) $(BUILD)/roost.elf
else
	@$(XTASK) flatten $(ROOST_ELF) $(BUILD)/roost.bin
	@cp $(ROOST_ELF) $(BUILD)/roost.elf
endif

xtask:
	@$(CARGO) build --quiet --release -p xtask --target-dir $(TARGET_DIR)

roostctl: build/toolchain.mk ## Build the tool that runs the shell's commands from another machine: build/roostctl.
	@$(CARGO) build --quiet --release -p roostctl --target-dir $(TARGET_DIR)
	@mkdir -p build && cp $(TARGET_DIR)/release/roostctl build/roostctl

guests: xtask
	@cd images && $(CARGO_BARE) build --quiet --release --workspace $(GUESTS_OF_OTHERS) --target $(TARGET) --target-dir $(GUEST_DIR) $(BUILD_STD)
	@for guest in hello probe; do \
		mkdir -p $(IMAGES)/$$guest && \
		cp $(GUESTS)/$$guest $(IMAGES)/$$guest/$$guest.elf && \
		$(XTASK) $(FLAT_FORM) $(GUESTS)/$$guest $(IMAGES)/$$guest/$$guest.bin && \
		gzip -9nc $(IMAGES)/$$guest/$$guest.elf >$(IMAGES)/$$guest/$$guest.elf.gz || exit 1; \
	done
ifeq ($(ARCH),x86_64)
	@mkdir -p $(IMAGES)/real && $(XTASK) flatten $(GUESTS)/real $(IMAGES)/real/real.bin
endif

# Linux is packed again when a part of it changed; its packages are fetched once.
$(IMAGES)/linux/initrd.cpio.gz: $(wildcard images/linux/[!h]* images/linux/helper/src/* images/.cargo/config.toml images/Cargo.toml) | guests
	@mkdir -p $(@D)
	@images/linux/build.sh $(ARCH) $(@D) $(XTASK) $(GUESTS)/linux-helper

image: guests $(IMAGES)/linux/initrd.cpio.gz ## Build the guests: Linux, hello and probe.

bundle: image ## Pack configurations and guests into what Roost gets as initrd.
	@$(XTASK) bundle $(BUILD)/bundle.cpio configs/$(ARCH) $(IMAGES) $(AUTOSTART)

# Its first partition holds what a bundle does: configs/ and images/.
disk: image ## Make a disk with a bundle on it (ext4): build/ARCH/disk.img.
	@tools/setup.sh disk
	@rm -rf $(BUILD)/disk && mkdir -p $(BUILD)/disk/images
	@cp -r configs/$(ARCH) $(BUILD)/disk/configs && cp -rl $(IMAGES)/. $(BUILD)/disk/images
	@$(XTASK) disk $(BUILD)/disk.img roost=ext4::$(BUILD)/disk $(PARTITIONS)
	@rm -rf $(BUILD)/disk

# What a guest wrote to the disk stays there until the disk is made again: when a file of images/debian changes, or is deleted.
$(BUILD)/debian.img: $(wildcard images/debian/*) | image
	@tools/setup.sh debian $(if $(filter x86_64,$(ARCH)),qemu-x86_64,aarch64)
	@images/debian/build.sh $(ARCH) $(BUILD)/debian-root.img $(IMAGES)/linux
	@$(XTASK) disk $@.partial debian=image::$(BUILD)/debian-root.img
	@rm $(BUILD)/debian-root.img && mv $@.partial $@

debian: $(BUILD)/debian.img ## Make a disk with Debian on it, for the configuration of that name: build/ARCH/debian.img.

iso: ## Make a bootable image for PCs (BIOS and UEFI): build/x86_64/roost.iso.
ifneq ($(ARCH),x86_64)
	$(error there is an ISO image for ARCH=x86_64 only)
endif
	@tools/setup.sh iso
	@$(MAKE) --no-print-directory build bundle
	@tools/iso.sh $(BUILD)/roost.elf $(BUILD)/bundle.cpio $(BUILD)/roost.iso

passwd: xtask ## Ask for a password, and print the line for a user in configs/*/host.toml.
	@$(XTASK) passwd

run: setup-machine ## Set up, build, and boot Roost in an emulator with its shell on this terminal.
	@$(MAKE) --no-print-directory $(if $(filter bochs,$(MACHINE)),iso,build bundle)
	@XTASK=$(XTASK) exec tools/run.sh $(BUILD)

test: setup-tests ## Run the host tests and the machine tests, of both architectures unless ARCH is given.
	@$(MAKE) --no-print-directory test-host test-machine

test-host: ## Run the tests that need no emulator.
	$(CARGO) test --quiet

test-machine: roostctl ## Run the tests that boot Roost in emulators; TESTS=NAME selects.
	@for arch in $(ARCHES); do $(MAKE) --no-print-directory build bundle ARCH=$$arch AUTOSTART= || exit 1; done
	@$(if $(filter aarch64,$(ARCHES)),$(MAKE) --no-print-directory debian ARCH=aarch64)
	$(RUN_TESTS) $(TESTS)

test-all: test ## The same as test, and every test that is slow.
	@for arch in $(ARCHES); do $(MAKE) --no-print-directory debian ARCH=$$arch || exit 1; done
	$(RUN_TESTS) --ignored $(TESTS)

bench: setup ## Measure, in counted instructions: a table here, JSON in build/bench-$(ARCH).json.
	@$(MAKE) --no-print-directory build bundle
	@ROOST_BUILD=$(abspath build) $(CARGO) run --quiet --release -p machine-tests --bin bench -- $(ARCH) build/bench-$(ARCH).json $(BENCH)

fuzz: ## Run the fuzz targets, FUZZ_SECONDS each, or FUZZ=NAME only.
	@tools/setup.sh fuzz
	@tools/fuzz.sh "$(CARGO)" build/fuzz $(FUZZ)

# Clippy sees each crate twice: on the host with its tests, and on the target as it is shipped.
check: setup-tests xtask ## What must pass before a commit: format, lints on host and target, documentation, host tests.
	$(CARGO) fmt --check
	cd images && $(CARGO) fmt --check
	$(XTASK) lint
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings
	@for arch in $(ARCHES); do \
		$(MAKE) --no-print-directory check-target ARCH=$$arch || exit 1; \
	done
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --quiet --workspace --no-deps
	$(CARGO) test --quiet

# What is shipped for ARCH, and its guests.
check-target:
	$(CARGO_BARE) clippy --quiet -p roost -p shell -p vm-manager -p virtio -p volume -p net -p hv-core --target $(TARGET) $(BUILD_STD) -- -D warnings
	cd images && $(CARGO_BARE) clippy --quiet --release --workspace $(GUESTS_OF_OTHERS) --target $(TARGET) --target-dir $(GUEST_DIR) $(BUILD_STD) -- -D warnings

fmt: ## Format the sources.
	$(CARGO) fmt
	cd images && $(CARGO) fmt

clean: ## Remove what was built; packages that were fetched stay in the cache.
	rm -rf build target
