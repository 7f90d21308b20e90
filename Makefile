# SPDX-License-Identifier: LGPL-2.1-or-later
#
# make            builds build/retortd and build/retort
# make help       lists everything else

CC ?= gcc
PKG_CONFIG ?= pkg-config
BUILD ?= build

VERSION := 0.1.0

prefix ?= /usr/local
DESTDIR ?=

PACKAGES_LIB := libunistring-none
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wconversion -Wmissing-prototypes -Wvla -Wshadow -Wstrict-prototypes \
	-Wundef -Wformat=2 -Wno-sign-conversion
override CPPFLAGS += -D_GNU_SOURCE -DRETORT_VERSION='"$(VERSION)"' -Ilib -MMD -MP
override CFLAGS += -std=gnu17 -fno-strict-aliasing -pthread $(WARNINGS)
ifdef WERROR
override CFLAGS += -Werror
endif
ifdef SANITIZE
BUILD := build-$(subst $(comma),-,$(SANITIZE))
override CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
override LDFLAGS += -fsanitize=$(SANITIZE)
endif
comma := ,

LIBS_LIB := -lunistring
LIBS_DAEMON := $(shell $(PKG_CONFIG) --libs libsystemd libconfig)
LIBS_CHECK := $(shell $(PKG_CONFIG) --libs check)

sources = $(wildcard $(1)/*.c)
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

LIB_OBJECTS := $(call objects,$(call sources,lib))
DAEMON_OBJECTS := $(call objects,$(filter-out daemon/main.c,$(call sources,daemon)))
CLIENT_OBJECTS := $(call objects,$(filter-out client/main.c,$(call sources,client)))

.PHONY: all
all: $(BUILD)/retortd $(BUILD)/retort

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/obj/daemon/%.o $(BUILD)/obj/tests/%.o: CPPFLAGS += -Idaemon
$(BUILD)/obj/client/%.o $(BUILD)/obj/tests/%.o: CPPFLAGS += -Iclient

$(BUILD)/lib%.a:
	@rm -f $@
	$(AR) rcs $@ $^
$(BUILD)/libretort.a: $(LIB_OBJECTS)
$(BUILD)/libdaemon.a: $(DAEMON_OBJECTS)
$(BUILD)/libclient.a: $(CLIENT_OBJECTS)

$(BUILD)/retortd: $(BUILD)/obj/daemon/main.o $(BUILD)/libdaemon.a $(BUILD)/libretort.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_DAEMON) $(LIBS_LIB)

$(BUILD)/retort: $(BUILD)/obj/client/main.o $(BUILD)/libclient.a $(BUILD)/libretort.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_LIB)

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BUILD)/libdaemon.a $(BUILD)/libclient.a $(BUILD)/libretort.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_CHECK) $(LIBS_DAEMON) $(LIBS_LIB) -lm

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
