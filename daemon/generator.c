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
#include "socket_held.h"
#include "socket_units.h"
#include "util.h"

#define SERVICE	  "retortd"
#define DIRECTORY "/run/retort"		   /* where relative paths of Unix sockets lie */
#define MEMORY	  "/run/retortd-generator" /* of what was generated before */
#define MANAGER	  1			   /* the service manager's process */

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
static bool sockets_are_active(void)
{
	const struct address control = {.transport = TRANSPORT_UNIX,
					.path = (char[]){DIRECTORY "/control.sock"}};
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
 * restarted with the service, until this runs again. All others stay open when the service
 * restarts.
 */
static int write_unit(int directory, const struct socket_unit *unit, bool active)
{
	int r = write_file(directory, unit->name, unit->text);

	if (r < 0 || !active || is_complete(unit))
		return r;
	return write_drop_in(directory, unit->name, "50-changed.conf",
			     "# Made by retortd-generator(8): what this listens on has changed.\n\n"
			     "[Unit]\nPartOf=" SERVICE ".service\n");
}

/* Has units that are no more end with the sockets, or when the service starts again. */
static int write_gone(int directory, const struct unit_names *gone)
{
	CLEANUP(freep) char *conflicts = NULL, *stops = NULL;
	int r = 0;

	for (size_t i = 0; i < gone->n && r == 0; i++)
		r = append(&conflicts, i == 0 ? "[Unit]\nConflicts=" : " ", gone->names[i]);
	for (size_t i = 0; i < gone->n && r == 0; i++)
		r = append(&stops, i == 0 ? "[Unit]\nPropagatesStopTo=" : " ", gone->names[i]);
	if (r == 0 && gone->n > 0)
		r = append(&conflicts, "\n", "");
	if (r == 0 && gone->n > 0)
		r = append(&stops, "\n", "");
	if (r < 0 || gone->n == 0)
		return r;
	r = write_drop_in(directory, SERVICE ".service", "50-gone.conf", conflicts);
	return r < 0 ? r
		     : write_drop_in(directory, SERVICE "-sockets.target", "50-gone.conf", stops);
}

static int write_units(const char *path, const struct socket_units *units,
		       const struct unit_names *gone)
{
	CLEANUP(closep) int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(freep) char *text = NULL;
	bool active = sockets_are_active();
	int r = directory < 0 ? -errno : 0;

	for (size_t i = 0; i < units->n && r == 0; i++)
		r = write_unit(directory, &units->units[i], active);
	if (r == 0)
		r = write_gone(directory, gone);
	if (r < 0 || units->n == 0)
		return r;
	r = socket_units_drop_in(units, &text);
	return r < 0 ? r : write_drop_in(directory, SERVICE ".service", "50-sockets.conf", text);
}

/*
 * The configuration
 */

/* Remembers a configuration that is right, for when the file is not. */
static void keep(const struct config *config)
{
	int r = is_started_by_manager() ? generated_keep(MEMORY, config) : 0;

	if (r < 0)
		say_error("cannot keep the configuration in", MEMORY, -r);
}

/*
 * Loads the configuration that the service has; *ret_file is NULL when that is what is built in. Of
 * a file that is wrong, which no running daemon goes by, rather the last one is loaded that was
 * not: its sockets are open. At boot, there is none.
 */
static int load(const char **ret_file, struct config **ret_config, struct config_problems *problems)
{
	static const char former[] = "the sockets stay as they were";
	const char *file = getenv("RETORTD_CONFIG");
	int r;

	*ret_file = file ?: CONFIG_DEFAULT_FILE;
	if (!file && access(CONFIG_DEFAULT_FILE, F_OK) < 0 &&
	    (errno == ENOENT || errno == ENOTDIR)) {
		*ret_file = NULL;
		return config_load_builtin(ret_config);
	}
	r = config_load(*ret_file, ret_config, problems);
	if (r == 0)
		keep(*ret_config);
	if (r == 0 || r == -ENOMEM)
		return r;
	if (is_started_by_manager() && generated_load(MEMORY, ret_config) == 0) {
		say(LOG_WARNING, former, sizeof(former) - 1);
		return 0;
	}
	config_problems_done(problems); /* they are found again */
	return config_salvage(*ret_file, ret_config, problems);
}

/* Writes into directory what the configuration asks for; what is wrong has been said. */
static int generate(const char *directory)
{
	CLEANUP(config_problems_done) struct config_problems problems = {0};
	CLEANUP(unit_names_done) struct unit_names gone = {0};
	CLEANUP(socket_units_done) struct socket_units units = {0};
	struct socket_units_setup setup = {
		.service = SERVICE, .prefix = SERVICE "-", .directory = DIRECTORY};
	struct config *config = NULL;
	int r;

	r = load(&setup.source, &config, &problems);
	if (r == 0)
		r = socket_units_make(config, &setup, &units, &problems);
	say_problems(&problems);
	if (r == -ENOMEM)
		say_error("cannot load", setup.source ?: "the built-in configuration", ENOMEM);
	if (r == 0) {
		if (is_started_by_manager())
			r = generated_remember(MEMORY, &units, &gone);
		if (r == 0)
			r = write_units(directory, &units, &gone);
		if (r < 0)
			say_error("cannot write units to", directory, -r);
	}
	config_free(config);
	return r;
}

static void print_help(void)
{
	(void)puts("Usage: retortd-generator DIRECTORY [EARLY-DIRECTORY LATE-DIRECTORY]\n"
		   "\n"
		   "Writes into DIRECTORY a socket unit for each listener of " CONFIG_DEFAULT_FILE
		   ",\n"
		   "or of the file that $RETORTD_CONFIG names. The service manager runs it by "
		   "itself,\n"
		   "at boot and at 'systemctl daemon-reload'.\n"
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
	/* Names are looked up here, and not where it takes a network that is not there yet. */
	(void)__nss_configure_lookup("hosts", "files myhostname");
	return generate(argv[optind]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
