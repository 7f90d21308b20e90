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
		(void)fclose(*file); /* what was written is closed by finish() */
}

/* Returns a new string, or NULL. */
static char *join(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

/* One of the files about an instance, and what it is written to before it is whole; owned. */
struct paths {
	char *whole, *unfinished;
};

static void paths_done(struct paths *paths)
{
	free(paths->whole);
	free(paths->unfinished);
}

/* Returns 0 or -ENOMEM; paths_done() is due anyway. */
static int paths_init(struct paths *paths, const char *directory, const char *prefix,
		      const struct instance *instance, const char *suffix)
{
	*paths = (struct paths){0};
	if (asprintf(&paths->whole, "%s/%s%s%s", directory, prefix, instance->at, suffix) < 0)
		paths->whole = NULL; /* undefined after a failure */
	else if (asprintf(&paths->unfinished, "%s.new", paths->whole) < 0)
		paths->unfinished = NULL; /* likewise */
	return paths->unfinished ? 0 : -ENOMEM;
}

/* Begins to write a file of a directory, which is made when it is missing. Returns 0 or an errno.
 */
static int begin(const char *directory, const struct paths *paths, FILE **ret_file)
{
	FILE *file;

	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return -errno;
	file = fopen(paths->unfinished, "we");
	if (!file)
		return -errno;
	*ret_file = file;
	return 0;
}

/* Ends a file, which takes the place of the former one then. Returns 0 or an errno. */
static int finish(const struct paths *paths, FILE **file)
{
	bool failed = ferror(*file) != 0;

	if (fclose(STEAL(*file)) != 0 || failed)
		return -EIO;
	return rename(paths->unfinished, paths->whole) < 0 ? -errno : 0;
}

int generated_load(const char *directory, const struct instance *instance,
		   struct config **ret_config)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(paths_done) struct paths paths;
	int r = paths_init(&paths, directory, "retortd", instance, ".conf");

	return r < 0 ? r : config_load_early(paths.whole, ret_config, &problems);
}

int generated_keep(const char *directory, const struct instance *instance,
		   const struct config *config)
{
	CLEANUP(paths_done) struct paths paths;
	CLEANUP(fclosep) FILE *file = NULL;
	int r = paths_init(&paths, directory, "retortd", instance, ".conf");

	if (r == 0)
		r = begin(directory, &paths, &file);
	if (r < 0)
		return r;
	(void)config_print(config, file); /* as the stream says */
	return finish(&paths, &file);
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
static int read_others(const char *path, const struct socket_units *units, struct unit_names *names)
{
	CLEANUP(fclosep) FILE *file = fopen(path, "re");
	char line[NAME_BYTES_MAX + 2];
	int r = 0;

	while (file && r == 0 && names->n < NAMES_MAX && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line && !is_generated(units, line))
			r = add_name(names, line);
	}
	return r;
}

static void write_names(const char *directory, const struct paths *paths,
			const struct socket_units *units, const struct unit_names *others)
{
	CLEANUP(fclosep) FILE *file = NULL;

	if (begin(directory, paths, &file) < 0)
		return;
	for (size_t i = 0; i < units->n; i++)
		(void)fprintf(file, "%s\n", units->units[i].name);
	for (size_t i = 0; i < others->n; i++)
		(void)fprintf(file, "%s\n", others->names[i]);
	(void)finish(paths, &file); /* else the former stays */
}

int generated_remember(const char *directory, const struct instance *instance,
		       const struct socket_units *units, struct unit_names *ret_gone)
{
	CLEANUP(paths_done) struct paths paths;
	struct unit_names others = {0};
	size_t n = 0;
	int r;

	r = paths_init(&paths, directory, "units", instance, "");
	if (r == 0)
		r = read_others(paths.whole, units, &others);
	if (r < 0) {
		unit_names_done(&others);
		return r;
	}
	write_names(directory, &paths, units, &others);
	for (size_t i = 0; i < others.n; i++)
		if (is_of_others(others.names[i]))
			free(others.names[i]);
		else
			others.names[n++] = others.names[i];
	others.n = n;
	*ret_gone = others;
	return 0;
}
