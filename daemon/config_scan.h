/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The lexical grammar of libconfig files, as far as it must be known to find, without parsing,
 * where a string or a comment begins and ends, what a number is, and what is included. Pure: a
 * scanner walks over memory that somebody else owns.
 */

#include <stdbool.h>
#include <stddef.h>

enum token_type {
	TOKEN_END,
	TOKEN_BLANK,	    /* spaces, line ends and comments */
	TOKEN_WORD,	    /* a key, true or false */
	TOKEN_NUMBER,	    /* what begins like a number */
	TOKEN_STRING,	    /* with its quotation marks */
	TOKEN_OPEN,	    /* { ( [ */
	TOKEN_CLOSE,	    /* } ) ] */
	TOKEN_ASSIGN,	    /* = : */
	TOKEN_INCLUDE,	    /* @include "FILE", at the front of a line */
	TOKEN_OTHER,	    /* any other byte */
	TOKEN_OPEN_STRING,  /* a string without an end */
	TOKEN_OPEN_COMMENT, /* a comment without an end */
	TOKEN_OPEN_INCLUDE, /* an @ that begins no @include "FILE", and the rest of its line */
};

struct token {
	enum token_type type;
	const char *text; /* in the scanner's memory */
	size_t len;
	unsigned line; /* where it begins, from 1 */
};

struct scanner {
	const char *text;
	size_t len;
	size_t position;
	unsigned line;	 /* at position, from 1 */
	bool line_start; /* only blanks stand before position on its line */
};

#define SCANNER_INIT(text_, len_)                                              \
	{                                                                      \
		.text = (text_), .len = (len_), .line = 1, .line_start = true, \
	}

/* Returns the next token; TOKEN_END again and again at the end. */
struct token scanner_next(struct scanner *scanner);
