/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * A configuration as text: whole, for a file that loads to the same, and in short, for a person.
 * Whether everything could be written is asked of the stream once, at the end.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "quantity.h"
#include "text.h"
#include "util.h"

static const char *payload_name(enum payload payload)
{
	return payload == PAYLOAD_JSON ? "json" : "text";
}

static const char *truth(bool value)
{
	return value ? "true" : "false";
}

/* Writes a string as libconfig reads it: in quotation marks, with escapes. */
static void print_string(FILE *out, const char *text)
{
	(void)fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			(void)fprintf(out, "\\%c", c);
		else if (c == '\n')
			(void)fputs("\\n", out);
		else if (c == '\t')
			(void)fputs("\\t", out);
		else if (c < 0x20 || c == 0x7f)
			(void)fprintf(out, "\\x%02x", c);
		else
			(void)fputc(c, out);
	}
	(void)fputc('"', out);
}

static void print_time(FILE *out, const char *name, uint64_t milliseconds)
{
	char text[QUANTITY_MAX];

	quantity_format_time(text, milliseconds);
	(void)fprintf(out, " %s = \"%s\";", name, text);
}

/* Writes the settings that both the file and a listener have. */
static void print_settings(FILE *out, const char *indent, const struct settings *settings)
{
	char size[QUANTITY_MAX];

	(void)fprintf(out, "%smax_clients_per_address = %" PRIu64 ";\n", indent,
		      settings->max_clients_per_address);
	quantity_format_size(size, settings->max_message);
	(void)fprintf(out, "%smax_message = \"%s\";\n", indent, size);
	quantity_format_size(size, settings->max_pending);
	(void)fprintf(out, "%smax_pending = \"%s\";\n", indent, size);
	(void)fprintf(out, "%sgreeting = ", indent);
	print_string(out, settings->greeting);
	(void)fprintf(out, ";\n%stimeouts: {", indent);
	print_time(out, "idle", settings->timeouts.idle);
	print_time(out, "message", settings->timeouts.message);
	print_time(out, "handshake", settings->timeouts.handshake);
	print_time(out, "drain", settings->timeouts.drain);
	(void)fputs(" };\n", out);
}

/* Writes the names of a pipeline's steps. */
static void print_pipeline(FILE *out, const struct pipeline *pipeline)
{
	(void)fputs("[ ", out);
	for (unsigned i = 0; i < pipeline->n_steps; i++)
		(void)fprintf(out, "%s\"%s\"", i > 0 ? ", " : "",
			      transform_name(pipeline->steps[i]));
	(void)fprintf(out, "%s]", pipeline->n_steps > 0 ? " " : "");
}

static void print_names(FILE *out, char *const *names, size_t n)
{
	(void)fputs("[ ", out);
	for (size_t i = 0; i < n; i++) {
		(void)fputs(i > 0 ? ", " : "", out);
		print_string(out, names[i]);
	}
	(void)fprintf(out, "%s]", n > 0 ? " " : "");
}

/* Writes what concerns Unix sockets; without one, a file may not say it. */
static void print_permissions(FILE *out, const struct listener_config *listener)
{
	bool has_unix = false;

	for (size_t i = 0; i < listener->n_addresses; i++)
		has_unix |= listener->addresses[i].transport == TRANSPORT_UNIX;
	if (!has_unix)
		return;
	(void)fprintf(out, "    mode = \"%04o\";\n", (unsigned)listener->mode);
	if (listener->user) {
		(void)fputs("    user = ", out);
		print_string(out, listener->user);
		(void)fputs(";\n", out);
	}
	if (listener->group) {
		(void)fputs("    group = ", out);
		print_string(out, listener->group);
		(void)fputs(";\n", out);
	}
}

static void print_listener(FILE *out, const struct listener_config *listener)
{
	const struct settings *settings = &listener->settings;
	char address[ADDRESS_TEXT_MAX];

	(void)fprintf(out, "  {\n    name = \"%s\";\n    listen = [ ", listener->name);
	for (size_t i = 0; i < listener->n_addresses; i++) {
		(void)fputs(i > 0 ? ", " : "", out);
		print_string(out, address_format(&listener->addresses[i], address));
	}
	(void)fprintf(out, " ];\n    framing = \"%s\";\n", framing_name(settings->framing));
	if (settings->service == SERVICE_CHAT) {
		(void)fprintf(out, "    service = \"chat\";\n    dialect = \"%s\";\n",
			      dialects[settings->dialect]->name);
	} else {
		(void)fputs("    service = \"transform\";\n    transforms = ", out);
		print_pipeline(out, &settings->pipeline);
		(void)fprintf(out, ";\n    payload = \"%s\";\n", payload_name(settings->payload));
	}
	(void)fprintf(out, "    max_clients = %" PRIu64 ";\n", settings->max_clients);
	print_settings(out, "    ", settings);
	print_permissions(out, listener);
	(void)fputs("  }", out);
}

static void print_room(FILE *out, const struct room_config *room)
{
	(void)fputs("    {\n      name = ", out);
	print_string(out, room->name);
	if (room->topic) {
		(void)fputs(";\n      topic = ", out);
		print_string(out, room->topic);
	}
	(void)fputs(";\n      transforms = ", out);
	print_pipeline(out, &room->pipeline);
	(void)fprintf(out, ";\n      durable = %s;\n      members = ", truth(room->durable));
	print_names(out, room->members, room->n_members);
	(void)fputs(";\n    }", out);
}

static void print_chat(FILE *out, const struct chat_config *chat)
{
	char size[QUANTITY_MAX];

	(void)fprintf(out, "\nchat: {\n  guests = %s;\n  create_rooms = %s;\n  admins = ",
		      truth(chat->guests), truth(chat->create_rooms));
	print_names(out, chat->admins, chat->n_admins);
	(void)fprintf(out, ";\n  history: { max_messages = %" PRIu64 ";", chat->max_messages);
	print_time(out, "max_age", chat->max_age);
	(void)fprintf(out,
		      " };\n  rate: { messages = %" PRIu64 "; burst = %" PRIu64
		      "; };\n  max_rooms = %" PRIu64 ";\n  max_rooms_per_client = %" PRIu64
		      ";\n  max_presence = %" PRIu64 ";\n  max_requests = %" PRIu64 ";\n",
		      chat->rate, chat->burst, chat->max_rooms, chat->max_rooms_per_client,
		      chat->max_presence, chat->max_requests);
	quantity_format_size(size, chat->max_topic);
	(void)fprintf(out, "  max_topic = \"%s\";\n", size);
	quantity_format_size(size, chat->max_memory);
	(void)fprintf(out, "  max_memory = \"%s\";\n  rooms: (\n", size);
	for (size_t i = 0; i < chat->n_rooms; i++) {
		print_room(out, &chat->rooms[i]);
		(void)fputs(i + 1 < chat->n_rooms ? ",\n" : "\n", out);
	}
	(void)fputs("  );\n};\n", out);
}

int config_print(const struct config *config, FILE *out)
{
	(void)fprintf(out,
		      "workers = %u;\nlog_level = \"%s\";\nmax_clients = %" PRIu64
		      ";\ncrash_safe = %s;\n",
		      config->workers, config_log_level_name(config->log_level),
		      config->max_clients, config->crash_safe ? "true" : "false");
	print_settings(out, "", &config->defaults);
	(void)fputs("\nlisteners: (\n", out);
	for (size_t i = 0; i < config->n_listeners; i++) {
		(void)fputs(i > 0 ? ",\n" : "", out);
		print_listener(out, &config->listeners[i]);
	}
	(void)fputs("\n);\n", out);
	print_chat(out, &config->chat);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}

static void summarise_pipeline(FILE *out, const struct pipeline *pipeline)
{
	for (unsigned i = 0; i < pipeline->n_steps; i++)
		(void)fprintf(out, "%s%s", i > 0 ? ", " : "", transform_name(pipeline->steps[i]));
	(void)fputs(pipeline->n_steps > 0 ? "" : "echo", out);
}

static void summarise_listener(FILE *out, const struct listener_config *listener)
{
	const struct settings *settings = &listener->settings;
	char address[ADDRESS_TEXT_MAX];

	(void)fprintf(out, "%s:", listener->name);
	for (size_t i = 0; i < listener->n_addresses; i++)
		(void)fprintf(out, "%s %s", i > 0 ? "," : "",
			      address_format(&listener->addresses[i], address));
	(void)fprintf(out, "; framing %s; ", framing_name(settings->framing));
	if (settings->service == SERVICE_CHAT) {
		(void)fprintf(out, "chat in dialect %s\n", dialects[settings->dialect]->name);
		return;
	}
	(void)fputs("transform ", out);
	summarise_pipeline(out, &settings->pipeline);
	(void)fprintf(out, "; payload %s\n", payload_name(settings->payload));
}

static void summarise_room(FILE *out, const struct room_config *room)
{
	(void)fprintf(out, "room %s: %s; transform ", room->name,
		      room->durable ? "durable" : "in memory");
	summarise_pipeline(out, &room->pipeline);
	(void)fputs(room->n_members > 0 ? "; for" : "; for all", out);
	for (size_t i = 0; i < room->n_members; i++) {
		(void)fputs(i > 0 ? ", " : " ", out);
		print_string(out, room->members[i]);
	}
	(void)fputc('\n', out);
}

int config_summarise(const struct config *config, FILE *out)
{
	bool has_chat = false;

	for (size_t i = 0; i < config->n_listeners; i++) {
		summarise_listener(out, &config->listeners[i]);
		has_chat |= config->listeners[i].settings.service == SERVICE_CHAT;
	}
	for (size_t i = 0; i < config->chat.n_rooms && has_chat; i++)
		summarise_room(out, &config->chat.rooms[i]);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
