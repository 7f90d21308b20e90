/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_scan.h"

/*
 * Follows the flex rules of libconfig 1.5. What is no valid token there may be cut differently
 * here; such text is copied as it is, and libconfig refuses it.
 */

#include <ctype.h>
#include <string.h>

static char at(const struct scanner *scanner, size_t position)
{
	return position < scanner->len ? scanner->text[position] : '\0';
}

/* Returns the position behind the last byte from position on that is one of set. */
static size_t skip(const struct scanner *scanner, size_t position, const char *set)
{
	while (position < scanner->len && scanner->text[position] &&
	       strchr(set, scanner->text[position]))
		position++;
	return position;
}

/* Returns the position of text's first occurrence from position on, or the end. */
static size_t find(const struct scanner *scanner, size_t position, const char *text)
{
	const char *found =
		memmem(scanner->text + position, scanner->len - position, text, strlen(text));

	return found ? (size_t)(found - scanner->text) : scanner->len;
}

static bool is_word(char c, bool first)
{
	return isascii(c) && (isalpha((unsigned char)c) || c == '*' ||
			      (!first && (isdigit((unsigned char)c) || c == '-' || c == '_')));
}

/* Each of these scans what begins at the scanner's position and sets *end behind it. */

static enum token_type scan_comment(const struct scanner *scanner, size_t *end)
{
	if (at(scanner, scanner->position) == '/' && at(scanner, scanner->position + 1) == '*') {
		*end = find(scanner, scanner->position + 2, "*/");
		if (*end == scanner->len)
			return TOKEN_OPEN_COMMENT;
		*end += 2;
	} else {
		*end = find(scanner, scanner->position, "\n");
	}
	return TOKEN_BLANK;
}

static enum token_type scan_string(const struct scanner *scanner, size_t *end)
{
	for (*end = scanner->position + 1; *end < scanner->len; ++*end)
		if (scanner->text[*end] == '\\') {
			++*end;
		} else if (scanner->text[*end] == '"') {
			++*end;
			return TOKEN_STRING;
		}
	*end = scanner->len;
	return TOKEN_OPEN_STRING;
}

static enum token_type scan_include(const struct scanner *scanner, size_t *end)
{
	static const char word[] = "@include";
	size_t quote = scanner->position + strlen(word), last;

	*end = find(scanner, scanner->position, "\n");
	if (!scanner->line_start || scanner->len - scanner->position < strlen(word) ||
	    memcmp(scanner->text + scanner->position, word, strlen(word)) != 0)
		return TOKEN_OPEN_INCLUDE;
	quote = skip(scanner, quote, " \t");
	if (at(scanner, quote) != '"')
		return TOKEN_OPEN_INCLUDE;
	last = quote + 1;
	while (last < scanner->len && scanner->text[last] != '"' && scanner->text[last] != '\n')
		last++;
	if (at(scanner, last) != '"')
		return TOKEN_OPEN_INCLUDE;
	*end = last + 1;
	return TOKEN_INCLUDE;
}

/* Returns the position behind digits, letters and dots, and a sign behind an exponent's e. */
static size_t skip_number(const struct scanner *scanner, size_t position)
{
	for (;; position++) {
		char c = at(scanner, position), before = at(scanner, position - 1);

		if (!isascii(c) || (!isalnum((unsigned char)c) && c != '.' &&
				    !((c == '+' || c == '-') && (before == 'e' || before == 'E'))))
			return position;
	}
}

static enum token_type scan(const struct scanner *scanner, size_t *end)
{
	size_t position = scanner->position;
	char c = at(scanner, position), next = at(scanner, position + 1);

	*end = position + 1;
	if (position == scanner->len) {
		*end = position;
		return TOKEN_END;
	}
	if (c == '\0')
		return TOKEN_OTHER;
	if (strchr(" \t\r\n\f", c)) {
		*end = skip(scanner, position, " \t\r\n\f");
		return TOKEN_BLANK;
	}
	if (c == '#' || (c == '/' && (next == '/' || next == '*')))
		return scan_comment(scanner, end);
	if (c == '"')
		return scan_string(scanner, end);
	if (c == '@')
		return scan_include(scanner, end);
	if (strchr("{([", c))
		return TOKEN_OPEN;
	if (strchr("})]", c))
		return TOKEN_CLOSE;
	if (c == '=' || c == ':')
		return TOKEN_ASSIGN;
	if (is_word(c, true)) {
		while (is_word(at(scanner, *end), false))
			++*end;
		return TOKEN_WORD;
	}
	if (strchr("+-.0123456789", c)) {
		*end = skip_number(scanner, position + 1);
		return TOKEN_NUMBER;
	}
	return TOKEN_OTHER;
}

struct token scanner_next(struct scanner *scanner)
{
	struct token token = {.text = scanner->text + scanner->position, .line = scanner->line};
	size_t end;

	token.type = scan(scanner, &end);
	token.len = end - scanner->position;
	if (token.type != TOKEN_BLANK && token.type != TOKEN_END)
		scanner->line_start = false;
	for (size_t i = 0; i < token.len; i++)
		if (token.text[i] == '\n') {
			scanner->line++;
			scanner->line_start = true;
		}
	scanner->position = end;
	return token;
}
