/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_source.h"

/*
 * One pass over each file's tokens copies them to the text. Line ends are copied one to one, so
 * that a stretch of the text between two includes is a stretch of one file: a part.
 *
 * What an administrator's file can make grow is bounded, above all because libconfig 1.5 takes
 * minutes for a group of a hundred thousand keys and gives up on deep nesting without saying why.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config_file.h"
#include "config_scan.h"
#include "util.h"

struct source_part {
	unsigned first; /* line of the text, from 1 */
	const char *file;
	unsigned line; /* of the file */
};

struct source_level {
	unsigned n_keys;
	char bracket; /* that opened it; '{' for the file itself, which is a group as well */
};

/* A file that is being read. */
struct opened {
	const char *file;
	struct stat stat;   /* zero for text from memory */
	struct buffer text; /* empty for text from memory */
	struct scanner scanner;
};

/* The files that are being read, each but the first included by the one before. */
struct stack {
	struct opened files[SOURCE_DEPTH_MAX + 1];
	unsigned n;
};

static void stack_done(struct stack *stack)
{
	while (stack->n > 0)
		buffer_done(&stack->files[--stack->n].text);
}

void source_done(struct source *source)
{
	char **names = (char **)source->names.data;

	for (size_t i = 0; i < source->names.len / sizeof(*names); i++)
		free(names[i]);
	buffer_done(&source->names);
	buffer_done(&source->text);
	buffer_done(&source->parts);
	buffer_done(&source->strings);
	buffer_done(&source->levels);
}

struct place source_place(const struct source *source, unsigned line)
{
	const struct source_part *parts = (const struct source_part *)source->parts.data;
	size_t low = 0, high = source->parts.len / sizeof(*parts);

	if (high == 0)
		return (struct place){0};
	/* The last part that does not begin behind line. */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (parts[middle].first <= line)
			low = middle;
		else
			high = middle;
	}
	line = MAX(line, parts[low].first);
	return (struct place){parts[low].file, parts[low].line + (line - parts[low].first)};
}

static struct place token_place(const struct opened *opened, const struct token *token)
{
	return (struct place){opened->file, token->line};
}

/* Says that what the text holds from here on is the file's from this line on. */
static int begin_part(struct source *source, const char *file, unsigned line)
{
	struct source_part part = {.first = source->n_lines + 1, .file = file, .line = line};

	return buffer_append(&source->parts, &part, sizeof(part));
}

/* Keeps a copy of a file's name for as long as the source. Returns NULL when out of memory. */
static const char *keep_name(struct source *source, char *name)
{
	if (!name || buffer_append(&source->names, &name, sizeof(name)) < 0) {
		free(name);
		return NULL;
	}
	return name;
}

static int append(struct source *source, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		source->n_lines += text[i] == '\n';
	return buffer_append(&source->text, text, len);
}

/* An integer keeps its value, if that must be at the far end of what libconfig can hold. */
static int add_number(struct source *source, const struct token *token)
{
	char digits[32], normal[32], *end;
	long long number;
	bool hex = token->len > 2 && token->text[0] == '0' && (token->text[1] | 0x20) == 'x';

	if (token->len < sizeof(digits)) {
		memcpy(digits, token->text, token->len);
		digits[token->len] = '\0';
	} else {
		for (size_t i = hex ? 2 : 1; i < token->len; i++)
			if (!strchr(hex ? "0123456789abcdefABCDEFL" : "0123456789L",
				    token->text[i]))
				return append(source, token->text, token->len);
		/* Far too long; any number that is too large stands for it. */
		(void)snprintf(digits, sizeof(digits), "%s99999999999999999999",
			       hex		     ? "0x"
			       : *token->text == '-' ? "-"
						     : "");
	}
	errno = 0;
	if (hex) {
		unsigned long long magnitude = strtoull(digits, &end, 16);

		number = magnitude > LLONG_MAX ? LLONG_MAX : (long long)magnitude;
	} else {
		number = strtoll(digits, &end, 10); /* LLONG_MIN or LLONG_MAX beyond them */
	}
	if (end == digits || end[strspn(end, "L")] != '\0' || strlen(end) > 2 ||
	    (!*end && number >= INT_MIN && number <= INT_MAX))
		return append(source, token->text, token->len);
	(void)snprintf(normal, sizeof(normal), hex ? "0x%llxL" : "%lldL", number); /* always fits */
	return append(source, normal, strlen(normal));
}

static int add_string(struct source *source, const struct opened *opened, const struct token *token,
		      struct config_problems *problems)
{
	unsigned line = source->n_lines + 1;
	int r;

	if (!source->string_fits) {
		source->broken = true;
		return config_problem(
			problems, token_place(opened, token),
			"a string cannot stand here; is a \"=\" or a comma missing before it?");
	}
	for (size_t i = 0; i + 3 < token->len; i++)
		if (token->text[i] == '\\') {
			if ((token->text[i + 1] | 0x20) == 'x' && token->text[i + 2] == '0' &&
			    token->text[i + 3] == '0') {
				r = config_problem(
					problems, token_place(opened, token),
					"a string cannot hold the byte \\x00; leave it out");
				if (r < 0)
					return r;
			}
			i++;
		}
	if (!source->after_string) {
		r = buffer_append(&source->strings, &line, sizeof(line));
		if (r < 0)
			return r;
	}
	return append(source, token->text, token->len);
}

/* Returns the innermost level; there is always the file itself. */
static struct source_level *innermost(const struct source *source)
{
	struct source_level *levels = (struct source_level *)source->levels.data;

	return &levels[source->levels.len / sizeof(*levels) - 1];
}

static int open_level(struct source *source, const struct opened *opened, const struct token *token,
		      struct config_problems *problems)
{
	struct source_level level = {.bracket = *token->text};

	if (source->levels.len / sizeof(level) > SOURCE_LEVELS_MAX) {
		source->broken = true;
		return config_problem(problems, token_place(opened, token),
				      "more than %d brackets are open here; close some",
				      SOURCE_LEVELS_MAX);
	}
	return buffer_append(&source->levels, &level, sizeof(level));
}

static void close_level(struct source *source)
{
	/* Of a bracket too many, libconfig will say so. */
	if (source->levels.len > sizeof(struct source_level))
		source->levels.len -= sizeof(struct source_level);
}

static int count_key(struct source *source, const struct opened *opened, const struct token *token,
		     struct config_problems *problems)
{
	if (++innermost(source)->n_keys <= SOURCE_KEYS_MAX)
		return 0;
	source->broken = true;
	return config_problem(problems, token_place(opened, token),
			      "more than %d keys are in one group; is a bracket missing?",
			      SOURCE_KEYS_MAX);
}

/* Remembers what the next token must know of this one, when that is more than blank. */
static void remember(struct source *source, const struct token *token)
{
	if (token->type == TOKEN_BLANK || token->type == TOKEN_INCLUDE)
		return;
	source->after_string = token->type == TOKEN_STRING;
	switch (*token->text) {
	case '"':
	case '=':
	case ':':
	case '(':
	case '[':
		source->string_fits = true;
		break;
	case ',':
		source->string_fits = innermost(source)->bracket != '{';
		break;
	default:
		source->string_fits = false;
		break;
	}
}

/* Returns the line, from 1, where position lies. */
static unsigned line_of(const char *text, const char *position)
{
	unsigned line = 1;

	for (; text < position; text++)
		line += *text == '\n';
	return line;
}

/* Goes on with text, of opened, for which there is room. The stack takes opened over. */
static int push(struct source *source, struct stack *stack, const struct opened *opened,
		struct bytes text, struct config_problems *problems)
{
	const char *begin = text.len > 0 ? (const char *)text.data : "";
	const char *nul = memchr(begin, '\0', text.len);
	struct opened *top = &stack->files[stack->n++];

	*top = *opened;
	top->scanner = (struct scanner)SCANNER_INIT(begin, text.len);
	source->n_files++;
	if (nul) {
		source->broken = true;
		return config_problem(problems, (struct place){top->file, line_of(begin, nul)},
				      "it is no text: here is a byte that is 0");
	}
	if (text.len + source->text.len > SOURCE_SIZE_MAX) {
		source->broken = true;
		return config_problem(problems, (struct place){.file = top->file},
				      "it is too long; a configuration has at most 4 MiB");
	}
	return begin_part(source, top->file, 1);
}

/* Goes on with what is behind the @include, if there was one. */
static int pop(struct source *source, struct stack *stack)
{
	const struct opened *outer;
	int r = 0;

	/* To libconfig, a comment without a line end behind it is garbage. */
	if (source->text.len > 0 && source->text.data[source->text.len - 1] != '\n')
		r = append(source, "\n", 1);
	buffer_done(&stack->files[--stack->n].text);
	if (r < 0 || stack->n == 0)
		return r;
	outer = &stack->files[stack->n - 1];
	return begin_part(source, outer->file, outer->scanner.line);
}

/* Returns the name of the file that text includes: relative to the including file. */
static char *included_name(const struct opened *opened, const struct token *token)
{
	const char *quote = memchr(token->text, '"', token->len), *slash;
	int len = (int)(token->text + token->len - quote - 2), directory = 0;
	char *name;

	if (quote[1] != '/' && opened->file) {
		slash = strrchr(opened->file, '/');
		directory = slash ? (int)(slash - opened->file) + 1 : 0;
	}
	if (asprintf(&name, "%.*s%.*s", directory, directory ? opened->file : "", len, quote + 1) <
	    0)
		return NULL;
	return name;
}

/* Says why a file that can be read may not be included here; NULL: it may. */
static const char *include_problem(const struct source *source, const struct stack *stack,
				   const struct opened *opened)
{
	for (unsigned i = 0; i < stack->n; i++)
		if (stack->files[i].stat.st_ino == opened->stat.st_ino &&
		    stack->files[i].stat.st_dev == opened->stat.st_dev)
			return "it includes itself; remove this line";
	if (stack->n > SOURCE_DEPTH_MAX)
		return "too many files include each other; write it into this file";
	if (source->n_files >= SOURCE_FILES_MAX)
		return "too many files are included; write it into this file";
	return NULL;
}

static const char *load_problem(int error)
{
	switch (error) {
	case -EINVAL:
		return "it is no regular file; name one that is";
	case -ENOENT:
		return "there is no such file; a relative name starts at this file's directory";
	default:
		return strerrordesc_np(-error);
	}
}

static int include(struct source *source, struct stack *stack, const struct token *token,
		   struct config_problems *problems)
{
	const struct opened *outer = &stack->files[stack->n - 1];
	struct opened opened = {0};
	const char *file, *problem;
	int r;

	file = keep_name(source, included_name(outer, token));
	if (!file)
		return -ENOMEM;
	opened.file = file;
	r = config_file_read(file, true, SOURCE_SIZE_MAX, &opened.stat, &opened.text);
	if (r == -ENOMEM)
		return r;
	problem = r < 0 ? load_problem(r) : include_problem(source, stack, &opened);
	if (!problem)
		return push(source, stack, &opened,
			    (struct bytes){opened.text.data, opened.text.len}, problems);
	buffer_done(&opened.text);
	return config_problem(problems, token_place(outer, token), "cannot include \"%s\": %s",
			      file, problem);
}

static int add_token(struct source *source, struct stack *stack, const struct token *token,
		     struct config_problems *problems)
{
	const struct opened *opened = &stack->files[stack->n - 1];
	int r = 0;

	switch (token->type) {
	case TOKEN_END:
		return pop(source, stack);
	case TOKEN_STRING:
		return add_string(source, opened, token, problems);
	case TOKEN_NUMBER:
		return add_number(source, token);
	case TOKEN_INCLUDE:
		return include(source, stack, token, problems);
	case TOKEN_OPEN_INCLUDE:
		return config_problem(
			problems, token_place(opened, token),
			"an @ begins nothing here; write @include \"FILE\" on a line of its own");
	case TOKEN_OPEN_STRING:
		source->broken = true;
		return config_problem(
			problems, token_place(opened, token),
			"the string that begins here has no end; add a quotation mark");
	case TOKEN_OPEN_COMMENT:
		return config_problem(problems, token_place(opened, token),
				      "the comment that begins here has no end; add */");
	case TOKEN_OPEN:
		r = open_level(source, opened, token, problems);
		break;
	case TOKEN_CLOSE:
		close_level(source);
		break;
	case TOKEN_ASSIGN:
		r = count_key(source, opened, token, problems);
		break;
	default:
		break;
	}
	return r < 0 ? r : append(source, token->text, token->len);
}

/* Reads from a first file, which the stack takes over, to its end. */
static int read_all(struct source *source, const struct opened *first, struct bytes text,
		    struct config_problems *problems)
{
	CLEANUP(stack_done) struct stack stack = {.n = 0};
	struct source_level outermost = {.bracket = '{'};
	int r;

	r = push(source, &stack, first, text, problems);
	if (r == 0)
		r = buffer_append(&source->levels, &outermost, sizeof(outermost));
	while (r == 0 && stack.n > 0 && !source->broken) {
		struct token token = scanner_next(&stack.files[stack.n - 1].scanner);

		r = add_token(source, &stack, &token, problems);
		if (token.type != TOKEN_END)
			remember(source, &token);
	}
	return r < 0 ? r : buffer_append(&source->text, "", 1);
}

/* Says why the configuration itself cannot be read. */
static int say_unreadable(const char *file, int error, struct config_problems *problems)
{
	struct place place = {.file = file};

	switch (error) {
	case -ENOENT:
		return config_problem(
			problems, place,
			"there is no such file; create it, or name another one with --config");
	case -EISDIR:
		return config_problem(problems, place, "this is a directory; name a file in it");
	case -EACCES:
	case -EPERM:
		return config_problem(
			problems, place,
			"reading it is not permitted; allow it to the user that runs retortd, or "
			"name another file with --config");
	default:
		return config_problem(problems, place, "it cannot be read: %s",
				      strerrordesc_np(-error));
	}
}

int source_read_file(struct source *source, const char *file, struct config_problems *problems)
{
	struct opened opened = {0};
	int r, added;

	file = keep_name(source, strdup(file));
	if (!file)
		return -ENOMEM;
	opened.file = file;
	r = config_file_read(file, false, SOURCE_SIZE_MAX, &opened.stat, &opened.text);
	if (r == 0)
		return read_all(source, &opened, (struct bytes){opened.text.data, opened.text.len},
				problems);
	if (r == -ENOMEM)
		return r;
	added = say_unreadable(file, r, problems);
	return added < 0 ? added : r;
}

int source_read_text(struct source *source, const char *name, const char *text, size_t len,
		     struct config_problems *problems)
{
	struct opened opened = {.file = NULL};

	if (name) {
		opened.file = keep_name(source, strdup(name));
		if (!opened.file)
			return -ENOMEM;
	}
	/* The scanner only reads, whatever the type of its window. */
	return read_all(source, &opened, (struct bytes){(uint8_t *)text, len}, problems);
}
