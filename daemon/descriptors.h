/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The file descriptors of this process, of which each connection takes one. */

#include <stdint.h>

/*
 * The table of descriptors is made for as many as this, 8 bytes of the kernel's memory each, when
 * the limit permits them.
 */
#define DESCRIPTORS_AT_ONCE UINT64_C(65536)

/*
 * Raises the limit of open files (getrlimit(2)) as far as it goes, and has the kernel make the
 * table of descriptors for many. To be called while there is one thread: then the kernel need not
 * wait until no other thread looks at the table. That is tens of milliseconds each of the many
 * times that it doubles, and whoever gets thousands of descriptors at once, as after a restart, or
 * a crowd that connects, would wait for all of them.
 */
void descriptors_prepare(void);

/* How many may be open. */
uint64_t descriptors_limit(void);

/* How many are open, or some more; it takes its time when that are thousands. */
uint64_t descriptors_count(void);
