/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon's command line, and which configuration it means. */

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "config.h"
#include "log.h"
#include "paths.h"
#include "server.h"
#include "util.h"

enum {
	LISTENS_MAX = 256, /* --listen options */
};

enum option_code {
	OPTION_PRINT_CONFIG = 256,
	OPTION_FRAMING,
	OPTION_TRANSFORM,
	OPTION_SERVICE,
	OPTION_DIALECT,
	OPTION_STATE_DIR,
	OPTION_CONTROL,
};

static const char *arg_config, *arg_state_dir, *arg_control;
static struct config_listen arg_listens[LISTENS_MAX];
static size_t arg_n_listens;
static bool arg_test, arg_print_config, arg_verbose;

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"test", no_argument, NULL, 't'},
	{"print-config", no_argument, NULL, OPTION_PRINT_CONFIG},
	{"listen", required_argument, NULL, 'l'},
	{"framing", required_argument, NULL, OPTION_FRAMING},
	{"transform", required_argument, NULL, OPTION_TRANSFORM},
	{"service", required_argument, NULL, OPTION_SERVICE},
	{"dialect", required_argument, NULL, OPTION_DIALECT},
	{"state-dir", required_argument, NULL, OPTION_STATE_DIR},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"verbose", no_argument, NULL, 'v'},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void print_help(void)
{
	(void)puts(
		"Usage: retortd [OPTION…]\n"
		"\n"
		"Answers everyone at once: what a client sends comes back transformed, or goes to\n"
		"all who are in the same room.\n"
		"\n"
		"  -c, --config FILE    serve what FILE says (default: " CONFIG_DEFAULT_FILE ",\n"
		"                       and where there is none, a built-in configuration)\n"
		"  -t, --test           check the configuration, print what would be served, exit\n"
		"      --print-config   print the effective configuration, defaults included, "
		"exit\n"
		"  -l, --listen ADDRESS serve ADDRESS, without any file; may be given repeatedly,\n"
		"                       and the next four belong to the -l before them:\n"
		"      --framing NAME   where a message ends: raw, line, length (the default)\n"
		"      --transform T,…  what happens to it: echo, upper, lower, reverse\n"
		"      --service NAME   who answers: transform (the default), chat\n"
		"      --dialect NAME   how chat is spoken: object (the default), text\n"
		"      --state-dir DIR  keep the log of rooms in DIR, unless $STATE_DIRECTORY "
		"says\n"
		"                       where (default: $XDG_STATE_HOME/retort)\n"
		"      --control PATH   the socket for administrators (default: control.sock in "
		"the\n"
		"                       runtime directory)\n"
		"  -v, --verbose        log every connection: log_level = \"debug\"\n"
		"  -V, --version        print the version, exit\n"
		"  -h, --help           print this, exit\n"
		"\n"
		"An ADDRESS is tcp://HOST:PORT, udp://HOST:PORT or unix:PATH. For example:\n"
		"\n"
		"  retortd -l tcp://localhost:7777 --framing line --transform upper\n"
		"\n"
		"See retortd(8), retortd.conf(5) and retort-protocol(7).");
}

/* Ends a run that only prints. */
static int printed(int r)
{
	if (r < 0 || fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "retortd: cannot write: %s\n", strerror(errno));
		return EX_OSERR;
	}
	return 0;
}

static int usage(const char *complaint, const char *what)
{
	(void)fprintf(stderr, "retortd: %s%s%s\nTry 'retortd --help'.\n", complaint,
		      what ? ": " : "", what ? what : "");
	return EX_USAGE;
}

/* Takes an option that belongs to the --listen before it. Returns 0 or an exit status. */
static int parse_listen_option(int code, const char *value)
{
	struct config_listen *listen = arg_n_listens > 0 ? &arg_listens[arg_n_listens - 1] : NULL;
	const char **slot;

	if (!listen)
		return usage("--framing, --transform, --service and --dialect belong behind a "
			     "--listen",
			     NULL);
	slot = code == OPTION_FRAMING	  ? &listen->framing
	       : code == OPTION_TRANSFORM ? &listen->transforms
	       : code == OPTION_SERVICE	  ? &listen->service
					  : &listen->dialect;
	if (*slot)
		return usage("given twice for one --listen", value);
	*slot = value;
	return 0;
}

/* Takes an option that is the name of a file. Returns 0 or an exit status. */
static int parse_path(const char *option, const char *value, const char **ret_path)
{
	if (!*value)
		return usage("an empty path", option);
	if (*ret_path)
		return usage("given twice", option);
	*ret_path = value;
	return 0;
}

enum { GO_ON = -1 };

/* Returns GO_ON, or the exit status with which it is done. */
static int parse_option(int code)
{
	int r;

	switch (code) {
	case 'c':
		arg_config = optarg;
		return GO_ON;
	case 't':
		arg_test = true;
		return GO_ON;
	case OPTION_PRINT_CONFIG:
		arg_print_config = true;
		return GO_ON;
	case 'l':
		if (arg_n_listens == LISTENS_MAX)
			return usage("too many --listen options; a configuration file takes more",
				     NULL);
		arg_listens[arg_n_listens++] = (struct config_listen){.address = optarg};
		return GO_ON;
	case OPTION_FRAMING:
	case OPTION_TRANSFORM:
	case OPTION_SERVICE:
	case OPTION_DIALECT:
		r = parse_listen_option(code, optarg);
		return r == 0 ? GO_ON : r;
	case OPTION_STATE_DIR:
		r = parse_path("--state-dir", optarg, &arg_state_dir);
		return r == 0 ? GO_ON : r;
	case OPTION_CONTROL:
		r = parse_path("--control", optarg, &arg_control);
		return r == 0 ? GO_ON : r;
	case 'v':
		arg_verbose = true;
		return GO_ON;
	case 'V':
		(void)puts("retortd " RETORT_VERSION);
		return printed(0);
	case 'h':
		print_help();
		return printed(0);
	default: /* getopt_long(3) has said what is wrong */
		(void)fputs("Try 'retortd --help'.\n", stderr);
		return EX_USAGE;
	}
}

static int parse_command_line(int argc, char **argv)
{
	int code;

	while ((code = getopt_long(argc, argv, "c:tl:vVh", options, NULL)) != -1) {
		int status = parse_option(code);

		if (status != GO_ON)
			return status;
	}
	if (optind < argc)
		return usage("retortd takes no arguments", argv[optind]);
	if (arg_config && arg_n_listens > 0)
		return usage("--config and --listen exclude each other", NULL);
	return GO_ON;
}

/* Whether there is a default file; one that cannot be looked at is there, and is complained of. */
static bool has_default_file(void)
{
	return access(CONFIG_DEFAULT_FILE, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* Loads the configuration that the command line means: at start, and at every reload. */
static int load(struct config **ret_config, struct config_problems *problems)
{
	const char *file = arg_config;
	int r;

	if (arg_n_listens > 0)
		return config_load_listen(arg_listens, arg_n_listens, ret_config, problems);
	if (!file && !has_default_file())
		return config_load_builtin(ret_config);
	if (!file)
		file = CONFIG_DEFAULT_FILE;
	r = config_load(file, ret_config, problems);
	if (r == 0)
		arg_config = file; /* when it is gone at a reload, what is built in is not meant */
	return r;
}

/* Says why there is no configuration: to whoever called, or to the journal of the service. */
static void complain(const struct config_problems *problems, int error)
{
	const char *text = (const char *)problems->text.data;

	log_open(arg_verbose);
	if (problems->n == 0)
		log_write(LOG_FAULT, NULL, "cannot load the configuration: %s", strerror(-error));
	else if (log_is_journal())
		log_lines(LOG_CONFIG_PROBLEM, text, problems->text.len);
	else
		(void)fwrite(text, 1, problems->text.len, stderr);
}

/* Serves config, which it takes over, with the places that the command line means. */
static int serve(struct config *config)
{
	CLEANUP(freep) char *state = NULL, *control = NULL;
	bool out_of_memory;
	int status;

	log_open(arg_verbose);
	log_set_level(config->log_level);
	state = paths_state_directory(arg_state_dir);
	out_of_memory = !state && errno == ENOMEM;
	control = paths_control(arg_control);
	out_of_memory |= !control && errno == ENOMEM;
	if (out_of_memory) {
		log_write(LOG_FAULT, NULL, "cannot start: %s", strerror(ENOMEM));
		config_free(config);
		status = EX_OSERR;
	} else {
		status = server_run(config, load,
				    &(struct server_options){state, control, arg_control});
	}
	if (status != EXIT_SUCCESS)
		log_wait_read();
	log_close();
	return status;
}

int main(int argc, char **argv)
{
	struct config_problems problems = {0};
	struct config *config = NULL;
	int status, r;

	status = parse_command_line(argc, argv);
	if (status != GO_ON)
		return status;

	r = load(&config, &problems);
	if (r < 0)
		complain(&problems, r);
	config_problems_done(&problems);
	if (r == -ENOMEM)
		return EX_OSERR;
	if (r < 0)
		return arg_n_listens > 0 ? EX_USAGE : EX_CONFIG;
	if (arg_test || arg_print_config) {
		r = arg_print_config ? config_print(config, stdout)
				     : config_summarise(config, stdout);
		config_free(config);
		return printed(r);
	}
	return serve(config);
}
