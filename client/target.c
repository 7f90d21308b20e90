/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target.h"

#include <stdio.h>
#include <string.h>

#include "retort_where.h"

#define DEFAULT_CONTROL "unix:control.sock"

void target_done(struct target *target)
{
	free(target->address);
	free(target->endpoints);
	*target = (struct target){0};
}

static int resolve_failed(const struct target *target, int error, const char *problem)
{
	if (error == -ENOMEM)
		return out_of_memory();
	complain("%s: %s", target->name, problem);
	return error == -ENAMETOOLONG ? STATUS_USAGE : STATUS_NO_HOST;
}

static int resolve(struct target *target, const struct address *address)
{
	const char *problem = NULL;
	int r = where_resolve(address, &target->endpoints, &target->n_endpoints, &problem);

	return r < 0 ? resolve_failed(target, r, problem) : STATUS_GO_ON;
}

static int parse(const struct common *common, const char *text, struct address *ret_address)
{
	const char *problem;
	int r = address_parse(text, ret_address, &problem);

	if (r == -ENOMEM)
		return out_of_memory();
	return r < 0 ? usage_error(common, "the address \"%s\": %s", text, problem) : STATUS_GO_ON;
}

/* Writes where an instance has a relative Unix socket, and nobody else. */
static int place(const struct common *common, const char *text, char **ret_text)
{
	CLEANUP(address_done) struct address address = {0};
	int status = parse(common, text, &address);

	if (status != STATUS_GO_ON)
		return status;
	if (!address_is_relative(&address))
		return usage_error(common,
				   "%s: with --instance it is a relative Unix socket, for all "
				   "others know no instance",
				   text);
	if (asprintf(ret_text, "unix:/run/retort-%s/%s", common->instance, address.path) < 0) {
		*ret_text = NULL; /* undefined after a failure */
		return out_of_memory();
	}
	return STATUS_GO_ON;
}

/* Says what text is; the target has the rest already. */
static int describe(const struct common *common, const char *text, struct target *target,
		    struct address *ret_address)
{
	CLEANUP(freep) char *placed = NULL;
	struct address address;
	int status = common->instance ? place(common, text, &placed) : STATUS_GO_ON;

	if (status == STATUS_GO_ON && placed)
		text = placed;
	if (status == STATUS_GO_ON)
		status = parse(common, text, &address);
	if (status != STATUS_GO_ON)
		return status;
	target->instance = common->instance;
	target->address = strdup(text);
	if (!target->address) {
		address_done(&address);
		return out_of_memory();
	}
	target->transport = address.transport;
	target->relative = address_is_relative(&address);
	(void)address_format(&address, target->name);
	*ret_address = address;
	return STATUS_GO_ON;
}

static int find(const struct common *common, bool resolving, struct target *ret_target)
{
	const char *text = common->address;
	CLEANUP(address_done) struct address address = {0};
	struct target target = {0};
	int status;

	if (!text && !common->instance)
		text = getenv("RETORT_ADDRESS");
	target.implied = !text || !*text;
	status = describe(common, target.implied ? DEFAULT_ADDRESS : text, &target, &address);
	if (status == STATUS_GO_ON && resolving)
		status = resolve(&target, &address);
	if (status == STATUS_GO_ON)
		*ret_target = target;
	else
		target_done(&target);
	return status;
}

int target_find(const struct common *common, struct target *ret_target)
{
	return find(common, true, ret_target);
}

int target_name(const struct common *common, struct target *ret_target)
{
	return find(common, false, ret_target);
}

int target_name_control(const struct common *common, const char *path, struct target *ret_target)
{
	CLEANUP(address_done) struct address address = {0};
	struct target target = {.implied = !path, .control = true};
	CLEANUP(freep) char *directory = NULL, *text = NULL;
	int status;

	if (path && (common->address || common->instance))
		return usage_error(common, "--control and %s exclude each other",
				   common->address ? "-c" : "--instance");
	if (common->address)
		return target_name(common, ret_target);
	if (!path)
		text = strdup(DEFAULT_CONTROL);
	/* It is a file's path, as the shell completes it: relative to the working directory. */
	else if (path[0] == '/')
		text = asprintf(&text, "unix:%s", path) < 0 ? NULL : text;
	else if ((directory = get_current_dir_name()))
		text = asprintf(&text, "unix:%s/%s", directory, path) < 0 ? NULL : text;
	if (!text)
		return out_of_memory();
	status = describe(common, text, &target, &address);
	if (status == STATUS_GO_ON)
		*ret_target = target;
	return status;
}

static int nothing_there(const struct target *target)
{
	if (target->implied && target->instance)
		complain("no retortd of the name %s runs here: nobody listens at %s; start it "
			 "with 'systemctl start retortd@%s'",
			 target->instance, target->name, target->instance);
	else if (target->implied && target->control)
		complain("no retortd runs here: nobody listens at %s; start it with 'systemctl "
			 "start retortd', or by hand with 'retortd', or say with --control where "
			 "its socket is",
			 target->name);
	else if (target->implied)
		complain("no address was given, and there is no retortd at %s either; start it "
			 "with 'systemctl start retortd', or by hand with 'retortd', or say where "
			 "it is with -c, for example -c tcp://localhost:%s, or in "
			 "$RETORT_ADDRESS",
			 target->name, target->endpoints ? "7007" : "1243");
	else if (target->relative)
		complain("%s: there is no such socket in the runtime directories; for another "
			 "place give the whole path",
			 target->name);
	else
		complain("%s: there is no such socket", target->name);
	return STATUS_NO_CONNECTION;
}

int target_failed(const struct target *target, int error)
{
	switch (error) {
	case -ENOMEM:
		return out_of_memory();
	case -ENOENT:
		return nothing_there(target);
	case -ECONNREFUSED:
		if (target->implied)
			return nothing_there(target);
		complain("%s: connection refused: nobody listens there", target->name);
		return STATUS_NO_CONNECTION;
	case -ETIMEDOUT:
		complain("%s: timed out", target->name);
		return STATUS_TIMED_OUT;
	case -EACCES:
	case -EPERM:
		complain("%s: not permitted", target->name);
		return STATUS_NOT_PERMITTED;
	case -EMFILE:
	case -ENFILE:
		complain("%s: too many open files; see ulimit -n", target->name);
		return STATUS_SYSTEM;
	case -EMSGSIZE:
		complain("%s: a datagram cannot hold this message; at most 65507 bytes fit",
			 target->name);
		return STATUS_USAGE;
	default:
		complain("%s: %s", target->name, strerrordesc_np(-error) ?: "failed");
		return STATUS_NO_CONNECTION;
	}
}
