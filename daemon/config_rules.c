/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config_rules.h"

/*
 * Each rule notes at most one problem, at the key that is best changed. A rule looks for the key in
 * the file and at the value in the listener, which may have come from elsewhere in the file.
 */

#include <inttypes.h>
#include <string.h>

#include "util.h"

/* Checks the greeting against what else the listener has; it may be its own or the file's. */
static int check_greeting(const struct reading *reading, const config_setting_t *group,
			  const struct listener_config *listener, struct place inherited)
{
	const config_setting_t *setting = config_setting_get_member(group, "greeting");
	struct place place = setting ? reading_place(reading, setting) : inherited;
	const struct settings *settings = &listener->settings;
	size_t len = strlen(settings->greeting);

	if (settings->framing == FRAMING_LINE && strpbrk(settings->greeting, "\r\n"))
		return config_problem(
			reading->problems, place,
			"the greeting of listener \"%s\" holds a line end, but is one line in "
			"framing \"line\"; leave it out",
			listener->name);
	if (len > settings->max_message)
		return config_problem(
			reading->problems, place,
			"the greeting of listener \"%s\" has %zu bytes, more than its "
			"max_message, %" PRIu64 "; shorten it, or raise max_message",
			listener->name, len, settings->max_message);
	return 0;
}

/* Checks the settings that only make sense for Unix sockets. */
static int check_permissions(const struct reading *reading, const config_setting_t *group,
			     const struct listener_config *listener)
{
	static const char *const names[] = {"mode", "user", "group"};

	if (listener->n_addresses == 0)
		return 0; /* which is wrong enough */
	for (size_t i = 0; i < listener->n_addresses; i++)
		if (listener->addresses[i].transport == TRANSPORT_UNIX)
			return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const config_setting_t *setting = config_setting_get_member(group, names[i]);
		int r = 0;

		if (setting)
			r = config_problem(
				reading->problems, reading_place(reading, setting),
				"%s is for Unix sockets, and listener \"%s\" has none; remove it, "
				"or add an address, say \"unix:%s.sock\"",
				names[i], listener->name, listener->name);
		if (r < 0)
			return r;
	}
	return 0;
}

int config_check_listener(const struct reading *reading, const config_setting_t *group,
			  const struct listener_config *listener, struct place greeting)
{
	const config_setting_t *listen = config_setting_get_member(group, "listen");
	const config_setting_t *payload = config_setting_get_member(group, "payload");
	int r = 0;

	if (!listen || (config_setting_is_aggregate(listen) && config_setting_length(listen) == 0))
		r = config_problem(reading->problems,
				   reading_place(reading, listen ? listen : group),
				   "listener \"%s\" has no address; write, say, listen = %s;",
				   listener->name, RULES_LISTEN_EXAMPLE);
	if (r == 0 && payload && listener->settings.payload == PAYLOAD_JSON &&
	    listener->settings.framing == FRAMING_RAW)
		r = config_problem(
			reading->problems, reading_place(reading, payload),
			"payload \"json\" needs to know where a message ends, which framing "
			"\"raw\" does not say; write framing = \"line\" or \"length\"");
	if (r == 0)
		r = check_greeting(reading, group, listener, greeting);
	if (r == 0)
		r = check_permissions(reading, group, listener);
	return r;
}
