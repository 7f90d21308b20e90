/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The configuration of retortd.conf(5), parsed, completed with its defaults and checked. It is
 * immutable once loaded: a reload makes another one. Everything wrong in a file is found in one
 * run and collected, each with its file and line.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "address.h"
#include "dialect.h"
#include "frame.h"
#include "transform.h"

#define CONFIG_DEFAULT_FILE "/etc/retort/retortd.conf"

enum {
	CONFIG_WORKERS_MAX = 1024,
	CONFIG_LISTENERS_MAX = 4096,
	CONFIG_ADDRESSES_MAX = 4096, /* of all listeners together */
	CONFIG_NAME_MAX = 64,	     /* characters of a listener's name: letters, digits, - _ . */
	CONFIG_CLIENTS_MAX = 1000000000,
	CONFIG_CHAT_MESSAGE_MIN = 2 * CHAT_ENVELOPE, /* bytes of max_message, where chat is */
	CONFIG_TOPIC_MIN = 64,			     /* bytes of max_topic */
	CONFIG_TOPIC_MAX = 64 << 10,
	CONFIG_ROOMS_MAX = 4096,	 /* that the configuration names */
	CONFIG_ACCOUNTS_MAX = 1000,	 /* in one list of users and groups */
	CONFIG_ALL_ROOMS_MAX = 1000000,	 /* of max_rooms, max_rooms_per_client, max_presence */
	CONFIG_REQUESTS_MAX = 65536,	 /* of max_requests */
	CONFIG_RATE_MAX = 1000000,	 /* of rate */
	CONFIG_HISTORY_MAX = 1000000000, /* of max_messages */
};
#define CONFIG_MESSAGE_MAX (UINT64_C(1) << 30)
#define CONFIG_PENDING_MAX (UINT64_C(16) << 30)
#define CONFIG_MEMORY_MAX  (UINT64_C(16) << 30)

/* Milliseconds; 0 is never, but for drain: there it is no time at all. */
struct timeouts {
	uint64_t idle;	    /* without a byte in either direction: closed */
	uint64_t message;   /* from a frame's first byte to its last */
	uint64_t handshake; /* until a transport that has a handshake is ready */
	uint64_t drain;	    /* what is owed when closing, and the peer's end after it */
};

enum payload { PAYLOAD_TEXT, PAYLOAD_JSON };

/* What stands behind a listener. */
enum service_kind {
	SERVICE_TRANSFORM,
	SERVICE_CHAT,
	SERVICE_CONTROL, /* of the control socket, which is no listener of the configuration */
};

/* What a listener does for its clients. */
struct settings {
	enum framing framing;
	enum service_kind service;
	enum dialect_id dialect; /* of the chat service */
	enum payload payload;
	struct pipeline pipeline;
	uint64_t max_message;		  /* bytes */
	uint64_t max_pending;		  /* bytes */
	uint64_t max_clients;		  /* 0: no limit of its own */
	uint64_t max_clients_per_address; /* 0: no limit */
	uint64_t max_requests;		  /* chat.max_requests, for the threads that serve */
	char *greeting;			  /* UTF-8; "" is none, as in dialect "object"; owned */
	struct timeouts timeouts;
};

struct listener_config {
	char *name;		   /* owned */
	struct address *addresses; /* n_addresses of them; owned */
	size_t n_addresses;
	struct settings settings;
	/* Of its Unix sockets: permission bits, owner and group; the defaults leave them alone. */
	mode_t mode; /* default 0666 */
	char *user;  /* NULL: whoever runs the daemon; owned */
	char *group; /* NULL: likewise; owned */
	char *file;  /* where it was defined, for messages; NULL: not in a file; owned */
	unsigned line;
	bool wrong; /* something about it is, as the problems say */
};

/* A room that the configuration names. */
struct room_config {
	char *name;		  /* as name_make() gives it; owned */
	char *topic;		  /* until somebody sets another one; NULL: none; owned */
	struct pipeline pipeline; /* what is said goes through it */
	bool durable;
	char **members;	  /* user names and "@GROUP"s; owned */
	size_t n_members; /* 0: open to all */
};

struct chat_config {
	bool guests, create_rooms;
	char **admins; /* user names and "@GROUP"s; owned */
	size_t n_admins;
	uint64_t max_messages; /* of each room's log; 0: no limit */
	uint64_t max_age;      /* milliseconds; 0: no limit */
	uint64_t rate, burst;  /* messages a second, and at once; both 0: no limit */
	uint64_t max_rooms;    /* in all */
	uint64_t max_rooms_per_client;
	uint64_t max_presence; /* members up to which a room tells who comes and goes; 0: any */
	uint64_t max_requests; /* of one client that wait for their replies */
	uint64_t max_topic;    /* bytes */
	uint64_t max_memory;   /* bytes of text that the log of a room that is not durable holds */
	struct room_config *rooms;
	size_t n_rooms;
};

/* Zero-initialised it is empty and can be freed. */
struct config {
	unsigned workers;	  /* 0: one for each CPU this process may use */
	int log_level;		  /* LOG_ERR to LOG_DEBUG of syslog(3) */
	uint64_t max_clients;	  /* of the whole daemon; 0: what the open-files limit allows */
	bool crash_safe;	  /* connections outlive a process that is killed */
	char *workers_place;	  /* where it is said, "FILE:LINE"; NULL: in no file; owned */
	char *crash_safe_place;	  /* likewise */
	struct settings defaults; /* what a listener has that says nothing else */
	struct listener_config *listeners;
	size_t n_listeners;
	struct chat_config chat;
};

/* Everything that is wrong with a configuration, one "FILE:LINE: what …" a line. */
struct config_problems {
	struct buffer text; /* lines, each ended by LF; not NUL-terminated */
	size_t n;
};

void config_problems_done(struct config_problems *problems);

/*
 * Makes a configuration of defaults without a listener. Returns 0 with a new *ret_config or
 * -ENOMEM.
 */
int config_new(struct config **ret_config);

/*
 * Adds a listener of this name that has config's defaults and no address yet; with NULL for a name
 * it has none either. *ret_listener belongs to config and stays where it is until the next one is
 * added. Returns 0 or -ENOMEM.
 */
int config_add_listener(struct config *config, const char *name,
			struct listener_config **ret_listener);

/* Drops the listeners with which something is wrong; with builtin, also those of no file. */
void config_drop_wrong(struct config *config, bool builtin);

/*
 * Adds a room of this name, which is legal and new, that is durable and open to all. *ret_room
 * belongs to config and stays where it is until the next one is added. Returns 0 or -ENOMEM.
 */
int config_add_room(struct config *config, const char *name, struct room_config **ret_room);

/*
 * Loads a file. One that does not say "listeners" has those of the built-in configuration, and one
 * that does not say "chat.rooms" has its rooms. Returns 0 with a new *ret_config; -EINVAL when it
 * is wrong, with everything that is wrong in problems; -ENOENT, -EACCES, … when the file cannot be
 * read, likewise in problems; or -ENOMEM.
 */
int config_load(const char *file, struct config **ret_config, struct config_problems *problems);

/*
 * Loads a file as config_load() does, but asks nobody whether the users and groups of sockets
 * exist. For whoever opens sockets ahead of the daemon, which decides: the name service may have to
 * wait for that one.
 */
int config_load_early(const char *file, struct config **ret_config,
		      struct config_problems *problems);

/*
 * Loads a file as config_load_early() does, but makes the best of one that is wrong: *ret_config
 * then has the listeners with which nothing is wrong, and all else in it counts for nothing.
 * Returns 0 with a new *ret_config, -ENOENT, -EACCES, … when the file cannot be read, or -ENOMEM.
 */
int config_salvage(const char *file, struct config **ret_config, struct config_problems *problems);

/*
 * Loads a configuration from memory as config_load() does. name stands for the file in problems;
 * NULL is the built-in configuration.
 */
int config_load_text(const char *name, const char *text, size_t len, struct config **ret_config,
		     struct config_problems *problems);

/*
 * Loads the configuration that is built into the daemon: what it serves with neither a file nor
 * --listen. It equals conf/retortd.conf. Returns 0 or -ENOMEM.
 */
int config_load_builtin(struct config **ret_config);

/* One "-l ADDRESS" of the command line with the options that belong to it; none owned. */
struct config_listen {
	const char *address;	/* never NULL */
	const char *framing;	/* NULL: the default */
	const char *transforms; /* comma-separated; NULL: none */
	const char *service;	/* NULL: the default, "transform" */
	const char *dialect;	/* NULL: the default, "object" */
};

/*
 * Makes a configuration of the command line's listeners, with the defaults for all else, and the
 * rooms of the built-in configuration. They are
 * named "listen-1", "listen-2", …. Returns as config_load() does; problems name the option.
 */
int config_load_listen(const struct config_listen *listens, size_t n, struct config **ret_config,
		       struct config_problems *problems);

void config_free(struct config *config);

/* The name of a log_level, from "err" to "debug". */
const char *config_log_level_name(int level);

/* Returns the listener of this name, or NULL. */
const struct listener_config *config_find(const struct config *config, const char *name);

/*
 * Writes the effective configuration, defaults included, in the form of a configuration file that
 * loads to the same. Returns 0 or -EIO.
 */
int config_print(const struct config *config, FILE *out);

/* Writes what would be served, a line for each listener and room, for a person. Returns 0 or -EIO.
 */
int config_summarise(const struct config *config, FILE *out);
