/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instances.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_problem.h"
#include "util.h"

#define PREFIX "retortd@"
#define SUFFIX ".conf"

static void closedirp(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory); /* nothing was written */
}

bool instance_is_named(const struct instance *instance)
{
	return *instance->at;
}

static void instance_done(struct instance *instance)
{
	free(instance->at);
	free(instance->file);
	free(instance->service);
	free(instance->target);
	free(instance->directory);
	free(instance->control);
}

void instances_done(struct instances *instances)
{
	for (size_t i = 0; i < instances->n; i++)
		instance_done(&instances->all[i]);
	free(instances->all);
	*instances = (struct instances){0};
}

/* Returns the three texts as one new string, or NULL. */
static char *join(const char *first, const char *second, const char *third)
{
	char *text;

	return asprintf(&text, "%s%s%s", first, second, third) < 0 ? NULL : text;
}

/* Adds the one of a file; name is NULL for that of no name. Returns 0 or -ENOMEM. */
static int add(struct instances *instances, const char *file, const char *name)
{
	struct instance *all =
		reallocarray(instances->all, instances->n + 1, sizeof(*instances->all));
	const char *at = name ? "@" : "", *dash = name ? "-" : "";
	struct instance *one;

	if (!all)
		return -ENOMEM;
	instances->all = all;
	one = &all[instances->n++];
	name = name ?: "";
	*one = (struct instance){
		.at = join(at, name, ""),
		.file = strdup(file),
		.service = join("retortd", at, name),
	};
	one->directory = join("/run/retort", dash, name);
	if (!one->at || !one->file || !one->service || !one->directory)
		return -ENOMEM;
	one->target = join("retortd-sockets", one->at, ".target");
	one->control = join(one->directory, "/control.sock", "");
	return one->target && one->control ? 0 : -ENOMEM;
}

/* The length of the directory in a file's path, with the slash behind it. */
static size_t directory_length(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? (size_t)(slash - file) + 1 : 0;
}

/* Adds instance NAME, whose file lies beside that of the first. Returns 0 or -ENOMEM. */
static int add_named(struct instances *instances, const char *name)
{
	const char *first = instances->all[0].file;
	CLEANUP(freep) char *file = NULL;

	if (asprintf(&file, "%.*s" PREFIX "%s" SUFFIX, (int)directory_length(first), first, name) <
	    0) {
		file = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	return add(instances, file, name);
}

static bool is_known(const struct instances *instances, const char *name)
{
	for (size_t i = 1; i < instances->n; i++)
		if (strcmp(instances->all[i].at + 1, name) == 0)
			return true;
	return false;
}

/* What the names of units, directories and users may all have in them, without being escaped. */
static bool is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= INSTANCE_NAME_MAX &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
		       len;
}

/* Adds the one whose configuration has this name, if any has. Returns 0 or -ENOMEM. */
static int add_file(struct instances *instances, const char *directory, const char *file,
		    struct config_problems *problems)
{
	CLEANUP(freep) char *path = NULL, *name = NULL;
	size_t len = strlen(file);

	if (strncmp(file, PREFIX, strlen(PREFIX)) != 0 || len < strlen(PREFIX SUFFIX) ||
	    strcmp(file + len - strlen(SUFFIX), SUFFIX) != 0)
		return 0;
	path = join(directory, "/", file);
	name = strndup(file + strlen(PREFIX), len - strlen(PREFIX SUFFIX));
	if (!path || !name)
		return -ENOMEM;
	if (!is_name(name))
		return config_problem(problems, (struct place){path, 0},
				      "the name of an instance has 1 to %d letters, digits, '-' "
				      "and '_'; ignoring it",
				      INSTANCE_NAME_MAX);
	if (is_known(instances, name))
		return 0;
	if (instances->n > INSTANCES_MAX)
		return config_problem(problems, (struct place){path, 0},
				      "there are more than %d instances; ignoring it",
				      INSTANCES_MAX);
	return add_named(instances, name);
}

static int add_directory(struct instances *instances, const char *path,
			 struct config_problems *problems)
{
	CLEANUP(closedirp) DIR *directory = opendir(path);
	struct dirent *entry;
	int r = 0;

	while (r == 0 && directory && (entry = readdir(directory)))
		r = add_file(instances, path, entry->d_name, problems);
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct instance *left = a, *right = b;

	return strcmp(left->at, right->at);
}

int instances_find(const char *file, const char *memory, struct instances *ret_instances,
		   struct config_problems *problems)
{
	CLEANUP(instances_done) struct instances instances = {0};
	size_t len = directory_length(file);
	CLEANUP(freep) char *directory = len > 1 ? strndup(file, len - 1) : strdup(len ? "/" : ".");
	int r = directory ? add(&instances, file, NULL) : -ENOMEM;

	if (r == 0)
		r = add_directory(&instances, directory, problems);
	if (r == 0 && memory)
		r = add_directory(&instances, memory, problems);
	if (r < 0)
		return r;
	qsort(instances.all, instances.n, sizeof(*instances.all), compare);
	*ret_instances = instances;
	instances = (struct instances){0};
	return 0;
}
