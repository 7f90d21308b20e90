/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * retortd-generator(8): has the service manager open the daemon's sockets. It runs early at boot
 * and at every "systemctl daemon-reload", while the service manager waits: without network,
 * services or most file systems. So it asks nobody anything and is always content: what is wrong it
 * says, the daemon will say it again, and the rest is done.
 */

#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <nss.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <syslog.h>

#include "config.h"
#include "generated.h"
#include "holder.h"
#include "instances.h"
#include "socket_clash.h"
#include "socket_held.h"
#include "socket_units.h"
#include "util.h"

#define MEMORY	"/run/retortd-generator" /* of what was generated before */
#define MANAGER 1			 /* the service manager's process */

enum {
	MESSAGES_MAX = 20,    /* lines about a configuration: the daemon says all of them */
	LINE_MAX_BYTES = 900, /* that the kernel's log takes at once */
};

/* Whether the service manager has started us: then nobody reads standard error. */
static bool is_started_by_manager(void)
{
	return getenv("SYSTEMD_SCOPE");
}

/* Says a line: to the kernel's log, which alone is there at that time, or to standard error. */
static void say(int priority, const char *text, size_t len)
{
	CLEANUP(closep) int fd = -1;
	char line[LINE_MAX_BYTES];
	int n;

	len = MIN(len, sizeof(line) - 64);
	if (is_started_by_manager())
		fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd >= 0) {
		n = snprintf(line, sizeof(line), "<%d>retortd-generator[%d]: %.*s\n",
			     LOG_DAEMON | priority, getpid(), (int)len, text);
		if (write(fd, line, (size_t)n) == n)
			return;
	}
	(void)fprintf(stderr, "retortd-generator: %.*s\n", (int)len, text);
}

static void say_error(const char *what, const char *path, int error)
{
	char text[LINE_MAX_BYTES];
	int n = snprintf(text, sizeof(text), "%s %s: %s", what, path, strerror(error));

	say(LOG_ERR, text, MIN((size_t)n, sizeof(text) - 1));
}

/* Says the lines of what is wrong with the configuration, as long as there are not too many. */
static void say_problems(const struct config_problems *problems)
{
	static const char more[] = "there is more, which 'retortd --test' says";
	const char *line = (const char *)problems->text.data;
	const char *end = line + problems->text.len;

	for (unsigned n = 0; line < end; n++) {
		const char *lf = memchr(line, '\n', (size_t)(end - line)) ?: end;

		if (n == MESSAGES_MAX) {
			say(LOG_WARNING, more, sizeof(more) - 1);
			return;
		}
		say(LOG_WARNING, line, (size_t)(lf - line));
		line = lf + 1;
	}
}

/*
 * Files
 */

static int write_file(int directory, const char *name, const char *text)
{
	CLEANUP(closep)
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0644);
	size_t len = strlen(text);

	while (fd >= 0 && len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fd < 0 ? -errno : 0;
}

/* Writes a drop-in of a unit. Returns 0 or a negative errno. */
static int write_drop_in(int directory, const char *unit, const char *name, const char *text)
{
	CLEANUP(freep) char *path = NULL;
	CLEANUP(closep) int fd = -1;

	if (asprintf(&path, "%s.d", unit) < 0) {
		path = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	if (mkdirat(directory, path, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(directory, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : write_file(fd, name, text);
}

/* Appends two texts to another, which is NULL at first. Returns 0 or -ENOMEM. */
static int append(char **text, const char *first, const char *second)
{
	char *longer;

	if (asprintf(&longer, "%s%s%s", *text ?: "", first, second) < 0)
		return -ENOMEM;
	free(*text);
	*text = longer;
	return 0;
}

/* Whether the service manager has the service's sockets open: the control socket is one of them. */
static bool sockets_are_active(const struct instance *instance)
{
	const struct address control = {.transport = TRANSPORT_UNIX, .path = instance->control};
	CLEANUP(freep) struct endpoint *endpoint = NULL;
	const char *problem;
	size_t n;

	return address_resolve(&control, true, NULL, &endpoint, &n, &problem) == 0 &&
	       holder_is(MANAGER, endpoint);
}

static bool is_complete(const struct socket_unit *unit)
{
	for (size_t i = 0; i < unit->n_endpoints; i++)
		if (!socket_is_held(MANAGER, &unit->endpoints[i], unit->listener))
			return false;
	return true;
}

/*
 * Writes one unit. When it is active, and asks for other sockets now, the service manager opens
 * these only when the unit is restarted, and that cannot be while the service runs: so it is
 * restarted with the service, until this runs again; then *ret_changed is set. All others stay open
 * when the service restarts.
 */
static int write_unit(int directory, const struct instance *instance,
		      const struct socket_unit *unit, bool active, bool *ret_changed)
{
	CLEANUP(freep) char *text = NULL;
	int r = write_file(directory, unit->name, unit->text);

	if (r < 0 || !active || is_complete(unit))
		return r;
	*ret_changed = true;
	r = append(&text,
		   "# Made by retortd-generator(8): what this listens on has changed.\n\n"
		   "[Unit]\nPartOf=",
		   instance->service);
	if (r == 0)
		r = append(&text, ".service", "\n");
	return r < 0 ? r : write_drop_in(directory, unit->name, "50-changed.conf", text);
}

/* Writes a drop-in of a unit with a setting that has these names. */
static int write_names(int directory, const char *unit, const char *setting,
		       const struct unit_names *names)
{
	CLEANUP(freep) char *text = NULL;
	int r = append(&text, "[Unit]\n", setting);

	for (size_t i = 0; i < names->n && r == 0; i++)
		r = append(&text, i == 0 ? "=" : " ", names->names[i]);
	if (r == 0)
		r = append(&text, "\n", "");
	return r < 0 ? r : write_drop_in(directory, unit, "50-gone.conf", text);
}

/* Has units that are no more end with the sockets, or when the service starts again. */
static int write_gone(int directory, const struct instance *instance, const char *service,
		      const struct unit_names *gone)
{
	int r;

	if (gone->n == 0)
		return 0;
	r = write_names(directory, service, "Conflicts", gone);
	return r < 0 ? r : write_names(directory, instance->target, "PropagatesStopTo", gone);
}

/*
 * Has this run again as soon as the service has been restarted: its sockets are open then, and the
 * next restart is to leave them so. A unit of its own does that, as the service manager would wait
 * for the service, and the service for it.
 */
static int write_settling(int directory, const struct instance *instance, const char *service)
{
	CLEANUP(freep) char *name = NULL, *unit = NULL, *drop_in = NULL;
	int r = append(&name, "retortd-settle", instance->at);

	if (r == 0)
		r = append(&name, ".service", "");
	if (r == 0)
		r = append(&unit,
			   "# Made by retortd-generator(8): sockets were to change.\n\n"
			   "[Unit]\nDescription=Notes that sockets have changed\nAfter=",
			   service);
	if (r == 0)
		r = append(&unit,
			   "\n\n[Service]\nType=oneshot\nExecStart=systemctl daemon-reload\n", "");
	if (r == 0)
		r = append(&drop_in, "[Unit]\nWants=", name);
	if (r == 0)
		r = append(&drop_in, "\n", "");
	if (r == 0)
		r = write_file(directory, name, unit);
	return r < 0 ? r : write_drop_in(directory, service, "50-settle.conf", drop_in);
}

static int write_units(const char *path, const struct instance *instance,
		       const struct socket_units *units, const struct unit_names *gone)
{
	CLEANUP(closep) int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(freep) char *text = NULL, *service = NULL;
	bool active = sockets_are_active(instance), changed = false;
	int r = directory < 0 ? -errno : append(&service, instance->service, ".service");

	for (size_t i = 0; i < units->n && r == 0; i++)
		r = write_unit(directory, instance, &units->units[i], active, &changed);
	if (r == 0 && changed)
		r = write_settling(directory, instance, service);
	if (r == 0)
		r = write_gone(directory, instance, service, gone);
	if (r < 0 || units->n == 0)
		return r;
	r = socket_units_drop_in(units, &text);
	return r < 0 ? r : write_drop_in(directory, service, "50-sockets.conf", text);
}

/*
 * The configuration
 */

/* What becomes of an instance. */
struct made {
	const struct instance *instance;
	struct config *config;	   /* NULL: there is nothing to be done for it; owned */
	struct socket_units units; /* of the configuration */
};

static void made_done(struct made *made)
{
	socket_units_done(&made->units);
	config_free(made->config);
}

/* Remembers a configuration that is right, for when the file is not. */
static void keep(const struct instance *instance, const struct config *config)
{
	int r = is_started_by_manager() ? generated_keep(MEMORY, instance, config) : 0;

	if (r < 0)
		say_error("cannot keep the configuration in", MEMORY, -r);
}

static bool is_missing(const char *file)
{
	return access(file, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* Loads the configuration that was the last right one. Returns whether there was one. */
static bool load_former(const struct instance *instance, struct config **ret_config)
{
	char text[LINE_MAX_BYTES];
	int n;

	if (!is_started_by_manager() || generated_load(MEMORY, instance, ret_config) < 0)
		return false;
	n = snprintf(text, sizeof(text), "%s: the sockets of %s stay as they were", instance->file,
		     instance->service);
	say(LOG_WARNING, text, MIN((size_t)n, sizeof(text) - 1));
	return true;
}

/*
 * Loads the configuration of an instance. Of a file that is wrong, which no running daemon goes by,
 * rather the last one is loaded that was not: its sockets are open. At boot, there is none. Returns
 * 0, with a NULL *ret_config when the instance is gone; or a negative errno.
 */
static int load(const struct instance *instance, struct config **ret_config,
		struct config_problems *problems)
{
	int r;

	if (instance_is_named(instance) && is_missing(instance->file) &&
	    !sockets_are_active(instance)) {
		*ret_config = NULL;
		return 0;
	}
	r = config_load_early(instance->file, ret_config, problems);
	if (r == 0)
		keep(instance, *ret_config);
	if (r == 0 || r == -ENOMEM)
		return r;
	if (load_former(instance, ret_config))
		return 0;
	config_problems_done(problems); /* they are found again */
	return config_salvage(instance->file, ret_config, problems);
}

/*
 * Makes the units that an instance's configuration asks for, which without a file is the one that
 * is built in, if it may be. Returns 0 or a negative errno; what is wrong has been said.
 */
static int make(struct made *made, bool may_be_built_in)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	const struct instance *instance = made->instance;
	struct socket_units_setup setup = {.service = instance->service,
					   .prefix = "retortd-",
					   .at = instance->at,
					   .target = instance->target,
					   .directory = instance->directory,
					   .source = instance->file};
	int r;

	if (may_be_built_in && is_missing(instance->file)) {
		setup.source = NULL;
		r = config_load_builtin(&made->config);
	} else {
		r = load(instance, &made->config, &problems);
	}
	if (r == 0 && made->config)
		r = socket_units_make(made->config, &setup, &made->units, &problems);
	say_problems(&problems);
	if (r == -ENOMEM)
		say_error("cannot load", setup.source ?: "the built-in configuration", ENOMEM);
	return r;
}

static int write_made(const struct made *made, const char *directory)
{
	CLEANUP(unit_names_done) struct unit_names gone = {0};
	int r = 0;

	if (!made->config)
		return 0;
	if (is_started_by_manager())
		r = generated_remember(MEMORY, made->instance, &made->units, &gone);
	if (r == 0)
		r = write_units(directory, made->instance, &made->units, &gone);
	if (r < 0)
		say_error("cannot write units to", directory, -r);
	return r;
}

/* Says which addresses several of the services are to have: they are right if only one runs. */
static void say_clashes(const struct made *all, size_t n)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(freep) struct claims *claims = calloc(n, sizeof(*claims));

	for (size_t i = 0; claims && i < n; i++) {
		claims[i] = (struct claims){&all[i].units, all[i].instance->service};
		if (socket_clashes_find(&claims[i], claims, i, &problems) < 0)
			break; /* it is not worth more memory */
	}
	say_problems(&problems);
}

/* Writes into directory what all configurations ask for; what is wrong has been said. */
static int generate_all(const struct instances *instances, bool may_be_built_in,
			const char *directory)
{
	struct made *all = calloc(instances->n, sizeof(*all));
	int result = all ? 0 : -ENOMEM;

	for (size_t i = 0; all && i < instances->n; i++) {
		int r;

		all[i].instance = &instances->all[i];
		r = make(&all[i], may_be_built_in && i == 0);
		if (r == 0)
			r = write_made(&all[i], directory);
		result = MIN(result, r); /* the others are none the worse for it */
	}
	if (all)
		say_clashes(all, instances->n);
	for (size_t i = 0; all && i < instances->n; i++)
		made_done(&all[i]);
	free(all);
	return result;
}

static int generate(const char *directory)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(instances_done) struct instances instances = {0};
	const char *file = getenv("RETORTD_CONFIG");
	int r = instances_find(file ?: CONFIG_DEFAULT_FILE, is_started_by_manager() ? MEMORY : NULL,
			       &instances, &problems);

	say_problems(&problems);
	if (r == 0)
		r = generate_all(&instances, !file, directory);
	else
		say_error("cannot look for instances of", file ?: CONFIG_DEFAULT_FILE, -r);
	return r;
}

static void print_help(void)
{
	(void)puts("Usage: retortd-generator DIRECTORY [EARLY-DIRECTORY LATE-DIRECTORY]\n"
		   "\n"
		   "Writes into DIRECTORY a socket unit for each listener of " CONFIG_DEFAULT_FILE
		   ",\n"
		   "or of the file that $RETORTD_CONFIG names, and of every retortd@NAME.conf "
		   "beside it.\n"
		   "The service manager runs it by itself, at boot and at 'systemctl "
		   "daemon-reload'.\n"
		   "\n"
		   "  -V, --version  print the version, exit\n"
		   "  -h, --help     print this, exit\n"
		   "\n"
		   "See retortd-generator(8).");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int code = getopt_long(argc, argv, "Vh", options, NULL);

	if (code == 'V')
		return puts("retortd-generator " RETORT_VERSION) < 0 ? EX_OSERR : 0;
	if (code == 'h') {
		print_help();
		return 0;
	}
	if (code != -1 || (argc - optind != 1 && argc - optind != 3)) {
		(void)fputs("Usage: retortd-generator DIRECTORY [EARLY-DIRECTORY LATE-DIRECTORY]\n",
			    stderr);
		return EX_USAGE;
	}
	/*
	 * Names are looked up here, and not where it takes a network that is not there yet, or a
	 * service: the service manager starts none, and gives no answer itself, until this ends.
	 */
	(void)__nss_configure_lookup("hosts", "files myhostname");
	(void)__nss_configure_lookup("passwd", "files");
	(void)__nss_configure_lookup("group", "files");
	return generate(argv[optind]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
