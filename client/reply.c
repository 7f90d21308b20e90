/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reply.h"

#include "chat.h"
#include "command.h"
#include "output.h"

int reply_object(const struct retort_reply *reply, json_t **ret_object)
{
	json_t *object = reply->json ? json_loadb(reply->json, reply->json_len, 0, NULL) : NULL;

	if (!json_is_object(object)) { /* the library has read it: there is no memory to do so */
		json_decref(object);
		return out_of_memory();
	}
	(void)json_object_del(object, "id"); /* fails when there is none */
	(void)json_object_del(object, "ok");
	*ret_object = object;
	return STATUS_GO_ON;
}

int reply_print_object(json_t *object)
{
	int r = object ? output_json(object) : -ENOMEM;

	json_decref(object);
	return r < 0 ? out_of_memory() : STATUS_GO_ON;
}

int reply_print_each(const struct retort_reply *reply, const char *array)
{
	json_t *object, *element;
	size_t i;
	int status;

	status = reply_object(reply, &object);
	if (status != STATUS_GO_ON)
		return status;
	json_array_foreach(json_object_get(object, array), i, element) {
		status = reply_print_object(json_incref(element));
		if (status != STATUS_GO_ON)
			break;
	}
	json_decref(object);
	return status;
}

int reply_print(const struct retort_reply *reply)
{
	json_t *object;
	int status = reply_object(reply, &object);

	return status == STATUS_GO_ON ? reply_print_object(object) : status;
}

uint64_t reply_number(const json_t *object, const char *name)
{
	const json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 ? (uint64_t)value : 0;
}

const char *reply_string(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name)) ?: "";
}

const char *reply_time(const json_t *time, char text[static MOMENT_TEXT_MAX])
{
	uint64_t moment;

	if (json_is_string(time) && chat_time_parse(json_string_value(time), &moment) == 0)
		return moment_format(moment, text);
	text[0] = '\0';
	return text;
}
