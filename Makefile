# SPDX-License-Identifier: LGPL-2.1-or-later
#
# make            builds build/retortd and build/retort
# make help       lists everything else
#
# One archive for each folder of sources but its programs, so that tests link what they test. Every
# .c file in lib/, daemon/ and client/ belongs to its archive, every tests/unit_*.c, system_*.c,
# hostile_*.c and fuzz_*.c is a test program, every tests/preload_*.c a library for one, every
# tests/tool_*.c a program that tests run: nothing is listed twice.

VERSION := 0.1.0

# Everything that building, testing, checking, fuzzing, measuring and demonstrating needs.
DEB_PACKAGES := \
	gcc clang make libc6-dev pkg-config \
	libsystemd-dev libconfig-dev libunistring-dev libsqlite3-dev libicu-dev libreadline-dev \
	check libsubunit-dev libjansson-dev libclang-rt-14-dev netcat-openbsd python3 prometheus \
	iproute2 util-linux procps systemd strace tmux \
	clang-format clang-tidy cppcheck mandoc shellcheck valgrind zsh fish bash

ifeq ($(origin CC),default)
CC := gcc
endif
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy
CFLAGS ?= -O2 -g
BUILD ?= build
SECONDS ?= 60
ROUNDS ?= 1000

prefix ?= /usr/local
sysconfdir ?= /etc
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
pkgconfigdir ?= $(libdir)/pkgconfig
sbindir ?= $(prefix)/sbin
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
docdir ?= $(datadir)/doc/retort
systemdsystemunitdir ?= $(prefix)/lib/systemd/system
systemdgeneratordir ?= $(prefix)/lib/systemd/system-generators
systemdpresetdir ?= $(prefix)/lib/systemd/system-preset
sysusersdir ?= $(prefix)/lib/sysusers.d
catalogdir ?= $(prefix)/lib/systemd/catalog
bashcompletiondir ?= $(datadir)/bash-completion/completions
zshcompletiondir ?= $(datadir)/zsh/site-functions
fishcompletiondir ?= $(datadir)/fish/vendor_completions.d
DESTDIR ?=

# ---- Flags ----

comma := ,
WARNINGS := -Wall -Wextra -Wconversion -Wmissing-prototypes -Wvla -Wshadow -Wstrict-prototypes \
	-Wundef -Wformat=2 -Wno-sign-conversion

# Where the build goes. Builds that do not mix have a directory each, whatever BUILD is.
OUT := $(BUILD)$(addprefix -,$(subst $(comma),-,$(SANITIZE)))$(if $(FUZZ),-fuzz)

override CPPFLAGS += -D_GNU_SOURCE -DRETORT_VERSION='"$(VERSION)"' -Ilib
# Pairs of words that are written one by one must not be read back as one vector: the processor
# then waits for its store buffer, and on the way of a message that is a third of our own time.
CODE := -fno-strict-aliasing -fno-tree-slp-vectorize
override CFLAGS += -std=gnu17 $(CODE) -pthread $(WARNINGS)
ifdef WERROR
override CFLAGS += -Werror
endif
ifdef SANITIZE
override CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
override LDFLAGS += -fsanitize=$(SANITIZE)
endif
ifdef FUZZ
override CFLAGS += -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer \
	-fno-sanitize-recover=all
override LDFLAGS += -fsanitize=fuzzer,address,undefined
endif

includes_daemon := -Idaemon
includes_bench := -Idaemon
includes_client := -Iclient
includes_tests := -Idaemon -Iclient -Itests

# Asked for once, and not before something is compiled or linked.
remember = $(eval $(1) := $(2))$($(1))
PACKAGES := libsystemd libconfig jansson sqlite3 icu-i18n icu-uc readline check
PKG_CFLAGS = $(call remember,PKG_CFLAGS,$(shell $(PKG_CONFIG) --cflags $(PACKAGES)))
LIBS_CLIENT = $(call remember,LIBS_CLIENT,$(shell $(PKG_CONFIG) --libs readline))
LIBS_DAEMON = $(call remember,LIBS_DAEMON,$(shell $(PKG_CONFIG) --libs libsystemd libconfig sqlite3 icu-i18n icu-uc))
LIBS_TESTS = $(call remember,LIBS_TESTS,$(shell $(PKG_CONFIG) --libs check))
LIBS_LIB = $(call remember,LIBS_LIB,$(shell $(PKG_CONFIG) --libs jansson) -lunistring)

# V=1 shows whole commands, otherwise what they make.
say = $(if $(V),,@echo '  $@';)

# As many jobs as there are CPUs, unless make was told how many.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
SUBMAKE = +@$(MAKE) --no-print-directory $(JOBS)

# ---- What there is ----

sources = $(sort $(wildcard $(1)/*.c))
objects = $(patsubst %.c,$(OUT)/obj/%.o,$(1))

LIB_OBJECTS := $(call objects,$(call sources,lib))
DAEMON_OBJECTS := $(call objects,$(filter-out daemon/main.c daemon/generator.c,$(call sources,daemon)))
CLIENT_OBJECTS := $(call objects,$(filter-out client/main.c,$(call sources,client)))
HARNESS_OBJECTS := $(call objects,$(sort $(wildcard tests/harness*.c)))
ENDURE_OBJECTS := $(call objects,$(sort $(wildcard tests/endure_*.c)))
# What is installed for programs: the library of lib/retort*.c, with what it needs of the rest.
SONAME := libretort.so.0
SHARED := libretort.so.$(VERSION)
PIC_OBJECTS := $(patsubst %.c,$(OUT)/pic/%.o,$(call sources,lib))
LIBRARIES := $(OUT)/libdaemon.a $(OUT)/libclient.a $(OUT)/libretort.a

CHECK_SOURCES := $(sort $(wildcard tests/unit_*.c tests/system_*.c tests/hostile_*.c))
FUZZ_SOURCES := $(filter-out tests/fuzz_main.c,$(sort $(wildcard tests/fuzz_*.c)))
CHECKS := $(patsubst tests/%.c,$(OUT)/tests/%,$(CHECK_SOURCES))
FUZZERS := $(patsubst tests/%.c,$(OUT)/tests/%,$(FUZZ_SOURCES))
SCRIPTS := $(sort $(wildcard tests/system_*.sh tests/system_*.py))
TOOLS := $(patsubst tests/%.c,$(OUT)/tests/%,$(sort $(wildcard tests/tool_*.c)))
PRELOADS := $(patsubst tests/%.c,$(OUT)/tests/%.so,$(sort $(wildcard tests/preload_*.c)))
BENCHES := $(patsubst %.c,$(OUT)/%,$(sort $(wildcard bench/*.c)))

MAN_PAGES := $(sort $(wildcard man/*.[1-8]))
C_FILES := $(sort $(wildcard man/*.c lib/*.[ch] daemon/*.[ch] client/*.[ch] tests/*.[ch] bench/*.[ch]))
SHELL_FILES := $(shell grep -lE '^\#!.*[/ ](ba)?sh\>' .ci/* bench/* tests/* tests/booted/* tests/lint/* 2>/dev/null)

# What runs a program of this build from a script of tests/ or bench/.
ENVIRONMENT = RETORTD='$(abspath $(OUT))/retortd' RETORT='$(abspath $(OUT))/retort' \
	RETORT_BUILD='$(abspath $(OUT))'

# ---- Building ----

.PHONY: all
all: $(OUT)/retortd $(OUT)/retort $(OUT)/retortd-generator $(OUT)/$(SHARED) ## build retortd, retort and libretort (default)

.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

# Make expands all of a recipe before it runs the first line, so the folder is made while expanding.
define write_if_new
$(shell mkdir -p $(@D))$(file >$@.now,$(1))
@cmp -s $@.now $@ && rm $@.now || mv $@.now $@
endef

# Everything is built anew when the flags change.
FLAGS = $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
$(OUT)/flags: always
	@$(PKG_CONFIG) --exists $(PACKAGES) || \
		{ echo "Some libraries are missing: 'make deps' installs them." >&2; exit 1; }
	$(call write_if_new,$(FLAGS))
.PHONY: always
always:

$(OUT)/obj/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(say)$(CC) $(CPPFLAGS) $(includes_$(firstword $(subst /, ,$*))) $(PKG_CFLAGS) $(CFLAGS) \
		-MMD -MP -c -o $@ $<

# In a shared library every call of a public function goes through a table and none is inlined,
# unless the compiler is told that nobody puts another in its place. So the programs, which need not
# be told, have objects of their own.
$(OUT)/pic/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(say)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS) -fPIC -fno-semantic-interposition \
		-MMD -MP -c -o $@ $<

# It takes this file in, of which the compiler knows nothing.
$(OUT)/obj/daemon/config_builtin.o: conf/retortd.conf

# An archive is made anew when a source comes or goes, which changes no object.
$(OUT)/members-%: always
	$(call write_if_new,$(MEMBERS))
$(OUT)/members-retort: MEMBERS = $(LIB_OBJECTS)
$(OUT)/members-daemon: MEMBERS = $(DAEMON_OBJECTS)
$(OUT)/members-client: MEMBERS = $(CLIENT_OBJECTS)
$(OUT)/members-pic: MEMBERS = $(PIC_OBJECTS)
$(OUT)/members-harness: MEMBERS = $(HARNESS_OBJECTS)

$(OUT)/libretort.a: $(LIB_OBJECTS)
$(OUT)/libpic.a: $(PIC_OBJECTS)
$(OUT)/libdaemon.a: $(DAEMON_OBJECTS)
$(OUT)/libclient.a: $(CLIENT_OBJECTS)
$(OUT)/libharness.a: $(HARNESS_OBJECTS)
$(OUT)/lib%.a: $(OUT)/members-%
	@rm -f $@
	$(say)$(AR) rcs $@ $(filter %.o,$^)

LINK = $(say)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)

$(OUT)/retortd: $(OUT)/obj/daemon/main.o $(OUT)/libdaemon.a $(OUT)/libretort.a
	$(LINK) $(LIBS_DAEMON) $(LIBS_LIB)

# The service manager waits for it, so it is linked with nothing that it does not use.
$(OUT)/retortd-generator: $(OUT)/obj/daemon/generator.o $(OUT)/libdaemon.a $(OUT)/libretort.a
	$(LINK) -Wl,--as-needed $(LIBS_DAEMON) $(LIBS_LIB)

$(OUT)/retort: $(OUT)/obj/client/main.o $(OUT)/libclient.a $(OUT)/libretort.a
	$(LINK) $(LIBS_CLIENT) $(LIBS_LIB) -lm

# A sanitizer's functions are the program's.
$(OUT)/$(SHARED): $(filter $(OUT)/pic/lib/retort%.o,$(PIC_OBJECTS)) $(OUT)/libpic.a lib/retort.map
	$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--version-script,lib/retort.map \
		-Wl,--as-needed $(if $(SANITIZE)$(FUZZ),,-Wl$(comma)-z$(comma)defs) $(LIBS_LIB)

# libFuzzer brings a main function of its own; without it, ours replays the corpus.
$(OUT)/tests/fuzz_%: $(OUT)/obj/tests/fuzz_%.o $(if $(FUZZ),,$(OUT)/obj/tests/fuzz_main.o) \
		$(OUT)/libharness.a $(LIBRARIES)
	@mkdir -p $(@D)
	$(LINK) $(LIBS_TESTS) $(LIBS_DAEMON) $(LIBS_CLIENT) $(LIBS_LIB) -lm

# What a test puts into the daemon with LD_PRELOAD.
$(OUT)/tests/%.so: tests/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(say)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared -o $@ $<
$(OUT)/tests/system_steady: $(OUT)/tests/preload_alloc.so
$(OUT)/tests/system_names: $(OUT)/tests/preload_names.so
$(OUT)/tests/system_storage: $(OUT)/tests/preload_faults.so
$(OUT)/tests/system_crash_points: $(OUT)/tests/preload_kill.so

$(OUT)/tests/tool_endure: $(OUT)/obj/tests/tool_endure.o $(ENDURE_OBJECTS) $(OUT)/libharness.a \
		$(LIBRARIES)
	@mkdir -p $(@D)
	$(LINK) $(LIBS_TESTS) $(LIBS_DAEMON) $(LIBS_CLIENT) $(LIBS_LIB) -lm
$(OUT)/tests/system_endure: $(OUT)/tests/tool_endure

$(OUT)/tests/%: $(OUT)/obj/tests/%.o $(OUT)/libharness.a $(LIBRARIES)
	@mkdir -p $(@D)
	$(LINK) $(LIBS_TESTS) $(LIBS_DAEMON) $(LIBS_CLIENT) $(LIBS_LIB) -lm

# Libraries that a test puts into a daemon with LD_PRELOAD.
$(OUT)/tests/preload_%.so: tests/preload_%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(say)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -fPIC -shared -o $@ $< -ldl

$(OUT)/bench/%: $(OUT)/obj/bench/%.o $(OUT)/libdaemon.a $(OUT)/libretort.a
	@mkdir -p $(@D)
	$(LINK) -Wl,--as-needed $(LIBS_DAEMON) $(LIBS_LIB)

.PHONY: tests
tests: all $(CHECKS) $(FUZZERS) $(PRELOADS) $(TOOLS) ## build all tests
.SECONDARY:

-include $(wildcard $(OUT)/obj/*/*.d $(OUT)/pic/*/*.d $(OUT)/tests/*.d)

# ---- Testing ----

.PHONY: deps
deps: ## install the Debian packages that are missing for any of this
	@.ci/deps $(DEB_PACKAGES)

# TESTS="unit_frame system_%" runs those only.
TESTS ?= %
wanted = $(foreach test,$(1),$(if $(filter $(TESTS),$(notdir $(test))),$(test)))

.PHONY: check
check: deps ## run all tests (SANITIZE=address,undefined or thread, WERROR=1, CC=clang, TESTS=unit_%)
	$(SUBMAKE) tests
	@$(ENVIRONMENT) SANITIZE='$(SANITIZE)' tests/run $(call wanted,$(CHECKS) $(FUZZERS) $(SCRIPTS))

# BOOTED="crash reload" runs only what has these words in its name.
.PHONY: check-booted
check-booted: deps ## drive the installed service in a service manager that is booted for it (root)
	$(SUBMAKE) all $(OUT)/tests/tool_endure
	@rm -rf $(OUT)/booted
	@$(MAKE) --no-print-directory DESTDIR='$(abspath $(OUT))/booted' prefix=/usr install >/dev/null
	@mkdir $(OUT)/booted/booted
	@cp $(OUT)/tests/tool_endure $(OUT)/booted/booted/
	@tests/booted/run $(OUT)/booted $(BOOTED)

.PHONY: valgrind
valgrind: ## run all Check tests with the program under test in valgrind
	$(SUBMAKE) tests
	@$(ENVIRONMENT) tests/run --valgrind $(call wanted,$(CHECKS))

.PHONY: fuzz
fuzz: ## fuzz each target for SECONDS=n with libFuzzer
	$(SUBMAKE) FUZZ=1 CC=clang fuzz-run SECONDS=$(SECONDS) TESTS='$(TESTS)'

.PHONY: fuzz-run
fuzz-run: $(FUZZERS)
	@for fuzzer in $(call wanted,$(FUZZERS)); do tests/fuzz "$$fuzzer" $(SECONDS) || exit 1; done

TORTURES = $(OUT)/tests/system_crash $(OUT)/tests/system_crash_safe $(OUT)/tests/system_crash_points
.PHONY: torture
torture: deps ## kill busy daemons ROUNDS=n times each: all that was promised stays (RETORT_TEST_SEED=n)
	$(SUBMAKE) all $(TORTURES)
	@for torture in $(TORTURES); do $(ENVIRONMENT) RETORT_TEST_ROUNDS=$(ROUNDS) \
		$(if $(filter thread,$(SANITIZE)),setarch -R) $$torture || exit 1; done

.PHONY: bench
bench: ## measure retortd beside the barest possible server
	$(SUBMAKE) all $(BENCHES)
	@$(ENVIRONMENT) bench/run

.PHONY: demo
demo: deps ## show a running retortd at work
	$(SUBMAKE) all
	@$(ENVIRONMENT) tests/demo

# ---- Checking the sources ----

LINTS := lint-format lint-floors lint-man lint-shell lint-completions lint-units lint-gcc lint-clang \
	lint-cppcheck lint-tidy

.PHONY: lint $(LINTS)
lint: ## check form, structure and faults of the sources
	$(SUBMAKE) --output-sync=target $(LINTS)
	@echo "lint: nothing to complain about"

.PHONY: format
format: ## give all C files their form
	$(CLANG_FORMAT) -i $(C_FILES)

lint-format:
	@$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)

lint-floors:
	@tests/lint/check-floors --self-test
	@tests/lint/check-floors tests/lint/floors

lint-man:
	@$(if $(MAN_PAGES),mandoc -T lint -W warning $(MAN_PAGES))

lint-shell:
	@$(if $(SHELL_FILES),shellcheck $(SHELL_FILES))

lint-completions:
	@$(if $(wildcard client/completion/retort.bash),bash -n client/completion/retort.bash)
	@$(if $(wildcard client/completion/_retort),zsh -n client/completion/_retort)
	@$(if $(wildcard client/completion/retort.fish),fish -n client/completion/retort.fish)

lint-units:
	@tests/lint/check-units

# In directories of their own, so that neither makes the other build everything anew.
lint-gcc lint-clang: lint-%:
	+@$(MAKE) --no-print-directory BUILD=$(OUT)-$* CC=$* WERROR=1 tests \
		$(BENCHES:$(OUT)/%=$(OUT)-$*/%)

# It does not see what __attribute__((cleanup)) frees; the sanitizers and valgrind watch that.
lint-cppcheck:
	@mkdir -p $(OUT)/lint/cppcheck
	@cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --language=c \
		--enable=warning,performance,portability \
		--suppress=memleak --suppress=resourceLeak --cppcheck-build-dir=$(OUT)/lint/cppcheck \
		$(if $(findstring -j,$(JOBS)),$(JOBS)) $(CPPFLAGS) $(includes_tests) \
		$(filter %.c,$(C_FILES))

# A stamp for each file, as this is slow; it is renewed with the headers that the file includes.
lint-tidy: $(patsubst %.c,$(OUT)/lint/tidy/%.stamp,$(filter %.c,$(C_FILES)))
$(OUT)/lint/tidy/%.stamp: %.c .clang-tidy tests/.clang-tidy
	@mkdir -p $(@D)
	$(say)$(CLANG_TIDY) --quiet $< -- $(CPPFLAGS) $(includes_$(firstword $(subst /, ,$*))) \
		-std=gnu17 2>$@.err || { grep -v 'warnings generated' $@.err; exit 1; }
	@$(CC) $(CPPFLAGS) $(includes_$(firstword $(subst /, ,$*))) -MM -MP -MT $@ -MF $(@:.stamp=.d) $<
	@touch $@
-include $(wildcard $(OUT)/lint/tidy/*/*.d)

# ---- Installing ----

INSTALL = install -D -m 644
FILL_IN = sed -e 's|@bindir@|$(bindir)|g' -e 's|@sbindir@|$(sbindir)|g' \
	-e 's|@prefix@|$(prefix)|g' -e 's|@libdir@|$(libdir)|g' -e 's|@includedir@|$(includedir)|g' \
	-e 's|@sysconfdir@|$(sysconfdir)|g' -e 's|@mandir@|$(mandir)|g' -e 's|@version@|$(VERSION)|g'
# Of each unit is made the template for instances as well: retortd.service and retortd@.service.
UNITS := $(sort $(wildcard systemd/*.service systemd/*.socket systemd/*.target))
template_of = $(basename $(1))@$(suffix $(1))
PLAIN = -e 's|@at@||g' -e 's|@dash@||g' -e 's|@named@||g' -e 's|@config@||g'
TEMPLATE = -e 's|@at@|@%i|g' -e 's|@dash@|-%i|g' -e 's|@named@| "%i"|g' \
	-e 's|@config@| --config /etc/retort/retortd@%i.conf|g'
define install_units
$(foreach unit,$(UNITS),
	$(FILL_IN) $(PLAIN) $(unit) | $(INSTALL) /dev/stdin $(1)/$(notdir $(unit))
	$(FILL_IN) $(TEMPLATE) $(unit) | \
		$(INSTALL) /dev/stdin $(1)/$(call template_of,$(notdir $(unit))))
endef
DOCUMENTS := $(sort $(wildcard README* COPYING NEWS* HACKING* man/*.c)) $(wildcard conf/retortd.conf)
CONF := $(DESTDIR)$(sysconfdir)/retort/retortd.conf

# Each is FILE:PLACE.
INSTALLED := \
	$(foreach page,$(MAN_PAGES),$(page):$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	$(foreach doc,$(DOCUMENTS),$(doc):$(docdir)/$(notdir $(doc))) \
	lib/retort.h:$(includedir)/retort.h \
	systemd/retort.catalog:$(catalogdir)/retort.catalog \
	systemd/retort.preset:$(systemdpresetdir)/50-retort.preset \
	systemd/retort.sysusers:$(sysusersdir)/retort.conf \
	$(if $(wildcard client/completion/retort.bash),client/completion/retort.bash:$(bashcompletiondir)/retort) \
	$(if $(wildcard client/completion/_retort),client/completion/_retort:$(zshcompletiondir)/_retort) \
	$(if $(wildcard client/completion/retort.fish),client/completion/retort.fish:$(fishcompletiondir)/retort.fish)

.PHONY: install
install: all ## install under $(DESTDIR)$(prefix); an existing configuration stays as it is
	install -D -m 755 $(OUT)/retort $(DESTDIR)$(bindir)/retort
	install -D -m 755 $(OUT)/retortd $(DESTDIR)$(sbindir)/retortd
	install -D -m 755 $(OUT)/retortd-generator $(DESTDIR)$(systemdgeneratordir)/retortd-generator
	install -D -m 755 $(OUT)/$(SHARED) $(DESTDIR)$(libdir)/$(SHARED)
	ln -sf $(SHARED) $(DESTDIR)$(libdir)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(libdir)/libretort.so
	$(FILL_IN) lib/retort.pc.in | $(INSTALL) /dev/stdin $(DESTDIR)$(pkgconfigdir)/retort.pc
	$(foreach pair,$(INSTALLED),$(INSTALL) $(subst :, $(DESTDIR),$(pair))$(newline))
	$(call install_units,$(DESTDIR)$(systemdsystemunitdir))
	$(if $(wildcard conf/retortd.conf),test -e $(CONF) || $(INSTALL) conf/retortd.conf $(CONF))

# They are checked as they are installed.
.PHONY: units
units:
	$(call install_units,$(UNITS_IN))

.PHONY: uninstall
uninstall: ## remove what install installed, but not a configuration that was changed
	rm -f $(DESTDIR)$(bindir)/retort $(DESTDIR)$(sbindir)/retortd
	rm -f $(DESTDIR)$(systemdgeneratordir)/retortd-generator
	rm -f $(addprefix $(DESTDIR)$(libdir)/,$(SHARED) $(SONAME) libretort.so)
	rm -f $(DESTDIR)$(pkgconfigdir)/retort.pc
	rm -f $(foreach pair,$(INSTALLED),$(DESTDIR)$(lastword $(subst :, ,$(pair))))
	rm -f $(foreach unit,$(notdir $(UNITS)), \
		$(addprefix $(DESTDIR)$(systemdsystemunitdir)/,$(unit) $(call template_of,$(unit))))
	if cmp -s conf/retortd.conf $(CONF); then rm -f $(CONF); fi
	for directory in $(DESTDIR)$(docdir) $(dir $(CONF)); do \
		if [ -d "$$directory" ]; then rmdir --ignore-fail-on-non-empty "$$directory"; fi; \
	done

define newline


endef

# ---- The rest ----

.PHONY: clean
clean: ## remove every build directory
	rm -rf $(BUILD) $(foreach kind,address-undefined address undefined thread fuzz gcc clang,$(BUILD)-$(kind))

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14
