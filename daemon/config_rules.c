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
static int check_greeting(const struct reader *reader, const config_setting_t *group,
			  struct listener_config *listener)
{
	const config_setting_t *setting = config_setting_get_member(group, "greeting");
	struct place place = setting ? reading_place(&reader->reading, setting) : reader->greeting;
	struct config_problems *problems = reader->reading.problems;
	struct settings *settings = &listener->settings;
	size_t len = strlen(settings->greeting);

	if (settings->service == SERVICE_CHAT && settings->dialect == DIALECT_OBJECT) {
		if (setting && len > 0)
			return config_problem(
				problems, place,
				"the greeting of listener \"%s\" is no JSON object, as every "
				"message in dialect \"object\" is; leave it out",
				listener->name);
		settings->greeting[0] = '\0'; /* the file's is not for this one */
		return 0;
	}
	if (settings->framing == FRAMING_LINE && strpbrk(settings->greeting, "\r\n"))
		return config_problem(
			problems, place,
			"the greeting of listener \"%s\" holds a line end, but is one line in "
			"framing \"line\"; leave it out",
			listener->name);
	if (len > settings->max_message)
		return config_problem(
			problems, place,
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

static bool is_said(struct place place)
{
	return place.file || place.line > 0;
}

/* Checks that nothing is said which only the other service has. */
static int check_foreign_keys(const struct listener_config *listener,
			      const struct rules_places *places, struct config_problems *problems)
{
	const bool is_chat = listener->settings.service == SERVICE_CHAT;
	const struct {
		const char *name;
		struct place place;
		bool of_chat;
		const char *remedy;
	} keys[] = {
		{"dialect", places->dialect, true, "or choose service \"chat\""},
		{"payload", places->payload, false, "since the dialect says what a message is"},
		{"transforms", places->transforms, false, "or write it in a room"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int r;

		if (keys[i].of_chat == is_chat || !is_said(keys[i].place))
			continue;
		r = config_problem(problems, keys[i].place,
				   "%s is for service \"%s\", and listener \"%s\" has service "
				   "\"%s\"; remove it, %s",
				   keys[i].name, is_chat ? "transform" : "chat", listener->name,
				   is_chat ? "chat" : "transform", keys[i].remedy);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Checks that the messages of chat can come, and can be told apart. */
static int check_chat_framing(const struct listener_config *listener,
			      const struct rules_places *places, struct config_problems *problems)
{
	const struct settings *settings = &listener->settings;

	if (settings->dialect == DIALECT_TEXT && settings->framing != FRAMING_LINE)
		return config_problem(
			problems, is_said(places->framing) ? places->framing : places->dialect,
			"dialect \"text\" is spoken in lines, and listener \"%s\" has framing "
			"\"%s\"; choose framing \"line\"",
			listener->name, framing_name(settings->framing));
	if (settings->framing == FRAMING_RAW)
		return config_problem(
			problems, places->framing,
			"service \"chat\" needs to know where a message ends, which framing "
			"\"raw\" does not say; choose framing \"line\" or \"length\"");
	return 0;
}

int config_check_service(const struct listener_config *listener, const struct rules_places *places,
			 const struct claim *claims, struct config_problems *problems)
{
	const struct settings *settings = &listener->settings;
	char text[ADDRESS_TEXT_MAX];
	int r;

	r = check_foreign_keys(listener, places, problems);
	if (r < 0 || settings->service != SERVICE_CHAT)
		return r;
	r = check_chat_framing(listener, places, problems);
	if (r == 0 && settings->max_message < CONFIG_CHAT_MESSAGE_MIN)
		r = config_problem(problems, places->max_message,
				   "max_message of listener \"%s\" is %" PRIu64
				   ", too little for service \"chat\"; it must be at least %d",
				   listener->name, settings->max_message, CONFIG_CHAT_MESSAGE_MIN);
	for (size_t i = 0; i < listener->n_addresses && r == 0; i++)
		if (claims[i].address->transport == TRANSPORT_UDP)
			r = config_problem(
				problems, claims[i].place,
				"service \"chat\" needs a connection, which %s has not; write "
				"tcp://HOST:PORT or unix:PATH",
				address_format(claims[i].address, text));
	return r;
}

/* Returns where a key of a listener stands. */
static struct place place_of(const struct reader *reader, const config_setting_t *group,
			     const char *key, struct place otherwise)
{
	const config_setting_t *setting = config_setting_get_member(group, key);

	return setting ? reading_place(&reader->reading, setting) : otherwise;
}

int config_check_listener(const struct reader *reader, const config_setting_t *group,
			  struct listener_config *listener, const struct claim *claims)
{
	const config_setting_t *listen = config_setting_get_member(group, "listen");
	const struct place nowhere = {0};
	const struct rules_places places = {
		.framing = place_of(reader, group, "framing", nowhere),
		.dialect = place_of(reader, group, "dialect", nowhere),
		.transforms = place_of(reader, group, "transforms", nowhere),
		.payload = place_of(reader, group, "payload", nowhere),
		.max_message = place_of(reader, group, "max_message", reader->max_message),
	};
	struct config_problems *problems = reader->reading.problems;
	int r = 0;

	if (!listen || (config_setting_is_aggregate(listen) && config_setting_length(listen) == 0))
		r = config_problem(problems,
				   reading_place(&reader->reading, listen ? listen : group),
				   "listener \"%s\" has no address; write, say, listen = %s;",
				   listener->name, RULES_LISTEN_EXAMPLE);
	if (r == 0 && is_said(places.payload) && listener->settings.payload == PAYLOAD_JSON &&
	    listener->settings.service == SERVICE_TRANSFORM &&
	    listener->settings.framing == FRAMING_RAW)
		r = config_problem(
			problems, places.payload,
			"payload \"json\" needs to know where a message ends, which framing "
			"\"raw\" does not say; write framing = \"line\" or \"length\"");
	if (r == 0)
		r = config_check_service(listener, &places, claims, problems);
	if (r == 0)
		r = check_greeting(reader, group, listener);
	if (r == 0)
		r = check_permissions(&reader->reading, group, listener);
	return r;
}
