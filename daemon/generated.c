/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "generated.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

enum {
	NAMES_MAX = 10000, /* that are remembered */
	NAME_BYTES_MAX = 255,
};

static void fclosep(FILE **file)
{
	if (*file)
		(void)fclose(*file); /* what was written is closed by close_written() */
}

static char *join(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

/* Opens a file of the directory. Returns it, or NULL with errno. */
static FILE *open_in(const char *directory, const char *name, const char *mode)
{
	CLEANUP(freep) char *path = join(directory, name);
	FILE *file;

	if (!path) {
		errno = ENOMEM;
		return NULL;
	}
	if (*mode == 'w' && mkdir(directory, 0700) < 0 && errno != EEXIST)
		return NULL;
	file = fopen(path, mode);
	return file;
}

/* Closes a file that was written, which puts it in the place of the former one. */
static int close_written(FILE **file, const char *directory, const char *from, const char *to)
{
	CLEANUP(freep) char *old = join(directory, from), *new = join(directory, to);
	bool failed = ferror(*file) != 0;

	if (fclose(STEAL(*file)) != 0 || failed)
		return -EIO;
	if (!old || !new)
		return -ENOMEM;
	return rename(old, new) < 0 ? -errno : 0;
}

int generated_load(const char *directory, struct config **ret_config)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(freep) char *path = join(directory, "retortd.conf");

	return path ? config_load(path, ret_config, &problems) : -ENOMEM;
}

int generated_keep(const char *directory, const struct config *config)
{
	CLEANUP(fclosep) FILE *file = open_in(directory, "retortd.conf.new", "we");

	if (!file)
		return -errno;
	(void)config_print(config, file); /* as the stream says */
	return close_written(&file, directory, "retortd.conf.new", "retortd.conf");
}

/*
 * Names
 */

void unit_names_done(struct unit_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct unit_names){0};
}

static int add_name(struct unit_names *names, const char *name)
{
	char **grown = reallocarray(names->names, names->n + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	names->names = grown;
	grown[names->n] = strdup(name);
	return grown[names->n] ? (names->n++, 0) : -ENOMEM;
}

static bool is_generated(const struct socket_units *units, const char *name)
{
	for (size_t i = 0; i < units->n; i++)
		if (strcmp(units->units[i].name, name) == 0)
			return true;
	return false;
}

/* Whether somebody else has a unit of this name by now. */
static bool is_of_others(const char *name)
{
	static const char *const directories[] = {"/etc/systemd/system", "/run/systemd/system",
						  "/usr/local/lib/systemd/system",
						  "/usr/lib/systemd/system", "/lib/systemd/system"};

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		CLEANUP(freep) char *path = join(directories[i], name);
		struct stat status;

		if (path && lstat(path, &status) == 0)
			return true;
	}
	return false;
}

/* Reads the names that are remembered and are not of these units. Returns 0 or -ENOMEM. */
static int read_others(const char *directory, const struct socket_units *units,
		       struct unit_names *names)
{
	CLEANUP(fclosep) FILE *file = open_in(directory, "units", "re");
	char line[NAME_BYTES_MAX + 2];
	int r = 0;

	while (file && r == 0 && names->n < NAMES_MAX && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line && !is_generated(units, line))
			r = add_name(names, line);
	}
	return r;
}

static void write_names(const char *directory, const struct socket_units *units,
			const struct unit_names *others)
{
	CLEANUP(fclosep) FILE *file = open_in(directory, "units.new", "we");

	if (!file)
		return;
	for (size_t i = 0; i < units->n; i++)
		(void)fprintf(file, "%s\n", units->units[i].name);
	for (size_t i = 0; i < others->n; i++)
		(void)fprintf(file, "%s\n", others->names[i]);
	(void)close_written(&file, directory, "units.new", "units"); /* else the former stays */
}

int generated_remember(const char *directory, const struct socket_units *units,
		       struct unit_names *ret_gone)
{
	struct unit_names others = {0};
	size_t n = 0;
	int r;

	r = read_others(directory, units, &others);
	if (r < 0) {
		unit_names_done(&others);
		return r;
	}
	write_names(directory, units, &others);
	for (size_t i = 0; i < others.n; i++)
		if (is_of_others(others.names[i]))
			free(others.names[i]);
		else
			others.names[n++] = others.names[i];
	others.n = n;
	*ret_gone = others;
	return 0;
}
