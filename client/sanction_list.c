/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sanction_list.h"

#include "command.h"
#include "reply.h"
#include "table.h"

/* What is sanctioned, and its kind. */
static const char *target_of(const json_t *sanction, const char **ret_kind)
{
	static const char *const kinds[] = {"user", "nick", "address"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *target = json_string_value(json_object_get(sanction, kinds[i]));

		if (target) {
			*ret_kind = kinds[i];
			return target;
		}
	}
	*ret_kind = "";
	return "";
}

static int add(struct table *table, const json_t *sanction)
{
	const char *kind, *target = target_of(sanction, &kind);
	const json_t *until = json_object_get(sanction, "until");
	char text[MOMENT_TEXT_MAX];
	int r = table_add(table, target);

	if (r == 0)
		r = table_add(table, kind);
	if (r == 0)
		r = table_add(table, json_is_string(until) ? reply_time(until, text) : "for ever");
	if (r == 0)
		r = table_add(table, json_string_value(json_object_get(sanction, "by")));
	if (r == 0)
		r = table_add(table, json_string_value(json_object_get(sanction, "reason")));
	return r;
}

int sanction_list_print(const json_t *sanctions, const char *heading, bool json)
{
	const struct table_column columns[] = {{heading, false},
					       {"KIND", false},
					       {"UNTIL", false},
					       {"BY", false},
					       {"REASON", false}};
	CLEANUP(table_done) struct table table = table_of(columns, ARRAY_SIZE(columns));
	json_t *sanction;
	size_t i;

	json_array_foreach(sanctions, i, sanction) {
		int status = json ? reply_print_object(json_incref(sanction)) : STATUS_GO_ON;

		if (status != STATUS_GO_ON)
			return status;
		if (!json && add(&table, sanction) < 0)
			return out_of_memory();
	}
	table_print(&table);
	return STATUS_GO_ON;
}
