/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Guesses what a person meant who mistyped a word. */

#include <stddef.h>

/*
 * How many letters must be inserted, left out, replaced or swapped with their neighbour to make
 * one word from the other. Words of more than 64 bytes count as entirely different:
 * as far apart as the longer one has bytes.
 */
size_t suggest_distance(const char *one, const char *other);
