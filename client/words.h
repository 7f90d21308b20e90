/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Puts the words of a command line together, one blank between them. NULL when out of memory. */
char *words_join(char *const words[]);
