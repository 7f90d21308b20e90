/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Text as retort-protocol(7) means it: UTF-8 (RFC 3629), in which a byte that is part of no valid
 * sequence stands for itself. Pure; nothing here depends on the locale.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

/* How many bytes at the front of data are ASCII. */
size_t text_ascii_prefix(const uint8_t *data, size_t len);

/* How many bytes at the front of data are valid UTF-8. */
size_t text_valid_prefix(const uint8_t *data, size_t len);

/*
 * How many bytes at the end of data, 0 to 3, are the beginning of a UTF-8 sequence that more input
 * could still complete.
 */
size_t text_cut_suffix(const uint8_t *data, size_t len);

/*
 * Appends text to buffer in a form that no terminal obeys: a control character of C0 and DEL in
 * caret notation (^[), other control and format characters that change what follows (C1,
 * bidirectional embeddings, overrides and isolates, line and paragraph separators, tags) as
 * \u{XXXX}, a byte that is not UTF-8 as \xXX, and a run of more than 8 combining marks cut to 8
 * and an ellipsis. A tab stays. Returns 0 or -ENOMEM.
 */
int text_append_safe(struct buffer *buffer, const void *text, size_t len);
