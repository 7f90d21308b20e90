/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * A configuration as text: whole, for a file that loads to the same, and in short, for a person.
 * Whether everything could be written is asked of the stream once, at the end.
 */

#include <errno.h>
#include <inttypes.h>

#include "quantity.h"
#include "text.h"
#include "util.h"

static const char *payload_name(enum payload payload)
{
	return payload == PAYLOAD_JSON ? "json" : "text";
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
	(void)fprintf(out, " ];\n    framing = \"%s\";\n    service = \"transform\";\n",
		      framing_name(settings->framing));
	(void)fputs("    transforms = [ ", out);
	for (unsigned i = 0; i < settings->pipeline.n_steps; i++)
		(void)fprintf(out, "%s\"%s\"", i > 0 ? ", " : "",
			      transform_name(settings->pipeline.steps[i]));
	(void)fprintf(out, "%s];\n    payload = \"%s\";\n    max_clients = %" PRIu64 ";\n",
		      settings->pipeline.n_steps > 0 ? " " : "", payload_name(settings->payload),
		      settings->max_clients);
	print_settings(out, "    ", settings);
	print_permissions(out, listener);
	(void)fputs("  }", out);
}

int config_print(const struct config *config, FILE *out)
{
	(void)fprintf(out, "workers = %u;\nmax_clients = %" PRIu64 ";\n", config->workers,
		      config->max_clients);
	print_settings(out, "", &config->defaults);
	(void)fputs("\nlisteners: (\n", out);
	for (size_t i = 0; i < config->n_listeners; i++) {
		(void)fputs(i > 0 ? ",\n" : "", out);
		print_listener(out, &config->listeners[i]);
	}
	(void)fputs("\n);\n", out);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}

static void summarise_listener(FILE *out, const struct listener_config *listener)
{
	const struct settings *settings = &listener->settings;
	char address[ADDRESS_TEXT_MAX];

	(void)fprintf(out, "%s:", listener->name);
	for (size_t i = 0; i < listener->n_addresses; i++)
		(void)fprintf(out, "%s %s", i > 0 ? "," : "",
			      address_format(&listener->addresses[i], address));
	(void)fprintf(out, "; framing %s; transform", framing_name(settings->framing));
	for (unsigned i = 0; i < settings->pipeline.n_steps; i++)
		(void)fprintf(out, "%s %s", i > 0 ? "," : "",
			      transform_name(settings->pipeline.steps[i]));
	(void)fprintf(out, "%s; payload %s\n", settings->pipeline.n_steps > 0 ? "" : " echo",
		      payload_name(settings->payload));
}

int config_summarise(const struct config *config, FILE *out)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		summarise_listener(out, &config->listeners[i]);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
